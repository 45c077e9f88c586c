"""Closing on servers that refuse close codes, and the loss of a connection, which is no error of anybody's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from django_fastws import WebSocketException
from django_fastws.asgi import Handshake
from django_fastws.routing.endpoint import Endpoint
from django_fastws.routing.signatures import read_signature
from django_fastws.transports.refused_close_codes import send_close
from tests.conftest import tracebacks
from tests.site.client import connect, denial, report, token
from tests.support.processes import HOST


class Refusing:
    """A server that takes some close codes, and is asked by an application."""

    def __init__(self, *codes: int) -> None:
        self.codes = codes
        self.sent: list[Any] = []
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.events.put_nowait({"type": "websocket.connect"})

    async def receive(self) -> Any:
        return await self.events.get()

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close" and message.get("code", 1000) not in self.codes:
            raise Exception(f"invalid close code {message.get('code')}")
        self.sent.append(message)

    async def serve(self, handler: Any) -> None:
        scope = {"type": "websocket", "path": "/x", "headers": [], "query_string": b"", "subprotocols": []}
        application = Handshake(Endpoint(handler, read_signature(handler, "/x")))
        async with asyncio.timeout(30):
            await application(scope, self.receive, self.send)

    @property
    def closed(self) -> list[Any]:
        return [message.get("code") for message in self.sent if message["type"] == "websocket.close"]


@pytest.mark.parametrize(
    ("takes", "asked", "sent"),
    [
        ((1011,), 1011, [1011]),
        ((1000, 4911), 1011, [4911]),
        ((1000,), 1011, [1000]),
        ((1000, 4901), 1001, [4901]),
        ((1000, 4914), 1014, [4914]),
        ((4321,), 4321, [4321]),
    ],
)
async def test_a_code_that_is_refused_has_a_substitute(takes, asked, sent):
    server = Refusing(*takes)
    await send_close(server.send, {"type": "websocket.close", "code": asked, "reason": "why"})
    assert server.closed == sent


@pytest.mark.parametrize("code", [0, 42, 999, 1005, 1006, 2000, 5000, True, "1011"])
async def test_what_is_no_close_code_has_none(code):
    with pytest.raises(Exception, match="invalid close code"):
        await send_close(Refusing(1000, 4911).send, {"type": "websocket.close", "code": code})


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), RuntimeError("gone")])
async def test_a_closed_connection_is_not_tried_again(error):
    tried = []

    async def send(message: Any) -> None:
        tried.append(message["code"])
        raise error

    with pytest.raises(type(error)):
        await send_close(send, {"type": "websocket.close", "code": 1011})
    assert tried == [1011]


async def fails(ws):
    await ws.accept()
    raise WebSocketException(1008, "no")


async def closes_from_beside(ws):
    await ws.accept()
    closing = asyncio.create_task(ws.close(1008, "no"))
    try:
        await ws.receive()  # for ever: the server tells of no end
    finally:
        await closing


async def returns(ws):
    await ws.accept()


@pytest.mark.parametrize("handler", [fails, closes_from_beside, returns])
async def test_where_no_code_is_taken_the_application_ends_with_what_the_server_said(handler, caplog):
    server = Refusing()
    with pytest.raises(Exception, match="invalid close code"):
        await server.serve(handler)
    assert server.closed == []
    assert [record.message.partition(" with ")[0] for record in caplog.records] == ["The server took no close"]


async def test_an_application_that_returns_leaves_no_open_connection():
    async def consumer(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    server = Refusing(1000)
    await Handshake(consumer)({"type": "websocket", "path": "/x", "headers": []}, server.receive, server.send)
    assert server.closed == [1000]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.close"},
        {"type": "websocket.http.response.body", "body": b"no"},
    ],
)
async def test_an_application_that_has_ended_its_connection_sends_nothing_more(message):
    async def consumer(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(message)

    server = Refusing(1000)
    await Handshake(consumer)({"type": "websocket", "path": "/x", "headers": []}, server.receive, server.send)
    assert server.sent == [message]


@pytest.mark.server
@pytest.mark.parametrize("kind", ["daphne", "runws_server", "uvicorn", "uvicorn-websockets", "uvicorn-wsproto"])
async def test_a_consumer_that_accepts_too_late_is_told_of_the_end(site, kind):
    server, name = site(kind), token()
    start = server.log_size()
    _, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(
        f"GET /ws/limited/consumer/late/{name} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "\r\n".encode()
    )
    await report(server, f"{name} waits")
    writer.transport.abort()
    async with connect(server, "/ws/echo") as ws:  # its handshake comes after the other's end
        await ws.send("x")
        await ws.recv()
    await denial(server, f"/ws/go/{name}")
    assert (await report(server, name))["code"] in (1005, 1006)
    log = server.log(start)
    assert "ERROR" not in log
    assert tracebacks(log) == []


@pytest.mark.parametrize("is_own", [False, True], ids=["the connection's", "another"])
async def test_only_the_loss_of_the_connection_itself_is_quiet(caplog, is_own):
    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        raise ConnectionResetError("gone")

    async def consumer(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if is_own:
            raise ConnectionRefusedError("a database")
        await send({"type": "websocket.accept"})

    scope = {"type": "websocket", "path": "/x", "headers": [(b"host", b"testserver")]}
    await Handshake(consumer)(scope, receive, send)
    assert [record.exc_text or record.message for record in caplog.records] != [] if is_own else not caplog.records
