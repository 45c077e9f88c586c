"""Whole messages are read as autobahn reads them; floods of other frames cost their bound, and no turn is long."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.frames import TEXT
from django_fastws.server.protocol import WebSocketProtocol
from django_fastws.server.reading import ReadingProtocol, most_fragments
from django_fastws.transports import Inbox
from tests.conftest import check_log
from tests.server.client import MEGABYTE, RawClient, grows_little, make_frame, told
from tests.server.conftest import PLAIN
from tests.site.client import connect, token
from tests.support.processes import ASGIServer
from tests.transports.client_frames import (
    EXAMPLES,
    FRAMES,
    HI,
    LIMIT,
    PING,
    REQUEST,
    SIZES,
    Transport,
    events_in,
    masked,
    pieces,
)
from tests.transports.fakes import turns

pytestmark = [pytest.mark.server, pytest.mark.faults]

SMALL = 64 * 1024  # the limit of a message on the server of the fragments
FRAGMENTS = most_fragments(SMALL)


@pytest.fixture
def server(plain):
    return plain()


@pytest.fixture(scope="module")
def shared_small() -> Iterator[ASGIServer]:
    with ASGIServer("runws_server", app=PLAIN, settings={"FASTWS_MAX_MESSAGE_BYTES": SMALL}) as server:
        yield server


@pytest.fixture
def small(shared_small) -> Iterator[ASGIServer]:
    start = shared_small.log_size()
    yield shared_small
    check_log(shared_small, start)


async def pong(client: RawClient) -> bytes:
    """What the next pong carries; the server's own pings are passed over, which come on a machine that is slow."""
    while (frame := await client.receive()) is not None and frame.opcode == 9:
        pass
    assert frame is not None
    assert frame.opcode == 10
    return frame.payload


# Whole messages


class Protocol(ReadingProtocol):
    """The protocol without the server; it counts the frames that autobahn begins."""

    failByDrop = False
    frames_of_autobahn = 0
    onConnect, onOpen = WebSocketServerProtocol.onConnect, WebSocketServerProtocol.onOpen
    onMessage, onClose = WebSocketProtocol.onMessage, WebSocketServerProtocol.onClose

    def onFrameBegin(self) -> None:
        self.frames_of_autobahn += 1
        super().onFrameBegin()

    def resumed(self) -> None:
        self._go_on(self._INBOX)


class Alone(Protocol):
    """One that leaves everything to autobahn."""

    def _read_messages(self, most: int) -> int:
        return 0


def opened(kind: type[Protocol], messages: int = 10**6, size: int = 10**6) -> Any:
    """A protocol whose handshake is over, with an inbox of this size."""
    factory = WebSocketServerFactory()
    factory.protocol = kind
    factory.log.debug = lambda *args, **kwargs: None
    factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0, maxMessagePayloadSize=LIMIT)
    protocol = factory.buildProtocol(None)
    protocol.application_queue = Inbox(messages, size, protocol.resumed)
    protocol.makeConnection(Transport())
    protocol.dataReceived(REQUEST)
    assert protocol.state == protocol.STATE_OPEN
    return protocol


def seen(protocol: Any) -> Any:
    """All that the two ends know of a connection."""
    transport = protocol.transport
    return (
        events_in(protocol.application_queue),
        transport.written,
        transport.is_closed,
        protocol.state,
        protocol.data,
    )


def is_read_alike(frames: list[bytes], sizes: list[int]) -> None:
    alone, mended = opened(Alone), opened(Protocol)
    for piece in pieces(b"".join(frames), sizes):
        alone.dataReceived(piece)
        mended.dataReceived(piece)
        assert seen(mended) == seen(alone)
    assert mended.trafficStats.incomingOctetsWireLevel == alone.trafficStats.incomingOctetsWireLevel


@given(FRAMES, SIZES)
def test_whatever_comes_is_read_as_autobahn_alone_reads_it(frames, sizes):
    is_read_alike(frames, sizes)


@pytest.mark.parametrize(("frames", "sizes"), EXAMPLES)
def test_what_is_awkward_is_read_as_autobahn_alone_reads_it(frames, sizes):
    is_read_alike(frames, sizes)


@given(st.lists(st.integers(0, 150), min_size=20, max_size=30), SIZES)
def test_reading_stops_when_the_inbox_is_full_and_goes_on_when_there_is_room(lengths, sizes):
    messages = ["x" * length for length in lengths]
    protocol = opened(Protocol, 4, 300)
    inbox, received = protocol.application_queue, []
    for piece in pieces(b"".join(masked(TEXT, message.encode()) for message in messages), sizes):
        protocol.dataReceived(piece)
        assert protocol.transport.is_paused == protocol.is_paused == inbox.is_full
        assert len(inbox.waiting) <= 4
        assert sum(map(len, inbox.waiting)) < 300 + 150
        while inbox.is_full:
            received.append(inbox.take())
    assert received + list(inbox.waiting) == messages
    assert protocol.frames_of_autobahn <= len(sizes) + 1  # those that came in two pieces


async def test_others_have_their_turn_between_very_many_messages():
    protocol = opened(Protocol)
    protocol.dataReceived(masked(TEXT, b"") * 300 + masked(PING, b"") * 150 + HI)
    counts = []
    while protocol.transport.is_paused and len(counts) < 10:
        counts.append(len(protocol.application_queue.waiting))
        await turns(1)
    assert counts == [128, 256, 300, 300]
    assert len(protocol.application_queue.waiting) == 301
    assert protocol.frames_of_autobahn == 150


