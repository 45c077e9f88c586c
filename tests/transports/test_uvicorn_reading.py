"""What is read past uvicorn's parsers is what they read, and the rest goes to them; the inbox bounds it."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from uvicorn.server import ServerState

from django_fastws._core.frames import BINARY, CLOSE, TEXT
from django_fastws.conf import conf
from django_fastws.transports import uvicorn_reading
from django_fastws.transports.inbox import Inbox
from django_fastws.transports.uvicorn_reading import NEEDED, UvicornReader
from tests.transports.client_frames import (
    CONTINUATION,
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
from tests.transports.connections import UVICORN, connected, on

PROTOCOLS = [WebSocketsSansIOProtocol, WSProtocol]


class Loop:
    """A loop that runs nothing."""

    def create_task(self, coroutine: Any) -> Any:
        coroutine.close()
        return self

    def call_later(self, *args: Any) -> Any:
        return self

    def ignored(self, *args: Any) -> None: ...

    add_done_callback = cancel = ignored


def run(coroutine: Any) -> None:
    """Run what waits for nothing."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


async def application(scope: Any, receive: Any, send: Any) -> None: ...


CONFIG = Config(application, ws="none", log_config=None, ws_max_size=LIMIT, lifespan="off")
CONFIG.load()


def opened(kind: Any, *, early: bytes = b"") -> Any:
    """A protocol whose handshake is over, behind which something came early; and its reader, which did not start."""
    protocol = kind(config=CONFIG, server_state=ServerState(), app_state={}, _loop=Loop())
    protocol.connection_made(Transport())
    protocol.data_received(REQUEST + early)
    protocol.reader = UvicornReader.find(protocol)
    assert protocol.reader is not None
    run(protocol.send({"type": "websocket.accept"}))
    assert protocol.handshake_complete
    protocol.transport.written.clear()
    return protocol


def started(kind: Any) -> Any:
    protocol = opened(kind)
    protocol.reader.start()
    return protocol


def events_of(protocol: Any) -> list[Any]:
    return events_in(protocol.queue)[1:]  # without that of the handshake


def messages_of(protocol: Any) -> list[Any]:
    return [event.get("text", event.get("bytes")) for event in events_of(protocol)]


def seen(protocol: Any) -> Any:
    """All that the two ends know of a connection."""
    transport = protocol.transport
    return events_of(protocol), b"".join(transport.written), transport.is_closed


def is_read_alike(frames: list[bytes], sizes: list[int]) -> None:
    alone, mended = opened(WebSocketsSansIOProtocol), started(WebSocketsSansIOProtocol)
    ends = list(itertools.accumulate(map(len, frames)))
    read = 0
    for piece in pieces(b"".join(frames), sizes):
        # Uvicorn drops the messages of a read in which there is something wrong; so it reads frame by frame here.
        cuts = [0, *(end - read for end in ends if read < end < read + len(piece)), len(piece)]
        read += len(piece)
        for start, end in itertools.pairwise(cuts):
            if not alone.transport.is_closed:
                alone.data_received(piece[start:end])
                alone.read_paused = alone.transport.is_paused = False
        if not mended.transport.is_closed:
            mended.data_received(piece)
        assert seen(mended) == seen(alone)
        assert mended.read_paused == mended.transport.is_paused


@given(FRAMES, SIZES)
def test_whatever_comes_is_read_as_the_server_reads_it(frames, sizes):
    is_read_alike(frames, sizes)


@pytest.mark.parametrize(("frames", "sizes"), EXAMPLES)
def test_what_is_awkward_is_read_as_the_server_reads_it(frames, sizes):
    is_read_alike(frames, sizes)


