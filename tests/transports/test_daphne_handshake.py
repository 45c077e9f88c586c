"""What is mended in handshakes of daphne's, and under which path the application is served."""

from __future__ import annotations

import asyncio
import functools
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from asgiref.testing import ApplicationCommunicator

from django_fastws._core.messages import Payload
from django_fastws.asgi import get_asgi_application
from django_fastws.transports import daphne_handshake, served_scope
from tests.server.client import fetch
from tests.site.client import raw_request
from tests.support.processes import ASGIServer
from tests.transports.connections import DAPHNE, connected, on
from tests.transports.fakes import turns


@pytest.mark.server
@pytest.mark.parametrize("kind", ["runws_server", "runserver", "daphne", "uvicorn"])
async def test_a_client_opens_nothing_by_saying_where_it_is_mounted(site: Any, kind: str) -> None:
    server: ASGIServer = site(kind)
    for name in ("Daphne-Root-Path", "daphne_root_path", "X-Script-Name", "SCRIPT-NAME"):
        assert (await raw_request(server, b"/x/ws/echo", [(name.encode(), b"/x")]))[0] == 404
        assert (await raw_request(server, b"/ws/echo", [(name.encode(), b"//evil.example")]))[0] == 101
        assert (await fetch(server, "/x/hello/", headers={name: "/x"})).status == 404
        assert (await fetch(server, "/hello/", headers={name: "//evil.example"})).status == 200


@pytest.mark.server
@pytest.mark.parametrize("kind", ["runws_server", "runserver", "daphne", "uvicorn"])
async def test_a_host_in_front_of_the_path_is_part_of_the_path(site: Any, kind: str) -> None:
    for target in (b"//x/ws/echo", b"//127.0.0.1/ws/echo", b"//x;y/ws/echo", b"//ws/echo", b"///ws/echo"):
        assert (await raw_request(site(kind), target, []))[0] == 404, target


def handle_reply(protocol: Any, message: Any) -> None: ...


@pytest.mark.parametrize(
    ("told", "claimed", "root_path"), [("", "/x", ""), ("/app", "//evil", "/app"), ("/app", "/app", "/app")]
)
def test_daphnes_option_counts_and_not_its_header(told, claimed, root_path):
    protocol = SimpleNamespace(server=SimpleNamespace(root_path=told))
    send: Any = functools.partial(handle_reply, protocol)
    assert served_scope({"type": "http", "root_path": claimed}, send)["root_path"] == root_path


async def send_of_another_server(message: Any) -> None: ...


def test_what_another_server_says_is_left_as_it_is():
    scope = {"type": "http", "root_path": "/app"}
    assert served_scope(scope, send_of_another_server) is scope


async def test_a_header_with_underscores_is_not_taken_for_one_with_hyphens(monkeypatch):
    monkeypatch.setattr("django.setup", lambda **kwargs: None)
    seen = []

    async def django(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["headers"])

    monkeypatch.setattr("django_fastws.asgi.get_django_application", lambda: django)
    headers = [(b"host", b"x"), (b"x_forwarded_proto", b"https"), (b"x-forwarded-for", b"1")]
    application = ApplicationCommunicator(get_asgi_application(), {"type": "http", "headers": headers})
    await application.wait()
    assert seen == [[(b"host", b"x"), (b"x-forwarded-for", b"1")]]


# What is mended


@on(*DAPHNE)
@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/chat/a;b?c=d;e", "/chat/a;b"),
        ("/chat/gr%C3%B6%C3%9Fe;%20b", "/chat/größe; b"),
        ("/chat/a", "/chat/a"),
        ("/chat/ab?;", "/chat/ab"),
        ("//x/chat/a", "//x/chat/a"),
        ("//x;y/chat/a;b?c", "//x;y/chat/a;b"),
        ("///chat/gr%C3%B6%C3%9Fe", "///chat/größe"),
    ],
)
async def test_the_path_is_all_that_was_asked_for(kind, target, path):
    async with connected(kind, path=target) as connection:
        scope = connection.transport.scope
        assert scope["path"] == path
        assert unquote(scope["raw_path"].decode()) == path


@on(DAPHNE[0])
@pytest.mark.parametrize("uri", ["/other;b", ""])
async def test_a_path_that_is_another_stays_as_it_is(kind, uri):
    def alter(receive, send):
        send.args[0].http_request_uri = uri
        return receive, send

    async with connected(kind, path="/chat/a", alter=alter) as connection:
        assert connection.transport.scope["path"] == "/chat/a"


@on(*DAPHNE)
async def test_headers_and_a_subprotocol_are_accepted(kind):
    headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-a", b"gr\xf6")]
    async with connected(kind, accepts=False, subprotocols=["other", "chat"]) as connection:
        await connection.transport.accept("chat", headers)
        answer = await connection.client.answer()
        assert answer.status_code == 101
        assert answer.headers["Sec-WebSocket-Protocol"] == "chat"
        assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
        assert "x-a" in answer.headers
        connection.transport.post(Payload("hi"))
        assert await connection.client.receive() == "hi"


@on(*DAPHNE)
async def test_a_denial_has_status_text_and_length(kind):
    async with connected(kind, accepts=False) as connection:
        assert connection.transport.can_deny
        await connection.transport.deny(404, "Nicht gefunden: ö", [(b"retry-after", b"5")])
        answer = await connection.client.answer()
    assert (answer.status_code, answer.reason_phrase) == (404, "Not Found")
    assert answer.body.decode() == "Nicht gefunden: ö"
    assert answer.headers["content-length"] == "18"
    assert answer.headers["connection"] == "close"
    assert answer.headers["retry-after"] == "5"


@on(*DAPHNE)
async def test_a_denial_may_have_no_length_and_come_in_pieces(kind):
    async with connected(kind, accepts=False) as connection:
        transport = connection.transport
        await transport.send({"type": "websocket.http.response.start", "status": 599, "headers": [(b"x-a", b"1")]})
        await transport.send({"type": "websocket.http.response.body", "body": b"ab", "more_body": True})
        await turns()
        assert connection.client.raw == b""
        await transport.send({"type": "websocket.http.response.body", "body": b"cd"})
        answer = await connection.client.answer()
    assert (answer.status_code, answer.body, answer.headers["content-length"]) == (599, b"abcd", "4")


@on(*DAPHNE)
async def test_an_open_connection_has_nothing_left_of_its_handshake(kind):
    async with connected(kind) as connection:
        left = vars(connection.protocol)
        assert left.keys() & daphne_handshake.HANDSHAKE == set()
        assert vars(connection.protocol) is left
        assert not hasattr(left["request"], "headers")
        assert left["request"].path == "/x"  # for the log


@on(*DAPHNE)
async def test_what_is_let_go_of_is_there_before(kind):
    async with connected(kind, accepts=False) as connection:
        known = {name for name in daphne_handshake.HANDSHAKE if hasattr(connection.protocol, name)}
        assert known >= daphne_handshake.HANDSHAKE - {"is_open", "http_response_data"}


@on(*DAPHNE)
async def test_the_http_channel_does_not_stop_the_reading_when_the_client_does_not_read(kind):
    async with connected(kind, socket_bytes=65_536) as connection:
        while connection.transport.try_send(Payload("x" * 20_000)):
            await turns()
        await connection.client.send("still heard")
        assert await asyncio.wait_for(connection.transport.receive_data(), 8) == "still heard"
