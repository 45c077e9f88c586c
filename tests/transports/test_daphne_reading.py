"""What is read past autobahn is what autobahn reads, and the rest is left to it."""

from __future__ import annotations

import asyncio
from typing import Any

import daphne.server  # noqa: F401 (first of all that needs Twisted)
import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from daphne.ws_protocol import WebSocketProtocol as DaphneProtocol
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.frames import BINARY, TEXT
from django_fastws.transports import daphne_reading
from django_fastws.transports.daphne_reading import (
    NEEDED,
    largest_message,
    open_inbox,
    read_past_autobahn,
    read_through_autobahn,
)
from tests.transports.client_frames import (
    CONTINUATION,
    EXAMPLES,
    FRAMES,
    LIMIT,
    REQUEST,
    SIZES,
    Transport,
    events_in,
    masked,
    pieces,
)
from tests.transports.connections import DAPHNE, connected, on
from tests.transports.fakes import wrapping


class Protocol(WebSocketServerProtocol):
    """Daphne's protocol without the server; it counts the frames that autobahn begins."""

    onMessage = DaphneProtocol.onMessage
    muted, last_ping, client_addr = False, 0.0, None
    frames_of_autobahn = 0

    def onFrameBegin(self) -> None:
        self.frames_of_autobahn += 1
        super().onFrameBegin()


def opened(kind: Any = Protocol, **options: Any) -> Any:
    """A protocol whose handshake is over."""
    factory = WebSocketServerFactory()
    factory.protocol = kind
    factory.log.debug = lambda *args, **kwargs: None
    factory.setProtocolOptions(
        **{"openHandshakeTimeout": 0, "closeHandshakeTimeout": 0, "maxMessagePayloadSize": LIMIT, **options}
    )
    protocol = factory.buildProtocol(None)
    protocol.application_queue = queue = asyncio.Queue()
    protocol.inbox = open_inbox(protocol, queue.get)
    protocol.makeConnection(Transport())
    protocol.dataReceived(REQUEST)
    assert protocol.state == protocol.STATE_OPEN
    return protocol


def seen(protocol: Any) -> Any:
    """All that the two ends know of a connection."""
    transport = protocol.transport
    return events_in(protocol.inbox), transport.written, transport.is_closed, protocol.state, protocol.data


def messages_of(protocol: Any) -> list[Any]:
    return [event.get("text", event.get("bytes")) for event in events_in(protocol.inbox)]


def is_read_alike(frames: list[bytes], sizes: list[int], *, drops: bool) -> None:
    alone, mended = opened(failByDrop=drops), opened(failByDrop=drops)
    read_past_autobahn(mended, mended.inbox)
    for piece in pieces(b"".join(frames), sizes):
        alone.dataReceived(piece)
        mended.dataReceived(piece)
        assert seen(mended) == seen(alone)
    assert mended.trafficStats.incomingOctetsWireLevel == alone.trafficStats.incomingOctetsWireLevel
    assert (mended.last_ping > 0) == (alone.last_ping > 0)


@given(FRAMES, SIZES, st.booleans())
def test_whatever_comes_is_read_as_autobahn_reads_it(frames, sizes, drops):
    is_read_alike(frames, sizes, drops=drops)


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize(("frames", "sizes"), EXAMPLES)
def test_what_is_awkward_is_read_as_autobahn_reads_it(frames, sizes, drops):
    is_read_alike(frames, sizes, drops=drops)


def test_messages_of_one_frame_are_read_past_autobahn_and_nothing_else_is():
    protocol = opened()
    read_past_autobahn(protocol, protocol.inbox)
    messages = ["", "one", "größe", b"\xff", "x" * LIMIT, b"x" * LIMIT]
    data = [masked(TEXT, one.encode()) if isinstance(one, str) else masked(BINARY, one) for one in messages]
    protocol.dataReceived(b"".join(data))
    assert (messages_of(protocol), protocol.frames_of_autobahn) == (messages, 0)
    protocol.dataReceived(masked(TEXT, b"a", 0x00) + masked(CONTINUATION, b"b") + masked(BINARY, b"c"))
    assert (messages_of(protocol)[len(messages) :], protocol.frames_of_autobahn) == (["ab", b"c"], 2)
    half = masked(TEXT, b"in two pieces")
    protocol.dataReceived(half[:8])
    protocol.dataReceived(half[8:] + masked(TEXT, b"whole"))
    assert (messages_of(protocol)[-2:], protocol.frames_of_autobahn) == (["in two pieces", "whole"], 3)


