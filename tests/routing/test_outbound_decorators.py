"""Decorators of outbound routes: what may be declared, and what is refused at decoration."""

from __future__ import annotations

import functools

import pytest

from django_fastws import FastWS, WebSocket
from tests.routing.outbound import HTTP_URL, METHODS, URL, handler


async def named_by_annotation(ws: WebSocket, unused: int = 5) -> None: ...


async def takes_anything(*args, **kwargs): ...


class Methods:
    async def method(self, ws): ...

    @staticmethod
    async def static(ws): ...


@pytest.mark.parametrize("function", [handler, named_by_annotation, takes_anything, Methods().method, Methods.static])
@pytest.mark.parametrize("decorator", ["ws", *METHODS])
def test_the_decorator_returns_the_function_itself(app, decorator, function):
    url = URL if decorator == "ws" else HTTP_URL
    assert getattr(app, decorator)(url)(function) is function
    assert [route.handler for route in app.outbound] == [function]


def test_the_url_may_be_given_by_name(app):
    app.ws(url=URL)(handler)
    app.get(url=HTTP_URL)(handler)
    assert [route.url for route in app.outbound] == [URL, HTTP_URL]


def test_one_handler_may_serve_several_urls(app):
    app.ws(f"{URL}/a")(app.ws(f"{URL}/b")(handler))
    assert [route.url for route in app.outbound] == [f"{URL}/b", f"{URL}/a"]


def test_tags_of_the_app_come_first_and_its_prefix_is_for_paths_only(routes):
    app = FastWS(prefix="/ws", tags=["market"])
    app.ws(URL, tags=["slow"])(handler)
    app.get(HTTP_URL)(handler)
    assert [route.tags for route in app.outbound] == [("market", "slow"), ("market",)]
    assert [route.url for route in app.outbound] == [URL, HTTP_URL]


def test_a_name_is_the_given_one_or_the_handlers(app):
    app.ws(URL, name="prices")(handler)
    app.ws(URL)(handler)
    assert [(route.name, route.key) for route in app.outbound] == [
        ("prices", "prices"),
        ("handler", f"{handler.__module__}.handler"),
    ]


def test_the_registry_knows_the_routes_of_every_app_in_order(routes):
    one, two = FastWS(), FastWS()
    two.ws(URL, name="b")(handler)
    one.ws(URL, name="a")(handler)
    assert [route.name for route in routes.outbound] == ["a", "b"]


def sync(ws): ...


async def generator(ws):
    yield


async def nothing(): ...


async def two(ws, other): ...


async def keyword_only(*, ws): ...


class NoHandler: ...


class Callable:
    async def __call__(self, ws): ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (sync, "sync() is not async: write `async def sync({takes})`"),
        (sync, "`await sync_to_async(function)(...)`"),
        (lambda ws: None, "is not async"),
        (functools.partial(handler), "decorate an `async def`"),
        (generator, "generator() has a `yield`: send with `await ws.send(...)` instead"),
        (nothing, "nothing() is called with one argument: write `async def nothing({takes})`"),
        (two, "two() is called with one argument: write `async def two({takes})`"),
        (keyword_only, "is called with one argument"),
        (NoHandler, "is a class"),
        (Callable(), "is not async"),
        (None, "is not async"),
        ("handler", "is not async"),
    ],
)
@pytest.mark.parametrize(("decorator", "url", "takes"), [("ws", URL, "ws"), ("get", HTTP_URL, "resp")])
def test_what_cannot_be_a_handler_is_refused_with_what_to_write(app, decorator, url, takes, function, words):
    with pytest.raises(TypeError) as refusal:
        getattr(app, decorator)(url)(function)
    assert words.format(takes=takes) in str(refusal.value)
    assert app.outbound == []
