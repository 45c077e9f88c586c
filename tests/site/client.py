"""The client's end of what the servers of the tests serve. Every wait has a limit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import websockets
from websockets.asyncio.client import ClientConnection

from tests.support.processes import HOST, ASGIServer

__all__ = ["LIMIT", "Client", "abort", "connect", "report", "token", "until"]

#: Seconds that any one thing may take, on a machine that does much else.
LIMIT = 30


class Client(ClientConnection):
    """A client whose waiting ends."""

    async def recv(self, decode: bool | None = None) -> Any:
        async with asyncio.timeout(LIMIT):
            return await super().recv(decode)

    async def recv_json(self) -> Any:
        return json.loads(await self.recv())

    async def send_json(self, data: Any) -> None:
        await self.send(json.dumps(data))

    async def ask(self, data: Any) -> Any:
        """Send a value as JSON, and receive one."""
        await self.send_json(data)
        return await self.recv_json()

    async def closed(self) -> tuple[int, str]:
        """Wait for the end, passing over messages: the close code and reason that came from the server."""
        async with asyncio.timeout(LIMIT):
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await super().recv()
        return self.close_code or 0, self.close_reason or ""


def connect(server: ASGIServer, path: str, **options: Any) -> Any:
    """Connect to a server of the tests; as ``websockets.connect``."""
    options = {
        "compression": None,
        "max_size": None,
        "max_queue": None,
        "open_timeout": LIMIT,
        "close_timeout": LIMIT,
        **options,
    }
    url = server.url(quote(path, safe="/?&=%+"))
    return websockets.connect(url, proxy=None, create_connection=Client, **options)


async def denial(server: ASGIServer, path: str, **options: Any) -> tuple[int, bytes]:
    """Connect, and be denied: the HTTP status and the body."""
    try:
        async with connect(server, path, **options):
            raise AssertionError("the handshake was accepted")
    except websockets.InvalidStatus as error:
        return error.response.status_code, bytes(error.response.body or b"")


def token() -> str:
    """A name that no other test has."""
    return uuid.uuid4().hex


async def report(server: ASGIServer, name: str) -> dict[str, Any]:
    """What a handler tells under a token; waits for it."""
    async with connect(server, f"/ws/report/{name}") as ws:
        told: dict[str, Any] = await ws.recv_json()
        return told


def abort(ws: ClientConnection) -> None:
    """Cut the TCP connection with a reset, as a machine does that was switched off and on again."""
    sock = ws.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ws.transport.abort()


async def until(condition: Callable[[], Awaitable[Any]], what: str = "it", limit: float = LIMIT) -> Any:
    """Ask again until it is true; for states that nothing tells of."""
    last = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit):
            while True:
                if last := await condition():
                    return last
                await asyncio.sleep(0.02)
    raise AssertionError(f"{what} did not come true within {limit} seconds; the last answer was {last!r}")


async def raw_request(
    server: ASGIServer, target: bytes, headers: list[tuple[bytes, bytes]], without: tuple[bytes, ...] = ()
) -> tuple[int, bytes]:
    """Send a handshake byte by byte as it is; returns the HTTP status, and all that came before the end or 101."""
    request = b"GET " + target + b" HTTP/1.1\r\n"
    usual = [
        (b"Host", f"{HOST}:{server.port}".encode()),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (b"Sec-WebSocket-Version", b"13"),
    ]
    usual = [pair for pair in usual if pair[0] not in without]
    request += b"".join(b"%s: %s\r\n" % pair for pair in [*usual, *headers]) + b"\r\n"
    reader, writer = await asyncio.open_connection(HOST, server.port)
    try:
        writer.write(request)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while b"\r\n\r\n" not in answer or not answer.startswith(b"HTTP/1.1 101"):
                if not (more := await reader.read(65536)):
                    break
                answer += more
    finally:
        writer.transport.abort()
    status = answer.split(b" ", 2)[1] if answer.startswith(b"HTTP/") else b"0"
    return int(status), answer
