"""Connections that end badly, or will not end: each goes in bounded time, and leaves no descriptor behind."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.server.client import Connection, RawClient, fetch, make_frame, scripted
from tests.site.client import token, until
from tests.support.processes import ASGIServer

pytestmark = [pytest.mark.server, pytest.mark.faults]

CONNECTIONS = 200
SOME = 50  # of those, where the server keeps fewer of one address: it waits for a request or a body
FEW = 20  # of those, where the server has closed: the first may be gone when the last come, on a slow machine
CLOSE_SECONDS = 5  # that a client has for its part of a closing handshake
LATE_SECONDS = 30  # for a machine that is busy

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close", "code": 4000}
ANSWER = struct.pack("!H", 4000)


@pytest.fixture
def server(plain):
    return plain()


def descriptors(server: ASGIServer) -> int:
    assert server.process is not None
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


async def settled(server: ASGIServer) -> int:
    """How many descriptors a server has, once those of the tests before are closed."""
    await fetch(server, "/scope/")
    counts = [descriptors(server)]
    while len(counts) < 5 or len(set(counts[-5:])) > 1:
        await asyncio.sleep(0.02)
        counts.append(descriptors(server))
    return counts[-1]


async def returns_to(server: ASGIServer, count: int) -> None:
    async def is_there() -> bool:
        return descriptors(server) <= count

    await until(is_there, f"a return to {count} descriptors", CLOSE_SECONDS + LATE_SECONDS)


# Cut connections

HALF_HANDSHAKE = b"GET /echo/ HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSo"
HALF_BODY = b"POST /upload/ HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000


def _not_accepted(server: ASGIServer) -> RawClient:
    return RawClient(server, f"/silent/{token()}", waits=False)


def _closed_by_the_server(server: ASGIServer) -> RawClient:
    return RawClient(server, scripted(token(), ACCEPT, CLOSE))


def _echo(server: ASGIServer) -> RawClient:
    return RawClient(server, "/echo/")


@pytest.mark.parametrize(
    ("opening", "data", "held"),
    [
        (Connection, b"", SOME),
        (Connection, HALF_HANDSHAKE, SOME),
        (Connection, HALF_BODY, SOME),
        (_not_accepted, b"", SOME),
        (_echo, b"", CONNECTIONS),
        (_echo, make_frame(2, b"x" * 1000) * 20, CONNECTIONS),
        (_echo, make_frame(2, b"x" * 1000)[:-1], CONNECTIONS),
        (_echo, make_frame(8, ANSWER), 0),
        (_closed_by_the_server, b"", FEW),
        (_closed_by_the_server, make_frame(8, ANSWER)[:-1], FEW),
    ],
    ids=[
        "connected",
        "half a handshake",
        "half a body",
        "not accepted",
        "open",
        "with answers unread",
        "half a message",
        "closed by the client",
        "closed by the server",
        "half a close",
    ],
)
async def test_connections_that_are_cut_leave_no_descriptor(server, opening: Callable[[ASGIServer], Any], data, held):
    before = await settled(server)
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            client = await stack.enter_async_context(opening(server))
            client.writer.write(data)
        peak = descriptors(server)
    assert peak >= before + held
    await returns_to(server, before)


# Closing handshakes that never end


async def _read_nothing(client: RawClient) -> None:
    await asyncio.Event().wait()


def _send(data: bytes, *, pause: float = 0.0, first: bytes = b"") -> Callable[[RawClient], Awaitable[None]]:
    async def send_for_ever(client: RawClient) -> None:
        client.writer.write(first)
        while True:
            client.writer.write(data)
            await client.writer.drain()
            await asyncio.sleep(pause)

    return send_for_ever


async def _read_and_ping(client: RawClient) -> None:
    await asyncio.gather(client.reader.read(), _send(make_frame(9, b"still here"), pause=0.1)(client))


MESSAGE = make_frame(2, b"x" * 60_000)
CLIENTS = [
    _read_nothing,
    _read_and_ping,
    _send(MESSAGE),
    _send(MESSAGE, first=b"\x82\xff" + struct.pack("!Q", 2**40)),  # one that never ends
    _send(b"\0", pause=0.1, first=make_frame(8, ANSWER)[:-2]),
    _send(make_frame(0, final=False) * 100, first=make_frame(2, final=False)),
    _send(MESSAGE, first=make_frame(3)),  # a mistake, which the server closes for
    _send(MESSAGE, first=make_frame(8, ANSWER)),
]


async def test_closing_handshakes_end_whatever_the_clients_do(server):
    """Of the server, and of the client behind what it does not take. All at once: each may take its time."""
    before = await settled(server)
    async with AsyncExitStack() as stack:
        tasks = []
        for behave in CLIENTS:
            ours = RawClient(server, scripted(token(), ACCEPT, CLOSE), receive_buffer=4096)
            theirs = RawClient(server, f"/pour/{token()}?megabytes=5", receive_buffer=4096)
            for client in (ours, theirs):
                await stack.enter_async_context(client)
                tasks.append(asyncio.create_task(behave(client)))
            theirs.send(8, ANSWER)
        await returns_to(server, before)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
