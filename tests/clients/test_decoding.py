"""What a peer sends arrives as it was sent, whoever reads it, over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection

from django_fastws import Reconnect, WebSocketDisconnect
from django_fastws.clients import connecting as opening
from django_fastws.clients import decoding
from django_fastws.clients.decoding import DecodingConnection, is_possible
from tests.clients.handlers import once
from tests.support.transports import transport_of

from .conftest import run, running
from .peers import frame, listen, read_close, read_frame, shake_hands, soon
from .random_frames import MAX_SIZE, controls, fragmented, payloads, texts

LIBRARIES = ("websockets", "picows", "plain")

CLOSE = frame((1000).to_bytes(2, "big"), opcode=8)


# Over a real socket, with each library


def sends(*parts: bytes) -> Any:
    """A peer that sends these bytes, one part after the other."""

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        await read_close(reader)

    return behave


async def received(app, server, **options):
    """What a route receives until its end, and close code and reason."""
    got: list[Any] = []

    @app.ws(server.url, **options)
    async def read(ws):
        async for message in ws:
            got.append(message.data)
        got.append((ws.close_code, ws.close_reason))

    await run(app)
    return got[:-1], got[-1]


SIZES = (0, 1, 125, 126, 127, 4090, 4096, 5000, 65_535, 65_536, 300_000)


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_messages_of_every_size(app, raw_peer, kind):
    opcode = 1 if kind == "text" else 2
    payloads = [bytes(97 + number % 26 for number in range(size)) for size in SIZES]
    server = await raw_peer(sends(*(frame(payload, opcode) for payload in payloads), CLOSE))
    expected = [payload.decode() if kind == "text" else payload for payload in payloads]
    assert await received(app, server) == (expected, (1000, ""))


async def test_a_burst_is_received_to_the_last_message_before_the_end(app, raw_peer):
    payloads = [f"größe {number}" for number in range(20_000)]
    burst = b"".join(frame(payload.encode()) for payload in payloads)
    server = await raw_peer(sends(burst + frame((4000).to_bytes(2, "big") + b"done", opcode=8)))
    assert await received(app, server) == (payloads, (4000, "done"))


async def test_bytes_that_come_one_by_one(app, raw_peer):
    stream = frame(b"one") + frame(b"x" * 130, 2) + frame(b"", 9) + frame(b"tw", fin=False) + frame(b"o", 0) + CLOSE
    server = await raw_peer(sends(*(bytes([byte]) for byte in stream)))
    assert await received(app, server) == (["one", b"x" * 130, "two"], (1000, ""))


async def test_fragments_with_pings_between_them_are_one_message(app, raw_peer):
    answers = []

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        head = "größe".encode()
        writer.write(frame(b"before") + frame(head[:3], fin=False) + frame(b"a", 9) + frame(b"", 0, fin=False))
        writer.write(frame(head[3:], 0, fin=False) + frame(b"b", 9) + frame(b"", 0) + frame(b"behind"))
        answers.extend([await read_frame(reader), await read_frame(reader)])
        writer.write(CLOSE)
        await read_close(reader)

    server = await raw_peer(behave)
    assert await received(app, server) == (["before", "größe", "behind"], (1000, ""))
    assert answers == [(10, b"a"), (10, b"b")]


async def test_messages_that_come_with_the_answer_to_the_handshake(app, raw_peer):
    async def behave(reader, writer, number):
        transport = writer.transport
        written = []
        writer.write = written.append  # to send it with one call
        await shake_hands(reader, writer)
        transport.write(b"".join(written) + frame(b"one") + frame(b"tw", fin=False))
        await asyncio.sleep(0.01)
        transport.write(frame(b"o", 0) + CLOSE)
        await read_close(reader)

    server = await raw_peer(behave)
    assert await received(app, server) == (["one", "two"], (1000, ""))


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(b"", 3), 1002),
        (frame(b"", 11), 1002),
        (frame(b"x", 0), 1002),  # a continuation of nothing
        (frame(b"a", fin=False) + frame(b"b"), 1002),
        (b"\xc1\x01x", 1002),  # compressed, and that was not agreed on
        (b"\xa1\x01x", 1002),
        (b"\x81\x81\x00\x00\x00\x00x", 1002),  # masked
        (b"\x09\x01x", 1002),  # a ping in fragments
        (frame(b"x" * 126, 9), 1002),
        (frame(b"\x03", 8), 1002),
        (frame((999).to_bytes(2, "big"), 8), 1002),
        (frame((5000).to_bytes(2, "big"), 8), 1002),
        (frame((1006).to_bytes(2, "big"), 8), 1002),
        (frame(b"\xff"), 1007),
        (frame("ö".encode()[:1], fin=False) + frame(b"x", 0), 1007),
        (frame(b"x" * (MAX_SIZE + 1), 2), 1009),
        (frame(b"x" * MAX_SIZE, 2, fin=False) + frame(b"x", 0), 1009),
        (b"\x82\x7f" + (2**62).to_bytes(8, "big"), 1009),
    ],
)
async def test_a_peer_that_breaks_the_protocol_is_told_why_after_its_good_messages(app, raw_peer, log, bad, code):
    told = []

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame(b"good") + frame(b"\x00", 2))
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(bad)
        told.append((await read_close(reader))[0])

    server = await raw_peer(behave)
    assert await received(app, server, max_size=MAX_SIZE) == (["good", b"\x00"], (1006, ""))
    assert told == [code]
    assert log.endings[0].startswith(f"1006 ({code}")


async def test_wherever_the_stream_is_cut_behind_the_handshake_each_message_comes_once(app, raw_peer):
    """Of what comes with the answer to the handshake, picows has read some, and must be left at a frame's end."""
    parts = [frame(b"one"), frame(b"x" * 130, 2), frame(b"", 9), frame("größe".encode()), frame(b"y" * 5000, 2)]
    parts += [frame(b"tw", fin=False), frame(b"o", 0), frame(b"z" * 70_000, 2), frame(b"end")]
    stream = b"".join(parts)
    ends = [sum(map(len, parts[:count])) for count in range(len(parts))]
    cuts = sorted({min(max(end + near, 0), len(stream)) for end in ends for near in (-1, 0, 1, 2, 3, 9)})

    async def behave(reader, writer, number):
        written = []
        write, writer.write = writer.write, written.append  # to send it with one call
        await shake_hands(reader, writer)
        cut = cuts[number]
        write(b"".join(written) + stream[:cut])
        await asyncio.sleep(0.001)
        write(stream[cut : cut + 1])
        await asyncio.sleep(0.001)
        write(stream[cut + 1 :] + CLOSE)
        await read_close(reader)

    server = await raw_peer(behave)
    got: list[list[Any]] = []

    @app.ws(server.url)
    async def read(ws):
        got.append([message.data async for message in ws])
        if len(got) < len(cuts):
            raise Reconnect(delay=0)

    assert await run(app)
    whole = ["one", b"x" * 130, "größe", b"y" * 5000, "two", b"z" * 70_000, "end"]
    assert [cut for cut, messages in zip(cuts, got, strict=True) if messages != whole] == []


