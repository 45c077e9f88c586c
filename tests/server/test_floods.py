"""Floods of messages into a busy handler, and clients that do not read, are held back by the bounds of the server."""

from __future__ import annotations

import asyncio
import struct

import pytest

from tests.server.client import MEGABYTE, RawClient, fetch, grows_little, make_frame, told
from tests.site.client import connect, denial, report, token

pytestmark = [pytest.mark.server, pytest.mark.faults]


@pytest.fixture
def server(plain):
    return plain()


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
