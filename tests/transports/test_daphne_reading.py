"""What is read past autobahn is what autobahn reads, and the rest is left to it."""

from __future__ import annotations

import struct
from typing import Any

import daphne.server  # noqa: F401 (first of all that needs Twisted)
import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import apply_mask

from django_fastws._core.frames import BINARY, CLOSE, TEXT, client_frame
from django_fastws.transports import daphne_reading
from django_fastws.transports.daphne_reading import NEEDED, read_past_autobahn, read_through_autobahn
from tests.transports.connections import DAPHNE, connected, on

REQUEST = (
    b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
LIMIT = 200  # bytes of a message
KEY = b"\x0b\xe7\xc3\x11"
PING, CONTINUATION = 0x9, 0x0


class Transport:
    """A transport that takes everything, and notes it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def loseConnection(self) -> None:
        self.is_closed = True

    abortConnection = loseConnection

    def ignored(self, *args: Any) -> None: ...

    setTcpNoDelay = unregisterProducer = getPeer = getHost = ignored


class Protocol(WebSocketServerProtocol):
    """A protocol that notes messages, and the frames that autobahn begins."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        assert type(payload) is bytes
        self.messages.append((payload, isBinary))

    def onFrameBegin(self) -> None:
        self.frames_of_autobahn += 1
        super().onFrameBegin()


def opened(**options: Any) -> Any:
    """A protocol whose handshake is over."""
    factory = WebSocketServerFactory()
    factory.protocol = Protocol
    factory.log.debug = lambda *args, **kwargs: None
    factory.setProtocolOptions(
        **{"openHandshakeTimeout": 0, "closeHandshakeTimeout": 0, "maxMessagePayloadSize": LIMIT, **options}
    )
    protocol = factory.buildProtocol(None)
    protocol.messages, protocol.frames_of_autobahn = [], 0
    protocol.makeConnection(Transport())
    protocol.dataReceived(REQUEST)
    assert protocol.state == protocol.STATE_OPEN
    return protocol


def seen(protocol: Any) -> Any:
    """All that the two ends know of a connection."""
    transport = protocol.transport
    return protocol.messages, transport.written, transport.is_closed, protocol.state, protocol.data


def masked(opcode: int, payload: bytes, first: int = 0x80) -> bytes:
    """A frame, with these upper bits in its first byte."""
    written = client_frame(opcode, payload, KEY, apply_mask)
    return bytes([first | opcode]) + written[1:]


PAYLOADS = st.one_of(st.text(max_size=150).map(str.encode), st.binary(max_size=130), st.just(b"x" * (LIMIT + 1)))
FRAMES = st.one_of(
    st.text(max_size=60).map(lambda text: masked(TEXT, text.encode())),
    PAYLOADS.map(lambda payload: masked(TEXT, payload)),
    st.builds(
        masked,
        st.sampled_from([CONTINUATION, TEXT, BINARY, PING, CLOSE, 3]),
        PAYLOADS,
        st.sampled_from([0x80, 0x80, 0x00, 0xC0]),
    ),
    st.sampled_from(
        [b"\x81\x02hi", b"\x81\xfe\x00\x02" + KEY + b"hi", b"\x81\xff" + struct.pack("!Q", 2) + KEY + b"hi"]
    ),
)


HI = masked(TEXT, b"hi")


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(1, 150), max_size=20), st.booleans())
@example([masked(TEXT, b"a", 0x00), HI], [], True)  # within a message
@example([masked(TEXT, b"a", 0x00), masked(PING, b"b"), HI, masked(CONTINUATION, b"c")], [], True)
@example([masked(PING, apply_mask(HI, KEY))], [6], True)  # with what a piece of a frame begins, and is none
@example([masked(CLOSE, b"\x03\xe8"), HI], [], True)  # behind the end
@example([masked(TEXT, b"\xff"), HI], [], False)  # which is no UTF-8
@example([HI, masked(TEXT, b"x" * (LIMIT + 1)), HI], [], False)
def test_whatever_comes_is_read_as_autobahn_reads_it(frames, sizes, drops):
    data = b"".join(frames)
    alone, mended = opened(failByDrop=drops), opened(failByDrop=drops)
    read_past_autobahn(mended)
    for size in [*sizes, len(data)]:
        piece, data = data[:size], data[size:]
        if piece:
            alone.dataReceived(piece)
            mended.dataReceived(piece)
        assert seen(mended) == seen(alone)
    assert mended.trafficStats.incomingOctetsWireLevel == alone.trafficStats.incomingOctetsWireLevel


