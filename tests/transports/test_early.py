"""Clients that are gone before their handshake is answered: no error of anybody's, and nothing to log."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from django_fastws.asgi import Handshake
from tests.conftest import tracebacks
from tests.site.client import connect, denial, report, token
from tests.support.processes import HOST


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
