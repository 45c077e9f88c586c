"""Floods, slow readers and dead peers: each costs its bound, and is noticed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import time

import pytest

from tests.server.client import RawClient, fetch, make_frame, memory_kb, told
from tests.site.client import connect, denial, report, token, until
from tests.support.processes import ASGIServer

pytestmark = [pytest.mark.server, pytest.mark.faults]

MEGABYTE = 1024 * 1024
FEW_KB = 12 * 1024  # that a server may grow by, whatever it is sent


@pytest.fixture
def server(plain):
    return plain()


@contextlib.contextmanager
def grows_little(server: ASGIServer, kilobytes: int = FEW_KB):
    before = memory_kb(server)
    yield
    assert memory_kb(server) - before < kilobytes


# In: more than a handler receives


@pytest.mark.parametrize(
    ("opcode", "size", "total"), [(2, 60_000, 250 * MEGABYTE), (1, 0, 300_000), (2, 1_000_000, 250 * MEGABYTE)]
)
async def test_a_flood_into_a_busy_handler_is_held_back_and_nothing_of_it_is_lost(server, opcode, size, total):
    name = token()
    frame = make_frame(opcode, b"x" * size)
    async with RawClient(server, f"/busy/{name}", receive_buffer=65536) as client:
        with grows_little(server):
            taken = await client.flood(frame * max(1, 60_000 // len(frame)), total)
            assert taken < 25 * MEGABYTE  # the rest is held back by the kernel
            client.send(8, struct.pack("!H", 4000) + b"enough")
            await fetch(server, f"/go/{name}")
            facts = await told(server, name)
        assert facts["end"] == {"type": "websocket.disconnect", "code": 4000, "reason": "enough"}
        assert facts["messages"] * len(frame) >= taken
        assert facts["bytes"] == facts["messages"] * size
        assert (await client.until_close())[1].code == 4000


async def test_a_flood_into_a_busy_handler_of_the_package_is_held_back(site):
    server, name = site("runws_server"), token()
    frame = make_frame(1, b"x" * 60_000)
    async with RawClient(server, f"/ws/busy/{name}", receive_buffer=65536) as client:
        with grows_little(server):
            assert await client.flood(frame, 250 * MEGABYTE) < 25 * MEGABYTE
            client.send(8, struct.pack("!H", 4000))
            async with connect(server, "/ws/echo") as other:  # it stops nobody else
                await other.send("x")
                assert await other.recv() == "x"
            await denial(server, f"/ws/go/{name}")
            assert (await report(server, name))["code"] == 4000


async def test_a_ping_that_comes_while_the_reading_is_paused_is_answered_later(server):
    name = token()
    async with RawClient(server, f"/busy/{name}") as client:
        for _ in range(200):
            client.send(1, b"x")
        client.send(9, b"are you there?")
        client.send(1, b"last")
        await fetch(server, f"/go/{name}")
        frame = await client.receive()
        assert (frame.opcode, frame.payload) == (10, b"are you there?")
        client.send(8)
        assert (await told(server, name))["messages"] == 201


async def test_the_settings_say_how_much_may_wait(serve_plain):
    settings = {"FASTWS_RECEIVE_BUFFER_MESSAGES": 2, "FASTWS_RECEIVE_BUFFER_BYTES": 100_000_000}
    few = serve_plain(settings=settings)
    small = serve_plain(settings={"FASTWS_RECEIVE_BUFFER_MESSAGES": 10**6, "FASTWS_RECEIVE_BUFFER_BYTES": 100})
    for server in (few, small):
        name = token()
        async with RawClient(server, f"/busy/{name}") as client:
            for _ in range(8):
                client.send(1, b"x" * 50)
            client.send(9, b"behind them")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await client.reader.readexactly(1)
            await fetch(server, f"/go/{name}")
            assert (await client.receive()).payload == b"behind them"


@pytest.mark.parametrize("fragmented", [False, True])
async def test_a_message_over_the_limit_closes_with_1009_and_is_not_kept(server, fragmented):
    name = token()
    async with RawClient(server, f"/echo/{name}", receive_buffer=65536) as client:
        with grows_little(server):
            if fragmented:
                client.send(2, b"x" * 60_000, final=False)
                await client.flood(make_frame(0, b"x" * 60_000, final=False), 50 * MEGABYTE)
            else:
                client.writer.write(b"\x82\xff" + struct.pack("!Q", 2**40) + b"\0\0\0\0")
                await client.flood(b"x" * 60_000, 50 * MEGABYTE)
            frames, close = await client.until_close()
        assert frames == []
        assert (close.code, close.reason) == (1009, "the message is over 1048576 bytes")
    end = await told(server, name)
    assert (end["code"], end["reason"]) == (1009, "the message is over 1048576 bytes")


async def test_a_message_of_exactly_the_limit_is_taken(serve_plain):
    server, name = serve_plain(settings={"FASTWS_MAX_MESSAGE_BYTES": 1000}), token()
    async with RawClient(server, f"/echo/{name}") as client:
        client.send(1, b"x" * 500, final=False)
        client.send(0, b"x" * 500)
        assert (await client.receive()).payload == b"x" * 1000
        client.send(1, b"x" * 1001)
        assert (await client.until_close())[1].code == 1009


# Out: a client that does not read


async def test_an_application_that_sends_to_a_client_that_reads_nothing_has_to_wait(server):
    name = token()
    async with RawClient(server, f"/pour/{name}?megabytes=200", receive_buffer=65536):
        with grows_little(server):
            assert (await told(server, name))["sent"] < 16


async def test_a_client_that_reads_on_gets_all(server):
    name = token()
    async with connect(server, f"/pour/{name}?megabytes=40") as ws:
        await told(server, name)
        assert [len(await ws.recv()) for _ in range(40)] == [MEGABYTE] * 40
    assert await told(server, f"end-{name}") == {"sent": 40}


async def test_a_stream_over_http_waits_for_its_client(server):
    name = token()
    with grows_little(server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(f"GET /stream/{name}?megabytes=60 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await told(server, name))["sent"] < 16
        size = 0
        async with asyncio.timeout(20):
            while not (data := await reader.read(MEGABYTE)).endswith(b"0\r\n\r\n"):
                size += len(data)
        writer.close()
    assert size + len(data) > 60 * MEGABYTE


# Peers that are dead, or might as well be


@pytest.fixture
def impatient(plain):
    return plain("--ping-interval", "1", "--ping-timeout", "1")


async def test_a_peer_that_answers_no_ping_is_cut_off(impatient):
    name, started = token(), time.monotonic()
    async with RawClient(impatient, f"/echo/{name}") as client:
        frame = await client.receive()
        assert frame.opcode == 9
        assert await client.receive() is None
    assert 1 < time.monotonic() - started < 8
    assert (await told(impatient, name))["code"] == 1006


async def test_a_peer_that_answers_pings_is_kept(impatient):
    async with connect(impatient, "/echo/") as ws:
        await asyncio.sleep(4)
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


async def test_a_client_that_closes_and_never_reads_does_not_stay(server):
    """It has sent its close frame, and does not take the answer, nor what was sent before."""
    name = token()
    async with RawClient(server, f"/pour/{name}?megabytes=20", receive_buffer=4096) as client:
        await told(server, name)
        client.send(8, struct.pack("!H", 1000))
        assert server.process is not None

        async def is_closed() -> bool:
            return descriptors(server, client.writer.get_extra_info("sockname")[1]) == 0

        await until(is_closed, "the end of the connection", limit=15)


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