def test_thousands_of_messages_in_one_read_are_all_there():
    protocol = opened()
    read_past_autobahn(protocol, protocol.inbox)
    protocol.dataReceived(masked(TEXT, b"x") * 1000)
    assert messages_of(protocol) == ["x"] * 1000


@pytest.mark.parametrize("option", ["maxMessagePayloadSize", "maxFramePayloadSize"])
def test_a_text_over_a_limit_is_refused_by_autobahn(option):
    protocol = opened(**{"maxMessagePayloadSize": 0, option: 10})
    assert largest_message(protocol) == 10
    read_past_autobahn(protocol, protocol.inbox)
    protocol.dataReceived(masked(TEXT, b"x" * 10) + masked(TEXT, b"x" * 11) + masked(TEXT, b"x"))
    assert messages_of(protocol) == ["x" * 10]
    assert protocol.state != protocol.STATE_OPEN


def test_without_a_limit_any_length_is_taken():
    assert largest_message(opened(maxMessagePayloadSize=0, maxFramePayloadSize=0)) == float("inf")
    assert largest_message(opened(maxMessagePayloadSize=30, maxFramePayloadSize=20)) == 20


def test_a_message_puts_off_the_timeout_of_a_ping_as_ever():
    class Timeout:
        is_cancelled = False

        def cancel(self) -> None:
            self.is_cancelled = True

    protocol, timeout = opened(), Timeout()
    read_past_autobahn(protocol, protocol.inbox)
    protocol.autoPingTimeoutCall = timeout
    protocol.dataReceived(masked(TEXT, b"x"))
    assert (messages_of(protocol), timeout.is_cancelled) == (["x"], True)
    assert protocol.autoPingTimeoutCall is None


def test_a_muted_connection_stays_muted():
    protocol = opened()
    read_past_autobahn(protocol, protocol.inbox)
    protocol.muted = True
    protocol.dataReceived(masked(TEXT, b"x"))
    assert messages_of(protocol) == []


class Watching(Protocol):
    """A protocol of somebody's own, who counts messages."""

    count = 0

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.count += 1


@pytest.mark.parametrize("name", [*NEEDED, "apply_mask"])
def test_an_autobahn_that_lacks_something_reads_everything(name, monkeypatch):
    protocol = opened()
    if name == "apply_mask":
        monkeypatch.setattr(daphne_reading, "apply_mask", None)
    else:
        monkeypatch.setattr(daphne_reading, "NEEDED", (*NEEDED, f"{name} of another release"))
    read_past_autobahn(protocol, protocol.inbox)
    protocol.dataReceived(masked(TEXT, b"x"))
    assert (messages_of(protocol), protocol.frames_of_autobahn) == (["x"], 1)


def test_a_protocol_that_takes_messages_itself_is_shown_all_of_them():
    protocol = opened(Watching)
    read_past_autobahn(protocol, protocol.inbox)
    protocol.dataReceived(masked(TEXT, b"x") * 3)
    assert protocol.count == 3


def test_it_can_be_left_to_autobahn_again():
    protocol = opened()
    read_past_autobahn(protocol, protocol.inbox)
    read_through_autobahn(protocol)
    protocol.dataReceived(masked(TEXT, b"x"))
    assert (messages_of(protocol), protocol.frames_of_autobahn) == (["x"], 1)
    read_through_autobahn(protocol)


@on(*DAPHNE)
async def test_a_connection_is_read_past_autobahn_until_its_handler_has_ended(kind, monkeypatch):
    read: list[Any] = []

    def read_messages(data: bytes, start: int, add: Any, *args: Any, original: Any = daphne_reading.read_messages):
        def note(message: Any) -> None:
            read.append(message)
            add(message)

        return original(data, start, note, *args)

    monkeypatch.setattr(daphne_reading, "read_messages", read_messages)
    async with connected(kind) as connection:
        for message in ("größe", b"data"):
            await connection.client.send(message)
            assert await connection.transport.receive_data() == message
        connection.transport.release()
        assert vars(connection.protocol).keys() & {"processData", "dataReceived"} == set()
    assert read == ["größe", b"data"]


@on(*DAPHNE)
async def test_behind_middleware_daphnes_queue_is_left_as_it_is(kind):
    log: list[Any] = []
    async with connected(kind, alter=lambda receive, send: (wrapping(receive, log), send)) as connection:
        assert type(connection.protocol.application_queue) is asyncio.Queue
        await connection.client.send("größe")
        assert await connection.transport.receive_data() == "größe"
        await connection.client.close(4000)
        await connection.client.receive_end()
        while connection.transport.ended() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert connection.transport.ended() == (4000, "")
    assert len(log) == 2
