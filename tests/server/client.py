"""The client's end for the tests of the server: HTTP, and WebSocket frames byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.site.client import LIMIT
from tests.support.processes import HOST, ASGIServer

__all__ = [
    "Answer",
    "Connection",
    "FEW_KB",
    "Frame",
    "LIMITED",
    "MEGABYTE",
    "RawClient",
    "chunk",
    "descriptors",
    "fetch",
    "grows_little",
    "make_frame",
    "memory_kb",
    "scripted",
    "spools",
    "told",
]

MEGABYTE = 1024 * 1024
FEW_KB = 12 * 1024  # that a server may grow by, whatever it is sent
LIMITED = 100_000  # bytes, of the largest body that the fixture ``limited`` takes


class Answer(NamedTuple):
    """What an HTTP request was answered with."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def fetch(server: ASGIServer, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    """Ask over HTTP, on a connection of its own."""
    return await asyncio.to_thread(_fetch, server, path, method, headers or {})


def _fetch(server: ASGIServer, path: str, method: str, headers: dict[str, str]) -> Answer:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=LIMIT)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    finally:
        connection.close()


async def spools(server: ASGIServer) -> int:
    """The number of temporary files in which the server keeps bodies of requests."""
    return int((await fetch(server, "/spools/")).json()["files"])


async def told(server: ASGIServer, name: str) -> Any:
    """What the plain application has told under a token; waits for it."""
    return (await fetch(server, f"/told/{name}")).json()


def scripted(name: str, *messages: dict[str, Any]) -> str:
    """The path at which the plain application sends these messages."""
    return f"/script/{name}?script={quote(json.dumps(messages))}"


def memory_kb(server: ASGIServer) -> int:
    """The most memory that a server has had so far."""
    assert server.process is not None
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


class Connection:
    """A TCP connection on which HTTP is written byte by byte."""

    def __init__(self, server: ASGIServer) -> None:
        self.server = server

    async def __aenter__(self) -> Connection:
        self.reader, self.writer = await asyncio.open_connection(HOST, self.server.port)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.writer.transport.abort()

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(LIMIT):
            await self.writer.drain()

    async def head(self, path: str, *lines: str, method: str = "POST", version: str = "HTTP/1.1") -> None:
        await self.write("\r\n".join([f"{method} {path} {version}", f"Host: {HOST}", *lines, "", ""]).encode())

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer, which has a Content-Length."""
        async with asyncio.timeout(LIMIT):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            body = await self.reader.readexactly(int(lines.get(b"content-length", 0)))
        return int(head.split(b" ", 2)[1]), body

    async def facts(self) -> dict[str, object]:
        status, body = await self.answer()
        assert status == 200
        return json.loads(body)

    async def is_closed(self) -> bool:
        async with asyncio.timeout(LIMIT):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read() == b""
        return True


class Frame(NamedTuple):
    """A frame that came from the server."""

    opcode: int
    payload: bytes
    final: bool = True
    rsv: int = 0

    @property
    def code(self) -> int:
        """The close code of a close frame; 1005 if it has none."""
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else 1005

    @property
    def reason(self) -> str:
        return self.payload[2:].decode()


class RawClient:
    """A client that sends any bytes, reads when it wants to, and answers nothing by itself.

    Args:
        server: to connect to.
        path: of the handshake.
        headers: more lines of the handshake.
        early: bytes to send together with the handshake.
        receive_buffer: bytes that the kernel takes for a client that does not read; None for its default.
        waits: whether to wait for the answer of the handshake.
    """

    def __init__(
        self,
        server: ASGIServer,
        path: str,
        headers: str = "",
        *,
        early: bytes = b"",
        receive_buffer: int | None = None,
        waits: bool = True,
    ) -> None:
        self._address = (HOST, server.port)
        self._path = path
        self._headers = headers
        self._early = early
        self._receive_buffer = receive_buffer
        self._waits = waits
        self.head = b""

    async def __aenter__(self) -> RawClient:
        sock = socket.socket()
        if self._receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, self._address)
        # With a small limit, the transport stops reading when nobody reads from it.
        self.reader, self.writer = await asyncio.open_connection(sock=sock, limit=1024)
        handshake = (
            f"GET {self._path} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"{self._headers}\r\n"
        )
        self.writer.write(handshake.encode(errors="surrogateescape") + self._early)
        if self._waits:
            await self.answered()
        return self

    async def answered(self) -> None:
        """Wait for the answer of the handshake."""
        async with asyncio.timeout(LIMIT):
            self.head = await self.reader.readuntil(b"\r\n\r\n")

    async def __aexit__(self, *exc_info: object) -> None:
        self.writer.transport.abort()

    @property
    def status(self) -> int:
        """The HTTP status of the handshake."""
        return int(self.head.split(b" ", 2)[1])

    def send(
        self, opcode: int, payload: bytes = b"", *, final: bool = True, rsv: int = 0, masked: bool = True
    ) -> None:
        """Send one frame."""
        self.writer.write(make_frame(opcode, payload, final=final, rsv=rsv, masked=masked))

    async def receive(self) -> Frame | None:
        """The next frame, or None if the connection was closed."""
        async with asyncio.timeout(LIMIT):
            try:
                first, second = await self.reader.readexactly(2)
                size = second & 0x7F
                if size == 126:
                    (size,) = struct.unpack("!H", await self.reader.readexactly(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
                payload = await self.reader.readexactly(size)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
        return Frame(first & 0x0F, payload, bool(first & 0x80), first >> 4 & 7)

    async def until_close(self) -> tuple[list[Frame], Frame | None]:
        """The frames before the server's close frame, and that; None if the connection was just closed."""
        frames: list[Frame] = []
        while (frame := await self.receive()) is not None:
            if frame.opcode == 8:
                return frames, frame
            frames.append(frame)
        return frames, None

    async def flood(self, data: bytes, total: int) -> int:
        """Send so many bytes, as far as the server takes them within two seconds; returns how many it took."""
        sent = 0
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(2) as limit:
                while sent < total:
                    self.writer.write(data)
                    await self.writer.drain()
                    sent += len(data)
                    limit.reschedule(asyncio.get_running_loop().time() + 2)
        return sent


def make_frame(opcode: int, payload: bytes = b"", *, final: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """A client's frame; its mask is all zeros, so that the payload stands in it as it is."""
    first, mask = (0x80 if final else 0) | rsv << 4 | opcode, 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    """A chunk of a body (RFC 9112 section 7.1)."""
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


@contextlib.contextmanager
def grows_little(server: ASGIServer, kilobytes: int = FEW_KB) -> Iterator[None]:
    """The server takes no more memory than that in the block."""
    before = memory_kb(server)
    yield
    assert memory_kb(server) - before < kilobytes


def descriptors(server: ASGIServer, port: int) -> int:
    """How many of a server's sockets are connected to a port."""
    assert server.process is not None
    inodes = set()
    with open("/proc/net/tcp") as table:
        for line in table.read().splitlines()[1:]:
            fields = line.split()
            if fields[2].endswith(f":{port:04X}"):
                inodes.add(f"socket:[{fields[9]}]")
    directory = f"/proc/{server.process.pid}/fd"
    links = [
        os.readlink(f"{directory}/{name}") for name in os.listdir(directory) if os.path.lexists(f"{directory}/{name}")
    ]
    return sum(link in inodes for link in links)
