"""Servers that refuse close codes: some, or all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from django_fastws import WebSocketException
from django_fastws.asgi import Handshake
from django_fastws.routing.endpoint import Endpoint
from django_fastws.routing.signatures import read_signature
from django_fastws.transports.closing import send_close


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
        async with asyncio.timeout(5):
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