@pytest.mark.parametrize(("payload", "seen"), [(b"", (1005, "")), (b"\x0f\xa0bye", (4000, "bye"))])
async def test_the_close_frame_of_the_peer_is_answered_with_the_same(app, raw_peer, payload, seen):
    answers = []

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame(payload, 8))
        answers.append(await read_frame(reader))

    server = await raw_peer(behave)
    assert await received(app, server) == ([], seen)
    assert answers == [(8, payload)]


async def test_what_comes_behind_a_close_frame_is_not_received(app, raw_peer):
    server = await raw_peer(sends(frame(b"one") + CLOSE + frame(b"two"), frame(b"three")))
    assert await received(app, server, close_timeout=0.1) == (["one"], (1000, ""))


@pytest.mark.parametrize("library", ["websockets", "picows"], indirect=True)
async def test_a_peer_that_says_goodbye_and_stays_is_left_after_the_close_timeout_without_pings(app, raw_peer):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame(b"last") + frame((4000).to_bytes(2, "big"), opcode=8))
        await asyncio.Event().wait()

    server = await raw_peer(behave)
    assert await received(app, server, close_timeout=0.05, ping_interval=None) == (["last"], (4000, ""))


async def test_compressed_messages_fragments_and_plain_ones_on_one_connection(app, peer):
    async def mixed(ws, visit):
        await ws.send("x" * 1000)
        await ws.send(["y" * 500, "z" * 500])
        ws.transport.write(frame(b"plain"))  # which a frame may be on a compressed connection, too
        await ws.send(b"b" * 100_000)

    server = await peer(mixed)
    got = await received(app, server)
    assert got == (["x" * 1000, "y" * 500 + "z" * 500, "plain", b"b" * 100_000], (1000, ""))
    assert server.visits[0].connection.protocol.extensions


