"""What clients may send, right and wrong, and a TCP transport that notes what becomes of it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from websockets.frames import apply_mask

from django_fastws._core.frames import BINARY, CLOSE, TEXT, client_frame
from django_fastws.transports import Inbox

REQUEST = (
    b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
LIMIT = 200  # bytes of a message
KEY = b"\x0b\xe7\xc3\x11"
PING, CONTINUATION = 0x9, 0x0


class Transport:
    """A transport of either kind that takes everything, and notes it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = self.is_paused = False
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def loseConnection(self) -> None:
        self.is_closed = True

    close = abortConnection = loseConnection

    def is_closing(self) -> bool:
        return self.is_closed

    def pauseProducing(self) -> None:
        self.is_paused = True

    def resumeProducing(self) -> None:
        self.is_paused = False

    pause_reading, resume_reading = pauseProducing, resumeProducing

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_extra_info(self, name: str) -> None: ...

    def ignored(self, *args: Any) -> None: ...

    setTcpNoDelay = unregisterProducer = getPeer = getHost = ignored


def masked(opcode: int, payload: bytes, first: int = 0x80) -> bytes:
    """A frame, with these upper bits in its first byte."""
    written = client_frame(opcode, payload, KEY, apply_mask)
    return bytes([first | opcode]) + written[1:]


def events_in(inbox: Inbox) -> list[Any]:
    """What waits in an inbox, as ASGI has it."""
    kinds = {str: "text", bytes: "bytes"}
    return [
        {"type": "websocket.receive", kinds[type(item)]: item} if type(item) in kinds else item
        for item in inbox.waiting
    ]


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The data, in pieces of these sizes; what is left of it is the last."""
    for size in [*sizes, len(data)]:
        piece, data = data[:size], data[size:]
        if piece:
            yield piece


HI = masked(TEXT, b"hi")
TOO_LONG = masked(TEXT, b"x" * (LIMIT + 1))
_PAYLOADS = st.one_of(st.text(max_size=150).map(str.encode), st.binary(max_size=130), st.just(b"x" * (LIMIT + 1)))
_FRAMES = st.one_of(
    st.text(max_size=60).map(lambda text: masked(TEXT, text.encode())),
    st.binary(max_size=60).map(lambda data: masked(BINARY, data)),
    _PAYLOADS.map(lambda payload: masked(TEXT, payload)),
    st.builds(
        masked,
        st.sampled_from([CONTINUATION, TEXT, BINARY, PING, CLOSE, 3]),
        _PAYLOADS,
        st.sampled_from([0x80, 0x80, 0x00, 0xC0]),
    ),
    st.sampled_from(
        [b"\x81\x02hi", b"\x81\xfe\x00\x02" + KEY + b"hi", b"\x81\xff" + struct.pack("!Q", 2) + KEY + b"hi"]
    ),
)
#: Frames, and the sizes of the pieces in which they come.
FRAMES = st.lists(_FRAMES, max_size=8)
SIZES = st.lists(st.integers(1, 150), max_size=20)
#: The same that is worth being looked at each time.
EXAMPLES = [
    ([masked(TEXT, b"a", 0x00), HI], []),  # within a message
    ([masked(TEXT, b"a", 0x00), masked(PING, b"b"), HI, masked(CONTINUATION, b"c")], []),
    ([masked(PING, apply_mask(HI, KEY))], [6]),  # with what a piece of a frame begins, and is none
    ([masked(CLOSE, b"\x03\xe8"), HI], []),  # behind the end
    ([masked(TEXT, b"\xff"), HI], []),  # which is no UTF-8
    ([HI, TOO_LONG, HI], []),
    ([HI, masked(TEXT, b"a", 0x00) + masked(CONTINUATION, b"c"), HI, HI], [1] * 20),
]
