"""The Host of a handshake: let in or denied as Django does with that of a request."""

from __future__ import annotations

from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_fastws import FastWS
from django_fastws.asgi import get_asgi_application
from django_fastws.limits.allowed_hosts import host_problem
from django_fastws.testing import HandshakeDenied, connect
from tests.site.client import raw_request
from tests.support.processes import ASGIServer

pytestmark = pytest.mark.usefixtures("routes")


@pytest.fixture(autouse=True)
def _set_up_once(monkeypatch):
    """Django is set up. Doing it again, as get_asgi_application() does, would take the root logger from caplog."""
    monkeypatch.setattr("django.setup", lambda **kwargs: None)


def scope(*headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": "websocket", "path": "/x", "headers": list(headers), "server": ("10.0.0.1", 8000), **more}


def django_allows(asked: dict[str, Any]) -> bool:
    request = ASGIRequest({**asked, "type": "http", "method": "GET", "scheme": "http"}, None)
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True


HOSTS = [
    b"example.com",
    b"EXAMPLE.com",
    b"example.com.",
    b"example.com:8000",
    b"example.com:port",
    b"www.example.com",
    b"example.org",
    b"www.example.org:443",
    b"evil.example",
    b"example.com.evil.example",
    b"example.com@evil.example",
    b"evil.example/example.com",
    b"example.com, evil.example",
    b"example.com evil.example",
    b"[::1]",
    b"[::1]:8000",
    b"[::1",
    b"::1",
    b"127.0.0.1:8000",
    b"localhost",
    b"app.localhost",
    b"",
    b" ",
    b"\xff\xfe",
    b"gr\xc3\xb6\xc3\x9fe.example",
    b"testserver",
]


@pytest.mark.parametrize("allowed", [["example.com", ".example.org", "[::1]"], ["*"], []], ids=str)
@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("host", HOSTS, ids=repr)
def test_a_host_is_allowed_where_django_allows_it(host, debug, allowed):
    with override_settings(ALLOWED_HOSTS=allowed, DEBUG=debug):
        asked = scope((b"host", host))
        assert (host_problem(asked) is None) is django_allows(asked)


@given(st.lists(st.sampled_from(HOSTS) | st.binary(max_size=20), min_size=1, max_size=3), st.booleans())
def test_whatever_the_host_it_is_as_django_has_it(hosts, trusts_forwarded):
    headers = [(b"x-forwarded-host" if number == 1 else b"host", host) for number, host in enumerate(hosts)]
    with override_settings(ALLOWED_HOSTS=["example.com", ".example.org"], USE_X_FORWARDED_HOST=trusts_forwarded):
        asked = scope(*headers)
        assert (host_problem(asked) is None) is django_allows(asked)


@pytest.mark.parametrize(
    ("trusts_forwarded", "headers", "is_allowed"),
    [
        (False, [(b"host", b"backend"), (b"x-forwarded-host", b"example.com")], False),
        (True, [(b"host", b"backend"), (b"x-forwarded-host", b"example.com")], True),
        (True, [(b"host", b"example.com"), (b"x-forwarded-host", b"evil.example")], False),
        (False, [(b"host", b"example.com"), (b"x-forwarded-host", b"evil.example")], True),
        (True, [(b"x-forwarded-host", b"example.com")], True),
        (True, [(b"host", b"example.com")], True),
        (False, [(b"x-forwarded-host", b"example.com")], False),
        (False, [(b"host", b"example.com"), (b"host", b"example.com")], False),
    ],
)
def test_the_forwarded_host_counts_where_django_is_told_so(trusts_forwarded, headers, is_allowed):
    with override_settings(ALLOWED_HOSTS=["example.com"], USE_X_FORWARDED_HOST=trusts_forwarded):
        assert (host_problem(scope(*headers)) is None) is is_allowed


@pytest.mark.parametrize("server", [("10.0.0.1", 8000), None])
def test_a_handshake_without_a_host_is_denied(server):
    with override_settings(ALLOWED_HOSTS=["10.0.0.1", "unknown"]):
        assert "no Host" in (host_problem(scope(server=server)) or "")


# The application


async def accepts(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


def beside(inner: Any) -> Any:
    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        await (accepts if scope["path"] == "/plain" else inner)(scope, receive, send)

    return dispatch


@pytest.mark.parametrize("path", ["/handler", "/consumer", "/plain", "/nowhere"])
async def test_every_route_is_denied_alike(path, caplog):
    from channels.generic.websocket import AsyncWebsocketConsumer

    app = FastWS()

    @app.websocket("/handler")
    async def handler(ws):
        await ws.accept()

    app.websocket("/consumer")(type("Consumer", (AsyncWebsocketConsumer,), {}))
    application = get_asgi_application(websocket_middleware=[beside])
    with override_settings(ALLOWED_HOSTS=["example.com"]):
        with pytest.raises(HandshakeDenied) as denied:
            async with connect(path, application=application, headers={"Host": "evil.example"}):
                pass
        assert (denied.value.status, denied.value.text) == (400, "Bad Request: this host is not allowed")
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("debug", [False, True])
async def test_tests_need_no_host(debug):
    """Our client has Django's; Channels' has none, and no server."""
    app = FastWS()

    @app.websocket("/handler")
    async def handler(ws):
        await ws.accept()

    with override_settings(ALLOWED_HOSTS=[], DEBUG=debug):
        application = get_asgi_application()
        async with connect("/handler", application=application):
            pass
        communicator = WebsocketCommunicator(application, "/handler")
        assert (await communicator.connect())[0]
        await communicator.disconnect()


# Real servers


@pytest.mark.server
@pytest.mark.parametrize("kind", ["runws_server", "daphne", "uvicorn"])
async def test_on_a_server_only_allowed_hosts_are_let_in(site: Any, kind: str) -> None:
    server: ASGIServer = site(kind)
    for host, status in [(b"localhost", 101), (b"127.0.0.1:1", 101), (b"evil.example", 400), (b"a b", 400)]:
        assert (await asking(server, host))[0] == status


async def asking(server: ASGIServer, host: bytes) -> tuple[int, bytes]:
    return await raw_request(server, b"/ws/echo", [(b"Host", host)], without=(b"Host",))