async def test_a_compressed_message_that_grows_over_max_size_closes_with_1009(app, peer):
    async def bomb(ws, visit):
        await ws.send(b"x" * (MAX_SIZE + 1))
        await listen(ws, visit)

    server = await peer(bomb)
    assert await received(app, server, max_size=MAX_SIZE) == ([], (1006, ""))
    assert (await server.visits[0].ended()).close_code == 1009


async def test_a_flood_of_small_messages_is_held_back(app, raw_peer):
    """One read may bring more messages than max_queue, but not megabytes of them."""
    block = frame(b"x" * 50) * 5000
    sent = []

    async def flood(reader, writer, number):
        await shake_hands(reader, writer)
        while True:
            writer.write(block)
            await writer.drain()
            sent.append(len(block))

    server = await raw_peer(flood)
    counts: list[int] = []
    seen = []

    @app.ws(server.url, max_queue=16, close_timeout=1)
    async def busy(ws):
        for _ in range(50_000):  # until every buffer has grown as far as it does
            await ws.recv()
        while len(counts) < 5 or counts[-1] != counts[-5]:
            counts.append(len(sent))
            await asyncio.sleep(0.05)
        connection = transport_of(ws).connection
        if isinstance(connection, DecodingConnection):
            seen.append(sum(map(len, connection.messages)))

    async with running(app):
        await soon(lambda: len(counts) >= 5 and counts[-1] == counts[-5], "the flood's standstill")
    assert all(size <= 256 * 1024 for size in seen)


async def test_a_slow_reader_gets_every_message_in_order(app, raw_peer):
    count = 3000
    stream = b"".join(frame(str(number).encode() + b" " * 300) for number in range(count))
    server = await raw_peer(sends(stream + CLOSE))
    got = []

    @app.ws(server.url, max_queue=2)
    async def slow(ws):
        async for message in ws:
            got.append(int(message.text))
            if not len(got) % 100:
                await asyncio.sleep(0.001)

    await run(app)
    assert got == list(range(count))


async def test_receiving_in_other_ways_than_by_async_for(app, raw_peer):
    stream = frame(b"{}") + frame(b"text") + frame(b"bytes", 2) + frame(b"any") + frame(b"[1]", 2) + CLOSE
    server = await raw_peer(sends(stream))
    got: list[Any] = []

    @app.ws(server.url)
    async def read(ws):
        got.extend([await ws.recv_json(), await ws.recv_str(), await ws.recv_bytes()])
        got.append((await ws.recv()).data)
        got.append(await asyncio.wait_for(ws.receive_json(), 10))
        with pytest.raises(WebSocketDisconnect) as end:
            await ws.recv()
        got.append(end.value.code)

    await run(app)
    assert got == [{}, "text", b"bytes", "any", [1], 1000]


async def test_a_socket_is_open_until_what_the_peer_has_left_is_received(app, raw_peer):
    server = await raw_peer(sends(frame(b"one") + frame(b"two") + CLOSE))
    seen = []

    @app.ws(server.url)
    async def read(ws):
        await transport_of(ws).connection.wait_closed()
        while not ws.closed:
            seen.append((await ws.recv()).text)
        seen.append(ws.close_code)

    await run(app)
    assert seen == ["one", "two", 1000]


good = st.one_of(
    st.builds(frame, texts, st.just(1)),
    st.builds(frame, payloads, st.just(2)),
    st.builds(fragmented, st.sampled_from([1, 2]), texts, st.integers(1, 5), st.one_of(st.just(b""), controls)),
    controls,
)


# What this relies on


@pytest.mark.parametrize("name", decoding._RELIED_ON)
def test_without_what_it_relies_on_nothing_is_read_past_the_library(monkeypatch, name):
    assert is_possible()
    monkeypatch.setattr(ClientConnection, name, None)
    assert not is_possible()


@pytest.mark.parametrize("library", ["websockets"], indirect=True)
async def test_then_the_library_reads_everything(app, peer, monkeypatch):
    monkeypatch.setattr(decoding, "_apply_mask", None)
    server = await peer()
    seen = []

    @app.ws(server.url)
    async def look(ws):
        seen.append(type(transport_of(ws).connection))
        await once(ws)

    assert await run(app)
    assert seen == [ClientConnection]
    assert not opening.is_possible()
