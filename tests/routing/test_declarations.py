"""Misspelt options of decorators, and decorators without parentheses: the error says what to write."""

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer

from django_fastws import FastWS, RouteError
from django_fastws.routing.declarations import did_you_mean
from tests.support.ids import shown

pytestmark = pytest.mark.usefixtures("routes")

REQUESTS = ["get", "post", "put", "patch", "delete", "head", "options"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("rat", "rate"),
        ("Rate", "rate"),
        ("maxconnections", "max_connections"),
        ("max_conections", "max_connections"),
        ("loginrequired", "login_required"),
        ("idle_timout", "idle_timeout"),
        ("frobnicate", None),
        ("", None),
    ],
)
def test_the_nearest_known_name_is_meant(name, meant):
    known = ["rate", "max_connections", "login_required", "idle_timeout"]
    assert did_you_mean(name, known) == meant


@pytest.mark.parametrize(
    ("call", "options", "words"),
    [
        ("websocket", {"path": "/x", "ratee": "5/s"}, "websocket() has no option 'ratee': did you mean 'rate'?"),
        ("websocket", {"path": "/x", "loginrequired": True}, "did you mean 'login_required'?"),
        ("websocket", {"pth": "/x"}, "did you mean 'path'?"),
        ("websocket", {"path": "/x", "colour": 1}, "it takes path, name, tags, login_required"),
        (
            "ws",
            {"url": "ws://x.example", "re_connect": True},
            "ws() has no option 're_connect': did you mean",
        ),
        *[(name, {"url": "http://x.example", "header": {}}, f"{name}() has no option 'header'") for name in REQUESTS],
        ("get", {"url": "http://x.example", "timout": 5}, "did you mean 'timeout'?"),
    ],
    ids=shown,
)
def test_a_misspelt_option_is_refused_with_the_right_one(call, options, words):
    with pytest.raises(RouteError) as raised:
        getattr(FastWS(), call)(**options)
    assert words in str(raised.value)


def test_a_misspelt_option_of_the_group_is_refused():
    with pytest.raises(RouteError, match="did you mean 'prefix'"):
        FastWS(prefx="/ws")


async def handler(ws): ...


async def handler_with_more(ws, room: str, page: int = 1): ...


class Consumer(AsyncWebsocketConsumer): ...


@pytest.mark.parametrize("target", [handler, handler_with_more, Consumer], ids=lambda target: target.__name__)
@pytest.mark.parametrize("call", ["websocket", "ws", *REQUESTS])
def test_a_decorator_without_parentheses_is_refused(call, target):
    app = FastWS()
    with pytest.raises(RouteError) as raised:
        getattr(app, call)(target)
    assert f"instead of `@app.{call}`" in str(raised.value)
    assert target.__name__ in str(raised.value)
    assert not app.routes
    assert not app.outbound


async def url():
    return "ws://x.example"


@pytest.mark.parametrize("given", [url, lambda: "ws://x.example", lambda server="x": f"ws://{server}.example"])
def test_a_callable_that_gives_the_url_is_none_of_these(given):
    app = FastWS()
    assert app.ws(given)(handler) is handler
    assert len(app.outbound) == 1
