"""What may be declared, what is refused at decoration, and what the system checks say."""

from __future__ import annotations

import functools

import pytest
from django.core.checks import Error, Warning

from django_fastws import FastWS, RouteError, WebSocket
from django_fastws.checks import check_outbound_routes, check_routes

URL, HTTP_URL = "ws://127.0.0.1/feed", "http://127.0.0.1/status"
METHODS = ("get", "post", "put", "patch", "delete", "head", "options")


async def handler(ws):
    """A handler."""


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


def test_the_defaults_are_those_of_the_design(app):
    app.ws(URL)(handler)
    (route,) = app.outbound
    assert (route.reconnect, route.max_retries, route.retry_on_error, route.lease) == (False, 0, False, False)
    assert route.options == {
        "headers": None,
        "subprotocols": None,
        "ssl": None,
        "proxy": True,
        "compression": "deflate",
        "origin": None,
        "open_timeout": 10,
        "ping_interval": 20,
        "ping_timeout": 20,
        "close_timeout": 10,
        "max_size": 1024 * 1024,
        "max_queue": 16,
    }


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
        ("handler", f"{__name__}.handler"),
    ]


def test_the_registry_knows_the_routes_of_every_app_in_order(routes):
    one, two = FastWS(), FastWS()
    two.ws(URL, name="b")(handler)
    one.ws(URL, name="a")(handler)
    assert [route.name for route in routes.outbound] == ["a", "b"]


# Refused at decoration


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


BAD_HEADERS = [
    ("Authorization: x", "handler: headers are a mapping or pairs of name and value, not str"),
    (b"x", "headers are a mapping or pairs of name and value, not bytes"),
    (5, "headers are a mapping or pairs of name and value, not int"),
    ([("a", "b", "c")], "headers are a mapping or pairs of name and value"),
    (["ab"], "headers are a mapping or pairs of name and value"),
    ([5], "headers are a mapping or pairs of name and value"),
    ({"X Y": "1"}, "'X Y' is not a header name"),
    ({"": "1"}, "'' is not a header name"),
    ({"Größe": "1"}, "'Größe' is not a header name"),
    ({5: "1"}, "the name of a header is a str, not int"),
    ({"X": None}, "the value of header 'X' is a str, not NoneType"),
    ({"X": True}, "the value of header 'X' is a str, not bool"),
    ({"X": ["1"]}, "the value of header 'X' is a str, not list"),
    ({"X": "1\r\nY: 2"}, "the value of header 'X' holds control characters"),
    ([("X", b"1\n")], "the value of header 'X' holds control characters, such as a line break at its end"),
    ({"X": "ключ"}, "the value of header 'X' has characters outside latin-1"),
]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://example.com"}, "handler: 'http://example.com' must start with ws:// or wss://"),
        ({"url": "example.com"}, "must start with ws:// or wss://"),
        ({"url": "ws://"}, "has no host"),
        ({"url": "ws://example.com/#top"}, "has a fragment"),
        ({"url": b"ws://example.com"}, "a URL is a str such as wss://example.com/, not bytes"),
        ({"max_retries": -2}, "handler: max_retries=-2 is neither a count nor -1 (without end)"),
        ({"max_retries": 1.5}, "max_retries=1.5 is neither"),
        ({"max_retries": True}, "max_retries=True is neither"),
        ({"max_retries": None}, "max_retries=None is neither"),
        ({"compression": "gzip"}, "compression='gzip' is neither \"deflate\" nor None"),
        ({"open_timeout": 0}, "open_timeout=0 is neither a positive number nor None"),
        ({"open_timeout": -1}, "open_timeout=-1 is neither"),
        ({"open_timeout": "10"}, "open_timeout='10' is neither"),
        ({"ping_interval": 0}, "ping_interval=0 is neither"),
        ({"ping_timeout": float("nan")}, "ping_timeout=nan is neither"),
        ({"close_timeout": -0.5}, "close_timeout=-0.5 is neither"),
        ({"max_size": 0}, "max_size=0 is neither"),
        ({"max_queue": True}, "max_queue=True is neither"),
        ({"subprotocols": "chat"}, "handler: subprotocols='chat' is one str: write subprotocols=['chat']"),
        ({"subprotocols": ["a b"]}, "subprotocol 'a b' is not a str such as 'chat.v1', without spaces"),
        ({"subprotocols": [b"chat"]}, "subprotocol b'chat' is not a str"),
        ({"subprotocols": ["v1", ""]}, "subprotocol '' is not a str"),
        ({"ssl": "x"}, "handler: ssl='x' is neither an ssl.SSLContext nor None"),
        ({"ssl": True}, "ssl=True is neither"),
        *((({"headers": headers}), words) for headers, words in BAD_HEADERS),
        ({"tags": "market"}, "write tags=['market']"),
        ({"name": ""}, "name='' is no name"),
        ({"name": "a:b"}, "name='a:b' is no name"),
        ({"name": 5}, "name=5 is no name"),
    ],
)
def test_an_option_of_ws_that_cannot_be_is_refused(app, options, words):
    with pytest.raises(RouteError) as refusal:
        app.ws(**{"url": URL, **options})(handler)
    assert isinstance(refusal.value, (TypeError, ValueError))
    assert words in str(refusal.value)
    assert app.outbound == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "ws://example.com"}, "'ws://example.com' must start with http:// or https://"),
        ({"url": "https://"}, "has no host"),
        ({"timeout": 0}, "timeout=0 is neither a positive number nor None"),
        *((({"headers": headers}), words) for headers, words in BAD_HEADERS),
        ({"retries": 3}, "{method}() has no option 'retries'"),
        ({"tags": "market"}, "write tags=['market']"),
        ({"name": "a:b"}, "is no name"),
    ],
)
def test_an_option_of_a_request_that_cannot_be_is_refused(app, method, options, words):
    with pytest.raises(RouteError) as refusal:
        getattr(app, method)(**{"url": HTTP_URL, **options})(handler)
    assert words.format(method=method) in str(refusal.value)
    assert app.outbound == []


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://ada:opensesame@example.com/?token=opensesame"},
        {"url": URL, "headers": {"Authorization": "opensesame\n"}},
        {"url": URL, "headers": ["opensesame"]},
    ],
)
def test_no_secret_is_in_the_error(app, options):
    with pytest.raises(RouteError) as refusal:
        app.ws(**options)(handler)
    assert "opensesame" not in str(refusal.value)