@given(FRAMES, SIZES)
def test_whatever_comes_makes_the_same_messages_on_wsproto(frames, sizes):
    data = b"".join(frames)
    alone, mended = opened(WSProtocol), started(WSProtocol)
    alone.data_received(data)
    for piece in pieces(data, sizes):
        if not mended.transport.is_closed:
            mended.data_received(piece)
    assert [event for event in events_of(mended) if event["type"] == "websocket.receive"] == [
        event for event in events_of(alone) if event["type"] == "websocket.receive"
    ]


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_whole_messages_are_read_past_the_server_without_a_pause(kind, monkeypatch):
    protocol = started(kind)
    monkeypatch.setattr(protocol, "handle_events", lambda: pytest.fail("the server read something"))
    messages = ["", "one", "größe", b"\xff", "x" * LIMIT]
    data = [masked(TEXT, one.encode()) if isinstance(one, str) else masked(BINARY, one) for one in messages]
    monkeypatch.setattr(protocol.transport, "pause_reading", lambda: pytest.fail("it was paused"))
    protocol.data_received(b"".join(data))
    for byte in data[2]:
        protocol.data_received(bytes([byte]))
    assert messages_of(protocol) == [*messages, "größe"]


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_the_server_reads_all_else_and_what_comes_behind_it_is_read_past_it_again(kind):
    protocol = started(kind)
    parts = [masked(TEXT, b"a", 0x00), masked(PING, b"b"), masked(CONTINUATION, b"c"), HI]
    protocol.data_received(b"".join(parts[:2]))
    protocol.data_received(b"".join(parts[2:]) + HI[:3])
    protocol.data_received(HI[3:])
    assert messages_of(protocol) == ["ac", "hi", "hi"]
    assert protocol.transport.written == [b"\x8a\x01b"]
    assert not protocol.transport.is_paused


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_a_large_message_goes_to_the_server_piece_by_piece(kind, monkeypatch):
    monkeypatch.setattr(uvicorn_reading, "_MOST_HELD", 50)
    protocol = started(kind)
    data = masked(TEXT, b"x" * 100) + HI
    for start in range(0, len(data), 7):
        protocol.data_received(data[start : start + 7])
    assert messages_of(protocol) == ["x" * 100, "hi"]


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.parametrize("names", [{"messages": 4, "bytes": 10**6}, {"messages": 10**6, "bytes": 8}], ids=str)
def test_reading_is_paused_while_the_inbox_is_full(kind, names):
    with override_settings(
        FASTWS_RECEIVE_BUFFER_MESSAGES=names["messages"], FASTWS_RECEIVE_BUFFER_BYTES=names["bytes"]
    ):
        protocol = started(kind)
    inbox, transport = protocol.queue, protocol.transport
    inbox.take()
    protocol.data_received(HI * 3)
    assert not transport.is_paused
    protocol.data_received(masked(TEXT, b"hi", 0x00) + masked(CONTINUATION, b""))  # by the server
    assert (transport.is_paused, protocol.read_paused) == (True, True)
    inbox.take()
    assert transport.is_paused
    inbox.take()
    assert (transport.is_paused, protocol.read_paused, len(inbox.waiting)) == (False, False, 2)
    protocol.data_received(HI * 2)
    assert transport.is_paused
    run(protocol.send({"type": "websocket.close", "code": 4000}))  # whose answer has to be read
    assert not transport.is_paused
    protocol.data_received(HI + masked(CLOSE, b"\x0f\xa0"))
    assert transport.is_closed
    assert messages_of(protocol)[-2:] == ["hi", None]


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_behind_the_end_the_server_reads_everything(kind):
    protocol = started(kind)
    protocol.data_received(HI[:4])
    run(protocol.send({"type": "websocket.close", "code": 4000}))
    protocol.data_received(HI[4:] + HI + masked(CLOSE, b"\x0f\xa0"))
    assert protocol.transport.is_closed
    assert [event["type"] for event in events_of(protocol)] == ["websocket.disconnect"]


def test_within_a_frame_that_came_early_it_does_not_start():
    protocol = opened(WebSocketsSansIOProtocol, early=HI[:3])
    protocol.reader.start()
    protocol.data_received(HI[3:] + HI)
    assert messages_of(protocol) == ["hi", "hi"]
    assert "data_received" not in vars(protocol)


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_all_is_left_to_the_server_when_it_stops(kind):
    protocol = started(kind)
    protocol.data_received(HI[:3])
    protocol.reader.stop()
    protocol.data_received(HI[3:] + HI)
    assert messages_of(protocol) == ["hi", "hi"]
    assert "data_received" not in vars(protocol)
    protocol.reader.stop()


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.parametrize("name", [*NEEDED, "apply_mask", "queue of another kind", "class"])
def test_a_uvicorn_that_lacks_something_reads_by_itself(kind, name, monkeypatch):
    protocol = kind(config=CONFIG, server_state=ServerState(), app_state={}, _loop=Loop())
    if name == "apply_mask":
        monkeypatch.setattr(uvicorn_reading, "apply_mask", None)
    elif name.startswith("queue"):
        protocol.queue = asyncio.LifoQueue()
    elif name == "class":
        monkeypatch.setattr(uvicorn_reading, "_PARSERS", {})
    else:
        monkeypatch.setattr(uvicorn_reading, "NEEDED", (*NEEDED, f"{name} of another release"))
    assert UvicornReader.find(protocol) is None
    assert type(protocol.queue) is not Inbox


@on(*UVICORN)
async def test_a_connection_is_read_past_the_server_on_every_loop(kind, monkeypatch):
    read: list[Any] = []

    def read_messages(data: bytes, start: int, add: Any, *args: Any, original: Any = uvicorn_reading.read_messages):
        def note(message: Any) -> None:
            read.append(message)
            add(message)

        return original(data, start, note, *args)

    monkeypatch.setattr(uvicorn_reading, "read_messages", read_messages)
    async with connected(kind) as connection:
        for message in ("größe", b"data"):
            await connection.client.send(message)
            assert await connection.transport.receive_data() == message
        connection.transport.release()
        assert "data_received" not in vars(connection.protocol)
    assert read == ([] if kind.server == "websockets" else ["größe", b"data"])


@on(*UVICORN)
async def test_a_client_that_takes_no_pongs_is_not_read_on_when_its_messages_were_received(kind):
    if kind.server == "websockets":
        return  # it waits for room before each pong
    async with connected(kind) as connection:
        transport, protocol = connection.transport, connection.protocol
        protocol.writable.clear()  # as asyncio has it of a client that reads nothing
        protocol.data_received(masked(PING, b"?") + HI * (conf.receive_buffer_messages + 1))
        assert not protocol.transport.is_reading()
        while not transport.inbox.empty():
            await transport.receive_data()
        assert not protocol.read_paused
        assert not protocol.transport.is_reading()
        protocol.writable.set()
        while not protocol.transport.is_reading():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await connection.client.send("more")
        assert await transport.receive_data() == "more"