# Pings


async def test_pings_whose_pongs_are_not_read_are_held_back(server):
    flood = make_frame(9, b"p" * 125) * 500
    async with RawClient(server, f"/echo/{token()}", receive_buffer=4096) as client:
        with grows_little(server):
            assert await client.flood(flood, 100 * MEGABYTE) < 25 * MEGABYTE
        async with connect(server, "/echo/") as other:
            await other.send("x")
            assert await other.recv() == "x"


async def test_pings_while_the_handler_receives_nothing_are_held_back(server):
    name, flood = token(), (make_frame(9, b"p" * 125) + make_frame(10, b"q" * 125)) * 250
    async with RawClient(server, f"/busy/{name}", receive_buffer=4096) as client:
        with grows_little(server):
            assert await client.flood(flood, 100 * MEGABYTE) < 25 * MEGABYTE


async def test_whoever_reads_its_pongs_gets_one_for_each_ping(server):
    async with RawClient(server, f"/echo/{token()}") as client:
        for number in range(3000):
            client.send(9, struct.pack("!I", number))
        for number in range(3000):
            assert await pong(client) == struct.pack("!I", number)


async def test_whoever_reads_late_is_answered_last_pings_too(server):
    """What was held back is read when the pongs are, and the last ping is answered for all before it."""
    name = token()
    async with RawClient(server, f"/echo/{name}", receive_buffer=4096) as client:
        sent = await client.flood(make_frame(9, b"p" * 125) * 500, 100 * MEGABYTE)
        client.send(9, b"last")
        client.send(1, b"message")
        count = 0
        while await pong(client) != b"last":
            count += 1
        assert 0 < count <= sent // 131 + 500
        assert (await client.receive()).payload == b"message"


async def test_pings_behind_a_close_are_not_answered(server):
    async with RawClient(server, f"/echo/{token()}", receive_buffer=4096) as client:
        with grows_little(server):
            client.send(1, b"x")
            client.send(8, struct.pack("!H", 1000))
            await client.flood(make_frame(9, b"p" * 125) * 500, 20 * MEGABYTE)
            frames, _ = await client.until_close()
    assert 10 not in {frame.opcode for frame in frames}


@pytest.mark.parametrize("frame", [make_frame(10, b"p"), make_frame(10)], ids=["unsolicited", "empty"])
async def test_pongs_that_nobody_has_asked_for_cost_nothing_and_are_not_logged(plain, frame):
    server, name = plain("--ping-interval", "1", "--ping-timeout", "20"), token()
    async with RawClient(server, f"/echo/{name}") as client:
        assert (await client.receive()).opcode == 9
        start = server.log_size()
        with grows_little(server):
            await client.flood(frame * 5000, len(frame) * 10_000)
            client.send(1, b"x")
            while (answer := await client.receive()).opcode == 9:
                pass
            assert answer.payload == b"x"
        assert "pong" not in server.log(start)


# Fragments


@pytest.mark.parametrize("size", [0, 1, 2])
async def test_fragments_without_end_close_with_1009(small, size):
    server, name = small, token()
    async with RawClient(server, f"/echo/{name}") as client:
        with grows_little(server, 4096):
            client.send(2, b"x" * size, final=False)
            await client.flood(make_frame(0, b"x" * size, final=False) * 500, (6 + size) * 100_000)
            frames, close = await client.until_close()
    assert frames == []
    assert (close.code, close.reason) == (1009, f"the message is in over {FRAGMENTS} fragments")
    assert (await told(server, name))["code"] == 1009


async def test_a_message_in_as_many_fragments_as_there_may_be_is_taken(small):
    async with RawClient(small, f"/echo/{token()}") as client:
        for _ in range(2):  # they are counted for each message
            client.send(1, b"", final=False)
            client.writer.write(make_frame(0, b"xy", final=False) * (FRAGMENTS - 2))
            client.send(0, b"end")
            assert (await client.receive()).payload == b"xy" * (FRAGMENTS - 2) + b"end"


async def test_unfinished_messages_cost_about_their_bytes(server):
    fragments = make_frame(2, b"ab", final=False) + make_frame(0, b"ab", final=False) * 8_000
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(RawClient(server, f"/echo/{token()}")) for _ in range(8)]
        with grows_little(server, 3 * 1024):
            for client in clients:
                client.writer.write(fragments)
                client.send(9, b"done")
                assert await pong(client) == b"done"


async def test_a_frame_that_comes_in_pieces_is_whole(server):
    async with RawClient(server, f"/echo/{token()}") as client:
        frame = make_frame(1, bytes(range(32, 127)) * 100)
        for position in range(0, len(frame), 100):
            client.writer.write(frame[position : position + 100])
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.receive()).payload == bytes(range(32, 127)) * 100


# Turns


async def test_ten_that_flood_do_not_keep_others_waiting(server):
    flood = make_frame(2, b"x", final=False) + make_frame(0, b"x", final=False) * 3000 + make_frame(9, b"done")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(RawClient(server, f"/echo/{token()}")) for _ in range(10)]
        other = await stack.enter_async_context(RawClient(server, "/echo/"))
        ends: list[str] = []

        async def wait(client: RawClient, name: str) -> None:
            if name == "flood":
                await pong(client)
            else:
                await client.receive()
            ends.append(name)

        for client in clients:
            client.writer.write(flood)
        other.send(1, b"meanwhile")
        await asyncio.gather(wait(other, "other"), *(wait(client, "flood") for client in clients))
    assert ends[0] == "other"  # though it came last, behind 30,000 frames
