"""The handshake of the test client: what the application gets to see, and denials."""

import pytest
from django.test import Client, override_settings

from django_fastws import WebSocketConnectionError
from django_fastws.testing import HandshakeDenied, connect
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.testing.served import serve, shown

pytestmark = pytest.mark.usefixtures("routes")


@pytest.mark.parametrize(
    ("path", "seen", "query"),
    [
        ("/a/b", "/a/b", ""),
        ("/a%20b/gr%C3%B6%C3%9Fe", "/a b/größe", ""),
        ("/a b/größe", "/a b/größe", ""),
        ("/a%2Fb", "/a/b", ""),
        ("/a%3Fb", "/a?b", ""),
        ("/a?q=caf%C3%A9&p=1", "/a", "q=caf%C3%A9&p=1"),
        ("/a?", "/a", ""),
        ("/100%", "/100%", ""),
    ],
)
async def test_a_path_percent_encoded_or_not(path, seen, query):
    scope = await shown(path)
    assert (scope["path"], scope["query"]) == (seen, query)


async def test_a_query_that_is_not_encoded_arrives_as_utf8():
    assert (await shown("/a?q=café"))["query"].encode("latin-1").decode() == "q=café"


async def test_the_raw_path_is_percent_encoded():
    assert (await shown("/größe"))["raw_path"] == "/gr%C3%B6%C3%9Fe"


@override_settings(ALLOWED_HOSTS=["testserver", "example.com"])
@pytest.mark.parametrize(
    ("path", "kwargs", "host", "url"),
    [
        ("/a", {}, "testserver", "ws://testserver/a"),
        ("ws://example.com/a?b=1", {}, "example.com", "ws://example.com/a?b=1"),
        ("wss://example.com:8443/a", {}, "example.com:8443", "wss://example.com:8443/a"),
        ("/a", {"headers": {"Host": "example.com"}}, "example.com", "ws://example.com/a"),
    ],
)
async def test_the_host_is_that_of_a_whole_url_or_of_the_headers(path, kwargs, host, url):
    scope = await shown(path, **kwargs)
    assert (scope["host"], scope["url"]) == (host, url)


@pytest.mark.parametrize(
    "headers",
    [{"X-One": "1", b"X-Two": b"2"}, [("X-One", "1"), ("x-two", b"2")], (("x-one", "1"), ("x-two", "2"))],
    ids=repr,
)
async def test_headers_of_the_request(headers):
    assert (await shown("/a", headers=headers))["headers"] == {"x-one": "1", "x-two": "2"}


async def test_cookies_given_as_a_mapping():
    scope = await shown("/a", cookies={"a": "1", "b": "x; y", "c": "größe", "d": ""})
    assert scope["cookies"] == {"a": "1", "b": "x; y", "c": "größe", "d": ""}


async def test_a_cookie_of_any_characters():
    assert (await shown("/a", cookies={"a": "✓"}))["cookies"].keys() == {"a"}


async def test_cookies_of_djangos_client():
    client = Client()
    client.cookies["theme"] = "dark"
    client.cookies["theme"]["path"] = "/"
    client.cookies["lang"] = "de"
    assert (await shown("/a", cookies=client.cookies))["cookies"] == {"theme": "dark", "lang": "de"}


async def test_an_origin():
    assert (await shown("/a", origin="http://testserver"))["origin"] == "http://testserver"


async def test_there_is_no_origin_unless_given():
    assert (await shown("/a"))["origin"] is None


async def test_a_denial_has_status_headers_and_text():
    async def handler(ws, page: int): ...

    serve(handler)
    with pytest.raises(HandshakeDenied) as raised:
        async with connect("/x"):
            pytest.fail("the block must not run")
    denied = raised.value
    assert (denied.status, denied.text) == (400, "query parameter 'page' is required")
    assert denied.headers["content-type"].startswith("text/plain")
    assert isinstance(denied, WebSocketConnectionError)
    assert isinstance(denied, ConnectionError)


async def test_a_handler_that_returns_without_accepting_denies():
    async def handler(ws): ...

    serve(handler)
    with pytest.raises(HandshakeDenied, match="403"):
        async with connect("/x"):
            pass


async def test_a_denial_in_pieces():
    async def application(scope, receive, send):
        await send({"type": "websocket.http.response.start", "status": 429, "headers": [(b"retry-after", b"5")]})
        await send({"type": "websocket.http.response.body", "body": b"too ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"many"})

    with pytest.raises(HandshakeDenied) as raised:
        async with connect("/x", application=application):
            pass
    assert (raised.value.status, raised.value.headers["Retry-After"], raised.value.text) == (429, "5", "too many")
