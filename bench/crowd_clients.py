"""Clients of the crowd: one process opens all sockets, some at a time, and keeps them.

    python -m bench.crowd_clients SOCKETS SAID_EACH_SECOND PORT [PORT ...]

It says "ready" when all are open, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import threading

from tests.support.processes import HOST

from .machine import raise_open_files
from .messages import client_frame

__all__ = ["CrowdClient", "main"]

_ROOMS, _SYMBOLS, _TICKETS = 400, 40, 60
_USERS = 3000
_AT_ONCE = 12  # handshakes under way


class CrowdClient(asyncio.Protocol):
    """One socket, which reads nothing of what it gets.

    Args:
        number: of the client, by which it is told what it is.
    """

    __slots__ = ("_head", "_number", "opened", "transport")

    def __init__(self, number: int, opened: asyncio.Future[None]) -> None:
        self._number = number
        self._head = b""
        self.opened: asyncio.Future[None] | None = opened
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for what such a client wants."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(_request(self._number))

    def data_received(self, data: bytes) -> None:
        """Look at the answer to the handshake, and at nothing else."""
        if self.opened is None:
            return
        self._head += data
        if b"\r\n\r\n" not in self._head:
            return
        if not self._head.startswith(b"HTTP/1.1 101 "):
            self.opened.set_exception(RuntimeError(f"the handshake was answered with {self._head[:200]!r}"))
        else:
            self.opened.set_result(None)
            if _kind(self._number) == "live":
                self.say({"join": f"tickets/{self._number % _TICKETS}", "id": 1})
        self.opened, self._head = None, b""

    def connection_lost(self, exc: Exception | None) -> None:
        """It was closed: by the console, perhaps."""
        if self.opened is not None and not self.opened.done():
            self.opened.set_exception(RuntimeError("the connection was closed in the handshake"))

    def say(self, message: object) -> None:
        """Send a message."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(client_frame(json.dumps(message).encode()))


def _kind(number: int) -> str:
    return ("chat", "chat", "chat", "prices", "live")[number % 5]


def _request(number: int) -> bytes:
    # A few rooms have most members, and most have few.
    room = int(_ROOMS * random.Random(number).random() ** 3)
    path = {
        "chat": f"/chat/{room}",
        "prices": f"/prices/S{number % _SYMBOLS:02}",
        "live": "/ws/live",
    }[_kind(number)]
    user = "" if number % 10 >= 7 else f"?as={1 + number * 7919 % _USERS}"
    address = f"10.{number // 2500 % 256}.{number // 50 % 50}.{1 + number % 50}"
    lines = [
        f"GET {path}{user} HTTP/1.1",
        f"Host: {HOST}",
        f"Origin: http://{HOST}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"X-Forwarded-For: {address}",
        f"User-Agent: crowd/{number % 3}",
    ]
    if _kind(number) == "live":
        lines.append("Sec-WebSocket-Protocol: fastws.v1.json")
    return "\r\n".join([*lines, "", ""]).encode()


async def main(count: int, said: float, ports: list[int]) -> None:
    """Open the sockets, say so, and let some of them talk until the standard input ends."""
    loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE)
    clients: list[CrowdClient] = []

    async def connect(number: int, port: int) -> None:
        async with gate:
            opened = loop.create_future()
            async with asyncio.timeout(120):
                _, client = await loop.create_connection(lambda: CrowdClient(number, opened), HOST, port)
                await opened
            clients.append(client)

    turn = itertools.cycle(ports)
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(connect(number, next(turn)))
    print("ready", flush=True)
    ended = asyncio.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True).start()
    talking = [client for client in clients if client.transport is not None][: max(1, len(clients) // 10)]
    while not ended.is_set():
        if said:
            random.choice(talking).say({"text": "Shall we meet at seven?"})
        try:
            async with asyncio.timeout(1 / said if said else None):
                await ended.wait()
        except TimeoutError:
            pass


if __name__ == "__main__":
    raise_open_files()
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), [int(port) for port in sys.argv[3:]]))