def test_texts_of_one_frame_are_read_past_autobahn_and_nothing_else_is():
    protocol = opened()
    read_past_autobahn(protocol)
    texts = [b"", b"one", "größe".encode(), b"x" * LIMIT]
    protocol.dataReceived(b"".join(masked(TEXT, text) for text in texts))
    assert (protocol.messages, protocol.frames_of_autobahn) == ([(text, False) for text in texts], 0)
    protocol.dataReceived(masked(TEXT, b"a", 0x00) + masked(CONTINUATION, b"b") + masked(BINARY, b"c"))
    assert (protocol.messages[len(texts) :], protocol.frames_of_autobahn) == ([(b"ab", False), (b"c", True)], 3)
    half = masked(TEXT, b"in two pieces")
    protocol.dataReceived(half[:8])
    protocol.dataReceived(half[8:] + masked(TEXT, b"whole"))
    assert (protocol.messages[-2:], protocol.frames_of_autobahn) == (
        [(b"in two pieces", False), (b"whole", False)],
        4,
    )


@pytest.mark.parametrize("option", ["maxMessagePayloadSize", "maxFramePayloadSize"])
def test_a_text_over_a_limit_is_refused_by_autobahn(option):
    protocol = opened(**{"maxMessagePayloadSize": 0, option: 10})
    read_past_autobahn(protocol)
    protocol.dataReceived(masked(TEXT, b"x" * 10) + masked(TEXT, b"x" * 11) + masked(TEXT, b"x"))
    assert protocol.messages == [(b"x" * 10, False)]
    assert protocol.state != protocol.STATE_OPEN


def test_a_message_puts_off_the_timeout_of_a_ping_as_ever():
    class Timeout:
        is_cancelled = False

        def cancel(self) -> None:
            self.is_cancelled = True

    protocol, timeout = opened(), Timeout()
    read_past_autobahn(protocol)
    protocol.autoPingTimeoutCall = timeout
    protocol.dataReceived(masked(TEXT, b"x"))
    assert (protocol.messages, timeout.is_cancelled) == ([(b"x", False)], True)
    assert protocol.autoPingTimeoutCall is None


@pytest.mark.parametrize("name", [*NEEDED, "apply_mask"])
def test_an_autobahn_that_lacks_something_reads_everything(name, monkeypatch):
    protocol = opened()
    if name == "apply_mask":
        monkeypatch.setattr(daphne_reading, "_apply_mask", None)
    else:
        monkeypatch.setattr(daphne_reading, "NEEDED", (*NEEDED, f"{name} of another release"))
    read_past_autobahn(protocol)
    protocol.dataReceived(masked(TEXT, b"x"))
    assert (protocol.messages, protocol.frames_of_autobahn) == ([(b"x", False)], 1)


def test_it_can_be_left_to_autobahn_again():
    protocol = opened()
    read_past_autobahn(protocol)
    read_through_autobahn(protocol)
    protocol.dataReceived(masked(TEXT, b"x"))
    assert (protocol.messages, protocol.frames_of_autobahn) == ([(b"x", False)], 1)
    read_through_autobahn(protocol)


@on(*DAPHNE)
async def test_a_connection_is_read_past_autobahn_until_its_handler_has_ended(kind, monkeypatch):
    read: list[bytes] = []

    def whole_text(data: bytes, mask: Any, original: Any = daphne_reading.whole_text) -> Any:
        found = original(data, mask)
        read.extend([] if found is None else [found[0]])
        return found

    monkeypatch.setattr(daphne_reading, "whole_text", whole_text)
    async with connected(kind) as connection:
        await connection.client.send("größe")
        assert await connection.transport.receive_data() == "größe"
        await connection.client.send(b"data")
        assert await connection.transport.receive_data() == b"data"
        connection.transport.release()
        assert vars(connection.protocol).keys() & {"processData", "dataReceived"} == set()
    assert read == ["größe".encode()]
