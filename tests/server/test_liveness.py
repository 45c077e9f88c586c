"""Liveness: peers that answer no ping are cut off; slow readers stay, for progress of what is sent counts as life."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time

import pytest

from tests.server.client import MEGABYTE, RawClient, descriptors, fetch, grows_little, make_frame, told
from tests.server.loops import both_loops
from tests.site.client import connect, token, until
from tests.support.processes import ASGIServer

pytestmark = [pytest.mark.server, pytest.mark.faults]

SLOW = 1000  # bytes that are read ten times a second
SECONDS = 10  # which is twice what a client has that takes nothing


async def is_open(server: ASGIServer, client: RawClient) -> bool:
    return descriptors(server, client.writer.get_extra_info("sockname")[1]) > 0


async def read_slowly(client: RawClient, seconds: float) -> None:
    for _ in range(int(seconds * 10)):
        await client.reader.readexactly(SLOW)
        await asyncio.sleep(0.1)


@pytest.fixture
def impatient(plain):
    return plain("--ping-interval", "1", "--ping-timeout", "4")  # a busy machine lets no client read for a while


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


@both_loops
@pytest.mark.parametrize("connected", [pours, echoes, behind_pings], ids=lambda function: function.__name__)
async def test_a_slow_reader_stays_and_one_that_stops_reading_is_cut_off(impatient, connected):
    client = await connected(impatient)
    try:
        await read_slowly(client, SECONDS)
        assert await is_open(impatient, client)

        async def is_cut() -> bool:
            return not await is_open(impatient, client)

        await until(is_cut, "that the client is cut off", limit=60)
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


@pytest.fixture
def server(plain):
    return plain()


@both_loops
async def test_a_peer_that_answers_no_ping_is_cut_off(impatient):
    name, started = token(), time.monotonic()
    async with RawClient(impatient, f"/echo/{name}") as client:
        frame = await client.receive()
        assert frame.opcode == 9
        assert await client.receive() is None
    assert 1 < time.monotonic() - started < 20
    assert (await told(impatient, name))["code"] == 1006


async def test_a_peer_that_answers_pings_is_kept(impatient):
    async with connect(impatient, "/echo/") as ws:
        await asyncio.sleep(6)
        await ws.send("still here")
        assert await ws.recv() == "still here"


async def _writes_and_never_reads(client: RawClient, data: bytes, pause: float) -> None:
    with contextlib.suppress(ConnectionError):
        while not client.writer.is_closing():
            client.writer.write(data)
            await client.writer.drain()
            await asyncio.sleep(pause)


@pytest.mark.parametrize(("size", "pause"), [(10, 0.05), (60_000, 0.001)], ids=["now and then", "as fast as it can"])
async def test_a_peer_that_writes_and_never_reads_is_cut_off(impatient, size, pause):
    name = token()
    async with RawClient(impatient, f"/echo/{name}", receive_buffer=4096) as client:
        with grows_little(impatient):
            writing = asyncio.create_task(_writes_and_never_reads(client, make_frame(2, b"x" * size), pause))
            facts = await told(impatient, name)
            writing.cancel()
    assert facts["code"] == 1006


async def test_a_slow_handler_does_not_cost_its_client_the_connection(impatient):
    """While the reading is paused, so are the pings: the pong would stand behind what was not read."""
    name = token()
    async with connect(impatient, f"/busy/{name}", ping_interval=None) as ws:
        for _ in range(200):
            await ws.send("x")
        await asyncio.sleep(4)
        await fetch(impatient, f"/go/{name}")
        await ws.close(4000)
    facts = await told(impatient, name)
    assert (facts["messages"], facts["end"]["code"]) == (200, 4000)


async def test_a_client_that_is_in_the_middle_of_a_big_frame_is_given_time(impatient):
    name = token()
    async with RawClient(impatient, f"/echo/{name}") as client:
        frame = make_frame(2, b"x" * 10_000)
        pinged = asyncio.create_task(client.receive())
        for position in range(0, len(frame), 1000):
            client.writer.write(frame[position : position + 1000])
            await asyncio.sleep(0.4)
        ping = await pinged
        assert ping.opcode == 9
        client.send(10, ping.payload)
        assert (await client.receive()).payload == b"x" * 10_000


@both_loops
async def test_a_client_that_closes_and_never_reads_does_not_stay(server):
    """It has sent its close frame, and does not take the answer, nor what was sent before."""
    name = token()
    async with RawClient(server, f"/pour/{name}?megabytes=20", receive_buffer=4096) as client:
        await told(server, name)
        client.send(8, struct.pack("!H", 1000))
        assert server.process is not None

        async def is_closed() -> bool:
            return descriptors(server, client.writer.get_extra_info("sockname")[1]) == 0

        await until(is_closed, "the end of the connection", limit=60)


@both_loops
async def test_an_application_that_goes_on_after_its_client_is_cancelled_and_that_is_said_once(plain):
    server, name = plain("--application-close-timeout", "1"), token()
    start = server.log_size()
    async with connect(server, f"/stubborn/{name}"):
        pass

    async def is_cancelled() -> bool:
        return f"cancelled: {name}" in server.log(start)

    await until(is_cancelled)
    assert server.log(start).count("it goes on 1 seconds after its client has gone") == 1


@pytest.mark.parametrize("kind", ["runws_server", "daphne", "uvicorn"])
async def test_a_member_that_reads_again_is_told_that_it_was_too_slow(site, kind):
    server, room = site(kind), token()
    async with (
        RawClient(server, f"/ws/member?room={room}", receive_buffer=65536) as slow,
        connect(server, "/ws/member") as sender,
    ):
        await sender.recv()
        for _ in range(100):
            said = await sender.ask({"do": "broadcast", "room": room, "data": "x" * 100_000})
            assert said == {"done": None}
        await until(lambda: is_too_slow(server), "that it is slow")
        await asyncio.sleep(2)  # in which it does not read
        frames, close = await slow.until_close()
    assert close is not None
    assert (close.code, close.reason) == (1013, "too slow")
    assert {len(frame.payload) for frame in frames[1:]} == {100_000}


async def is_too_slow(server: ASGIServer) -> bool:
    return "it is disconnected with 1013" in server.log()