@pytest.mark.parametrize("headers", [None, {}, {"X": "1"}, [("X", b"1")], (), {"X": 1}, lambda: "asked later"])
def test_headers_that_may_be(app, headers):
    app.ws(URL, headers=headers)(handler)
    app.get(HTTP_URL, headers=headers)(handler)
    assert [route.options["headers"] for route in app.outbound] == [headers, headers]


@pytest.mark.parametrize(
    ("given", "kept"), [(None, None), ([], None), (["a", "b"], ["a", "b"]), (("a",), ["a"]), (iter(["a"]), ["a"])]
)
def test_subprotocols_are_kept_as_a_list(app, given, kept):
    app.ws(URL, subprotocols=given)(handler)
    assert app.outbound[0].options["subprotocols"] == kept


# System checks


def found(app=None):
    return [(type(message), message.id) for message in check_outbound_routes()]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, []),
        ({"max_retries": 0}, []),
        ({"reconnect": True}, [(Warning, "fastws.W030")]),
        ({"reconnect": True, "max_retries": 0}, [(Warning, "fastws.W030")]),
        ({"reconnect": True, "max_retries": 1}, []),
        ({"reconnect": True, "max_retries": -1}, []),
    ],
)
def test_w030_reconnect_without_retries(app, options, ids):
    app.ws(URL, **options)(handler)
    assert found() == ids


def test_w030_names_the_route_and_the_remedy(app):
    app.ws(URL, reconnect=True)(handler)
    (warning,) = check_outbound_routes()
    assert f"{__name__}.handler" in warning.msg
    assert "max_retries=-1" in warning.hint


LAYERS = {
    "none": {},
    "in-memory": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    "ours": {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"hosts": ["redis://x"]}}},
    "pub/sub": {
        "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": ["redis://x"]}}
    },
    "core": {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": ["redis://x"]}}},
}


@pytest.mark.parametrize("lease", [True, False])
@pytest.mark.parametrize("layer", LAYERS)
def test_e031_a_lease_without_a_redis(app, settings, layer, lease):
    settings.CHANNEL_LAYERS = LAYERS[layer]
    app.ws(URL, lease=lease)(handler)
    assert found() == ([(Error, "fastws.E031")] if lease and layer in ("none", "in-memory") else [])


def test_e013_a_name_that_several_routes_were_given(app):
    app.ws(URL, name="feed")(handler)
    app.get(HTTP_URL, name="feed")(handler)
    (error,) = check_routes()
    assert error.id == "fastws.E013"
    assert "'feed'" in error.msg


def test_routes_without_a_name_may_share_their_functions(app):
    app.ws(URL)(handler)
    app.ws(f"{URL}/b")(handler)
    assert check_routes() == []
