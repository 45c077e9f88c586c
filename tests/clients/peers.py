"""Servers for outbound routes: some behave, some do not. Each listens on a free port of 127.0.0.1."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.support.processes import free_port
from tests.support.tcp import accepted

HOST = "127.0.0.1"
#: How long a test waits for what must happen, on a machine that does much else.
PATIENCE = 40.0


async def soon(condition: Callable[[], Any], what: str = "it", timeout: float = PATIENCE) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout} seconds"
        await asyncio.sleep(0.005)


class Visit:
    """One connection, as the peer saw it.

    Attributes:
        number: 0 for the first.
        path, headers: of the handshake.
        received: messages, by the behaviours that record them.
        opened, closed: times of ``time.monotonic()``; closed is None while it is open.
        close_code, close_reason: what the client closed with; 1006 if it was cut.
    """

    def __init__(self, number: int, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.number = number
        self.connection = connection
        self.path = connection.request.path
        self.headers = connection.request.headers
        self.received: list[str | bytes] = []
        self.opened = time.monotonic()
        self.closed: float | None = None
        self.close_code: int | None = None
        self.close_reason = ""

    @property
    def is_open(self) -> bool:
        return self.closed is None

    async def ended(self) -> Visit:
        """Wait until it is over."""
        await soon(lambda: self.closed is not None, "the end of the connection")
        return self


Behaviour = Callable[[ServerConnection, Visit], Awaitable[None]]


async def echo(ws: ServerConnection, visit: Visit) -> None:
    """Record what comes and send it back."""
    async for message in ws:
        visit.received.append(message)
        await ws.send(message)


async def listen(ws: ServerConnection, visit: Visit) -> None:
    """Record what comes."""
    async for message in ws:
        visit.received.append(message)


def closing(*codes: int | None, reason: str = "", greet: bool = True) -> Behaviour:
    """Greet and close: with the first code on the first connection, and so on; after the last code, or None, stay."""

    async def behave(ws: ServerConnection, visit: Visit) -> None:
        if greet:
            await ws.send(f"hello {visit.number}")
        code = codes[visit.number] if visit.number < len(codes) else None
        if code is not None:
            await ws.close(code, reason)
        else:
            await listen(ws, visit)

    return behave


def sending(message: str | bytes) -> Behaviour:
    """Send one message and stay."""

    async def behave(ws: ServerConnection, visit: Visit) -> None:
        await ws.send(message)
        await listen(ws, visit)

    return behave


class Peer:
    """A WebSocket server built on the library websockets.

    Args:
        behave: what is done with each connection; when it returns the connection is closed with 1000.
        refuse: answers to the first handshakes instead of an acceptance: (status, headers).
        options: for ``websockets.asyncio.server.serve``.

    Attributes:
        visits: every connection so far.
        asked: when each handshake came, refused ones too, and for what path.
    """

    def __init__(
        self, behave: Behaviour = echo, *, refuse: Iterable[tuple[int, Mapping[str, str]]] = (), **options: Any
    ) -> None:
        self.visits: list[Visit] = []
        self.asked: list[tuple[float, str]] = []
        self.errors: list[BaseException] = []
        self.port = 0
        self._behave = behave
        self.refuse = list(refuse)
        self._options = {"ping_interval": None, "close_timeout": 5, "open_timeout": PATIENCE, **options}
        self._server: Server | None = None

    @property
    def url(self) -> str:
        scheme = "wss" if self._options.get("ssl") else "ws"
        return f"{scheme}://{HOST}:{self.port}"

    @property
    def open_visits(self) -> list[Visit]:
        return [visit for visit in self.visits if visit.is_open]

    async def visit(self, number: int = 0) -> Visit:
        """Wait for a connection."""
        await soon(lambda: len(self.visits) > number, f"connection {number}")
        return self.visits[number]

    async def start(self, port: int = 0) -> None:
        self._server = await serve(
            self._serve_one, HOST, port or free_port(), process_request=self._process_request, **self._options
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            server.server.close()
            await accepted()  # websockets itself waits one turn for them
            server.close()
            await server.wait_closed()

    async def __aenter__(self) -> Peer:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()
        for error in self.errors:
            raise error

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        self.asked.append((time.monotonic(), request.path))
        if not self.refuse:
            return None
        status, headers = self.refuse.pop(0)
        response = connection.respond(status, "no\n")
        response.headers.update(headers)
        return response

    async def _serve_one(self, connection: ServerConnection) -> None:
        visit = Visit(len(self.visits), connection)
        self.visits.append(visit)
        try:
            with contextlib.suppress(ConnectionClosed):
                await self._behave(connection, visit)
        except Exception as error:
            self.errors.append(error)
        finally:
            await connection.close()
            received = connection.protocol.close_rcvd
            visit.close_code = 1006 if received is None else received.code
            visit.close_reason = "" if received is None else received.reason
            visit.closed = time.monotonic()


# Peers that break the protocol


class RawPeer:
    """A TCP server, for what no WebSocket library would do.

    Args:
        behave: called with reader, writer and the number of the connection; when it returns the connection is cut.
    """

    def __init__(
        self, behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]], **options: Any
    ) -> None:
        self.port = 0
        self.count = 0
        self._behave = behave
        self._options = options
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"ws://{HOST}:{self.port}"

    async def __aenter__(self) -> RawPeer:
        self._server = await asyncio.start_server(self._serve_one, HOST, 0, **self._options)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        await accepted()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number, self.count = self.count, self.count + 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._behave(reader, writer, number)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


async def read_request(reader: asyncio.StreamReader) -> str:
    """The request line and headers of a handshake."""
    return (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")


async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Accept a handshake; returns the request."""
    request = await read_request(reader)
    key = next(line[19:].strip() for line in request.split("\r\n") if line.lower().startswith("sec-websocket-key:"))
    accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
    writer.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    await writer.drain()
    return request


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True) -> bytes:
    """A frame as a server sends it; the opcode 1 is text, 2 binary, 8 close."""
    head = bytes([opcode | (0x80 if fin else 0)])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    if len(payload) < 65536:
        return head + bytes([126]) + struct.pack("!H", len(payload)) + payload
    return head + bytes([127]) + struct.pack("!Q", len(payload)) + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Opcode and payload of one short frame from a client."""
    head = await reader.readexactly(2)
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(head[1] & 0x7F)
    return head[0] & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


async def read_close(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Code and reason of the client's close frame, passing over what comes before it."""
    while True:
        opcode, payload = await read_frame(reader)
        if opcode == 8:
            return int.from_bytes(payload[:2], "big"), payload[2:].decode()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int = 0) -> None:
    """Read everything and answer nothing, until the client goes."""
    while await reader.read(65536):
        pass
