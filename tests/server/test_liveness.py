"""Slow readers and dead ones: progress of what is sent counts as life, and who takes nothing is cut off."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.client import RawClient, make_frame, told
from tests.server.test_bounds import MEGABYTE, descriptors
from tests.site.client import token, until
from tests.support.processes import ASGIServer

pytestmark = [pytest.mark.server, pytest.mark.faults]

SLOW = 1000  # bytes that are read ten times a second
SECONDS = 6  # which is three times what a client has that takes nothing


async def is_open(server: ASGIServer, client: RawClient) -> bool:
    return descriptors(server, client.writer.get_extra_info("sockname")[1]) > 0


async def read_slowly(client: RawClient, seconds: float) -> None:
    for _ in range(int(seconds * 10)):
        await client.reader.readexactly(SLOW)
        await asyncio.sleep(0.1)


@pytest.fixture
def impatient(plain):
    return plain("--ping-interval", "1", "--ping-timeout", "1")


async def pours(server: ASGIServer) -> RawClient:
    """More is sent than the transport takes."""
    name = token()
    client = await RawClient(server, f"/pour/{name}?megabytes=20", receive_buffer=4096).__aenter__()
    await told(server, name)
    return client


async def echoes(server: ASGIServer) -> RawClient:
    """All that is sent is in the system's buffer, and nothing in the server's."""
    client = await RawClient(server, f"/echo/{token()}", receive_buffer=4096).__aenter__()
    client.writer.write(make_frame(2, b"x" * MEGABYTE))
    await client.writer.drain()
    return client


async def behind_pings(server: ASGIServer) -> RawClient:
    """It does not even read its pongs."""
    client = await RawClient(server, f"/echo/{token()}", receive_buffer=4096).__aenter__()
    assert await client.flood(make_frame(9, b"p" * 125) * 500, 50 * MEGABYTE) < 25 * MEGABYTE
    return client


@pytest.mark.parametrize("connected", [pours, echoes, behind_pings], ids=lambda function: function.__name__)
async def test_a_slow_reader_stays_and_one_that_stops_reading_is_cut_off(impatient, connected):
    client = await connected(impatient)
    try:
        await read_slowly(client, SECONDS)
        assert await is_open(impatient, client)

        async def is_cut() -> bool:
            return not await is_open(impatient, client)

        await until(is_cut, "that the client is cut off", limit=20)
    finally:
        await client.__aexit__()


async def test_a_slow_reader_gets_all_and_then_its_pings(impatient):
    """The ping waits behind a message that takes ten times the timeout."""
    async with RawClient(impatient, f"/echo/{token()}", receive_buffer=4096) as client:
        client.writer.write(make_frame(2, b"x" * 60_000))
        assert await client.reader.readexactly(4) == b"\x82\x7e\xea\x60"
        for _ in range(60):
            assert await client.reader.readexactly(1000) == b"x" * 1000
            await asyncio.sleep(0.05)
        frame = await client.receive()
        assert frame is not None
        assert frame.opcode == 9
        client.send(10, frame.payload)
        client.send(1, b"here")
        while (frame := await client.receive()).opcode == 9:
            client.send(10, frame.payload)
        assert frame.payload == b"here"
