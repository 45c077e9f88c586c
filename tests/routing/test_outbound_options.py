"""Options of outbound routes: what they may be, and what is said of those that cannot be."""

from __future__ import annotations

import pytest

from django_fastws import RouteError
from tests.routing.outbound import HTTP_URL, METHODS, URL, handler


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
