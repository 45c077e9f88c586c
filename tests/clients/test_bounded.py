"""Bounds of a connection: pings whose pongs the peer never reads, and fragments without end."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.transports import transport_of

from .conftest import running
from .handlers import by_async_for
from .peers import frame, read_frame, shake_hands, soon

PING, PONG, CONTINUATION = 9, 10, 0


def numbered_pings(count):
    return b"".join(frame(b"%0100d" % number, PING) for number in range(count))


async def fill(ws):
    """Send until the transport takes no more."""
    while not transport_of(ws).connection.is_full:
        await ws.send("x" * 10_000)


async def collect_pongs(reader, until):
    """The payloads of pongs, up to a certain one; what else comes is passed over."""
    pongs = []
    while not pongs or pongs[-1] != until:
        head = await reader.readexactly(2)
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2), "big")
        mask = await reader.readexactly(4)
        payload = await reader.readexactly(size)
        if head[0] & 0x0F == PONG:
            pongs.append(bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)))
    return pongs


@pytest.mark.parametrize("before", [b"", frame(b"part", 1, fin=False)], ids=["alone", "within a message"])
async def test_a_peer_that_pings_and_reads_nothing_is_owed_one_pong(app, raw_peer, before):
    count = 40_000
    full, flooded, got = asyncio.Event(), asyncio.Event(), []
    sizes = []

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        await full.wait()
        writer.write(before)
        pings = numbered_pings(count)
        for start in range(0, len(pings), 65_536):
            writer.write(pings[start : start + 65_536])
            await writer.drain()
        writer.write(frame(b" and the rest", CONTINUATION) if before else frame(b"text"))
        await writer.drain()
        await flooded.wait()
        got.extend(await collect_pongs(reader, b"%0100d" % (count - 1)))
        await reader.read()

    server = await raw_peer(behave)

    @app.ws(server.url, ping_interval=None, close_timeout=0.5)
    async def feed(ws):
        await fill(ws)
        transport = transport_of(ws).connection.transport
        sizes.append(transport.get_write_buffer_size())
        full.set()
        await ws.receive_text()  # everything before was read, though the peer reads nothing
        sizes.append(transport.get_write_buffer_size())
        flooded.set()
        await soon(lambda: got)

    async with running(app) as it:
        assert await it.ended()
    assert sizes[1] <= sizes[0]
    assert len(got) < count / 4  # at first there is room for some


async def test_a_few_pings_are_answered_one_by_one(app, raw_peer):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(b"".join(frame(b"%d" % number, PING) for number in range(10)))
        assert [await read_frame(reader) for _ in range(10)] == [(PONG, b"%d" % number) for number in range(10)]
        writer.write(frame((1000).to_bytes(2, "big"), 8))
        await reader.read()

    server = await raw_peer(behave)

    app.ws(server.url, close_timeout=0.5)(by_async_for)
    async with running(app) as it:
        assert await it.ended()


async def test_of_very_many_pings_at_once_the_latest_is_answered(app, raw_peer):
    got = []

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(numbered_pings(2000))
        got.extend(await collect_pongs(reader, b"%0100d" % 1999))
        await reader.read()

    server = await raw_peer(behave)

    @app.ws(server.url, close_timeout=0.5)
    async def feed(ws):
        await soon(lambda: got)

    async with running(app) as it:
        assert await it.ended()
    assert got == sorted(got)


async def close_of(reader):
    while True:
        opcode, payload = await read_frame(reader)
        if opcode == 8:
            return int.from_bytes(payload[:2], "big"), payload[2:].decode()


@pytest.mark.parametrize("size", [0, 1, 2, 8])
@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_a_message_in_very_many_small_fragments_is_refused(app, raw_peer, size, compression):
    seen = []

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        part = frame(b"x" * size, CONTINUATION, fin=False)
        writer.write(frame(b"x", fin=False) + part * 3000)
        seen.append(await close_of(reader))
        writer.write(part * 3000)

    server = await raw_peer(behave)

    @app.ws(server.url, max_size=None, compression=compression, close_timeout=0.5)
    async def feed(ws):
        await ws.receive_text()

    async with running(app) as it:
        await it.ended()
    assert seen == [(1008, "too many fragments")]


@pytest.mark.parametrize(("count", "size"), [(1000, 0), (1000, 1), (20_000, 17), (3000, 300)])
async def test_a_message_in_fragments_that_pay_is_received(app, raw_peer, count, size):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        for _ in range(2):  # the count begins anew
            writer.write(frame(b"x", fin=False) + frame(b"x" * size, 0, fin=False) * count + frame(b"y", 0))
        await writer.drain()
        await reader.read()

    server = await raw_peer(behave)
    sizes = []

    @app.ws(server.url, close_timeout=0.5)
    async def feed(ws):
        sizes.extend([len(await ws.receive_text()), len(await ws.receive_text())])

    async with running(app) as it:
        assert await it.ended()
    assert sizes == [count * size + 2] * 2


async def test_others_have_their_turn_while_a_peer_floods(app, raw_peer):
    """The library has to read these frames one by one, which would take it a second or two, all at once."""

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        await read_frame(reader)
        writer.write(
            frame(b"begin") + frame(b"part", fin=False) + frame(b"", PONG) * 60_000 + frame(b"end", CONTINUATION)
        )
        await writer.drain()
        await reader.read()

    server = await raw_peer(behave)
    turns = []

    @app.ws(server.url, ping_interval=None, close_timeout=0.5)
    async def feed(ws):
        await ws.send("ready")
        assert await ws.receive_text() == "begin"
        waiting = asyncio.ensure_future(ws.receive_text())
        while not waiting.done():
            turns.append(None)
            await asyncio.sleep(0)
        assert await waiting == "partend"

    async with running(app) as it:
        assert await it.ended()
    assert len(turns) > 20
