"""The parser reads what the websockets library reads, however the stream is cut; without a network."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate, enable_client_permessage_deflate
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from django_fastws.clients.parser import ParsingConnection
from tests.support.examples import examples

from .peers import frame
from .random_frames import MAX_SIZE, controls, fragmented, payloads, pieces, texts

CLOSE = frame((1000).to_bytes(2, "big"), opcode=8)


# Without a network: cutting is what the library would have read


class FakeTransport(asyncio.Transport):
    """Remembers what is written, and whether reading is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_paused = False

    def write(self, data: Any) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None: ...

    abort = close

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


def protocol(*, compressed: bool = False) -> ClientProtocol:
    extensions = enable_client_permessage_deflate(None) if compressed else None
    return ClientProtocol(parse_uri("ws://127.0.0.1/"), extensions=extensions, max_size=MAX_SIZE)


def answer(to: ClientProtocol, status: str = "101 Switching Protocols", *, compressed: bool = False) -> bytes:
    """The answer of a server to the handshake."""
    to.connect()
    accept = base64.b64encode(
        hashlib.sha1(f"{to.key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    ).decode()
    extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if compressed else ""
    return (
        f"HTTP/1.1 {status}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{extensions}"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


class Read:
    """What a connection made of a stream.

    Attributes:
        messages, told: the messages, and the code that the server was told, if any.
        pongs: the payloads of pongs.
    """

    def __init__(self, messages: list[str | bytes], closed_with: int | None) -> None:
        self.messages = messages
        self.told = closed_with

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Read) and (self.messages, self.told) == (other.messages, other.told)

    def __repr__(self) -> str:
        return f"Read({self.messages!r:.200}, {self.told})"


def read_by_the_library(stream: bytes, *, compressed: bool = False) -> Read:
    reference = protocol(compressed=compressed)
    reference.receive_data(answer(reference, compressed=compressed))
    reference.events_received()
    reference.receive_data(stream)
    messages: list[str | bytes] = []
    parts: list[Frame] = []
    for event in reference.events_received():
        if isinstance(event, Frame) and event.opcode < Opcode.CLOSE:
            parts.append(event)
            if event.fin:
                data = b"".join(bytes(part.data) for part in parts)
                try:
                    messages.append(data.decode() if parts[0].opcode is Opcode.TEXT else data)
                except UnicodeDecodeError:
                    return Read(messages, 1007)
                parts = []
    return Read(messages, reference.close_sent.code if reference.close_sent else None)


def read_by_cutting(stream: bytes, cuts: list[int], *, buffered: bool, compressed: bool = False) -> Read:
    async def scenario() -> Read:
        own = protocol(compressed=compressed)
        connection = ParsingConnection(own, max_size=MAX_SIZE, max_queue=None, ping_interval=None)
        connection.connection_made(FakeTransport())
        whole = answer(own, compressed=compressed) + stream
        marks = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
        for start, stop in itertools.pairwise(marks):
            give(connection, whole[start:stop], buffered=buffered)
        connection.connection_lost(None)
        return Read(list(connection.messages), own.close_sent.code if own.close_sent else None)

    return asyncio.run(scenario())


def give(connection: ParsingConnection, data: bytes, *, buffered: bool) -> None:
    """As a transport gives what it has received."""
    if not buffered:
        connection.data_received(data)
        return
    while data:
        view = connection.get_buffer(-1)
        size = min(len(view), len(data))
        view[:size] = data[:size]
        connection.buffer_updated(size)
        data = data[size:]


closes = st.builds(
    lambda code, reason: frame(code.to_bytes(2, "big") + reason, 8),
    st.sampled_from([999, 1000, 1001, 1005, 1006, 1015, 1016, 3000, 4999, 5000]),
    st.sampled_from([b"", b"bye", b"\xff"]),
)
good = st.one_of(
    st.builds(frame, texts, st.just(1)),
    st.builds(frame, payloads, st.just(2)),
    st.builds(fragmented, st.sampled_from([1, 2]), texts, st.integers(1, 5), st.one_of(st.just(b""), controls)),
    controls,
)
odd = st.one_of(
    closes,
    st.just(frame(b"", 8)),
    st.builds(frame, st.binary(max_size=5), st.sampled_from([0, 3, 7, 11, 15])),
    st.builds(lambda first, data: bytes([first, len(data)]) + data, st.integers(0, 255), st.binary(max_size=125)),
    st.builds(lambda data: frame(data, 1)[:-1], st.binary(min_size=1, max_size=10)),  # from here on all is shifted
    st.binary(max_size=20),
)
streams = st.lists(st.one_of(good, good, good, odd), max_size=8).map(b"".join)


@given(stream=streams, cuts=st.lists(st.integers(0, 2**20), max_size=6), buffered=st.booleans())
@settings(max_examples=examples(400))
def test_cutting_reads_what_the_library_reads(stream, cuts, buffered):
    assert read_by_cutting(stream, cuts, buffered=buffered).messages == read_by_the_library(stream).messages
    # Of a frame that is not whole, the library may see earlier that it is bad.
    stream += bytes(66_000)  # more than any length of two bytes
    assert read_by_cutting(stream, cuts, buffered=buffered) == read_by_the_library(stream)


@given(
    messages=st.lists(st.tuples(texts, st.booleans(), st.integers(1, 4)), max_size=6),
    cuts=st.lists(st.integers(0, 2**20), max_size=6),
    buffered=st.booleans(),
)
@settings(max_examples=examples(100))
def test_cutting_reads_what_the_library_reads_of_compressed_connections(messages, cuts, buffered):
    deflate = PerMessageDeflate(False, False, 15, 15)
    stream = b""
    for data, is_compressed, count in messages:
        parts = pieces(data, count)
        for number, part in enumerate(parts):
            opcode = Opcode.BINARY if number == 0 else Opcode.CONT
            plain = Frame(opcode, part, number == len(parts) - 1)
            stream += plain.serialize(mask=False, extensions=[deflate] if is_compressed else [])
    expected = read_by_the_library(stream, compressed=True)
    assert read_by_cutting(stream, cuts, buffered=buffered, compressed=True) == expected


def test_every_cut_of_a_stream():
    stream = frame(b"one") + frame(b"x" * 200, 2) + frame(b"tw", fin=False) + frame(b"", 9) + frame(b"o", 0) + CLOSE
    expected = read_by_the_library(stream)
    assert expected == Read(["one", b"x" * 200, "two"], 1000)
    for cut in range(len(stream) + 200):
        for buffered in (True, False):
            assert read_by_cutting(stream, [cut], buffered=buffered) == expected


def test_large_frames_in_random_pieces():
    draw = random.Random(1)
    stream = b"".join(frame(draw.randbytes(draw.choice((3, 300, 3000, 30_000, MAX_SIZE))), 2) for _ in range(60))
    cuts = [draw.randrange(len(stream)) for _ in range(300)]
    assert read_by_cutting(stream, cuts, buffered=True) == read_by_the_library(stream)


async def test_the_answer_of_a_refused_handshake_goes_to_the_library_body_and_all():
    own = protocol()
    connection = ParsingConnection(own, max_size=None, max_queue=16)
    connection.connection_made(FakeTransport())
    body = frame(b"no message") * 3 + b"\r\n\r\n"
    whole = answer(own, "503 Down").replace(b"\r\n\r\n", f"\r\nContent-Length: {len(body)}\r\n\r\n".encode()) + body
    for byte in whole:
        connection.data_received(bytes([byte]))
    assert own.handshake_exc is not None
    assert own.handshake_exc.response.body == body
    assert not connection.messages
