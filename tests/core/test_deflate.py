"""Compressed messages: each stands for itself, is compressed once, and inflates no further than it may."""

from __future__ import annotations

import contextlib
import threading
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode, apply_mask

from django_fastws._core import messages as messages_module
from django_fastws._core.deflate import Deflater, Inflater, MessageInflatesTooFar, compressed_message
from django_fastws._core.frames import BINARY, TEXT, client_frame, frame
from django_fastws._core.messages import Batch, Payload
from tests.support.examples import examples

DATA = st.one_of(
    st.text(max_size=300).map(str.encode),
    st.binary(max_size=300),
    st.tuples(st.binary(min_size=1, max_size=40), st.integers(1, 3000)).map(lambda found: found[0] * found[1]),
)
WINDOWS = st.integers(9, 15)


def body_of(made: bytes) -> bytes:
    """The data of a server's frame."""
    size = made[1]
    return made[2:] if size < 126 else made[4:] if size == 126 else made[10:]


@settings(max_examples=examples(150))
@given(st.lists(DATA, max_size=6), WINDOWS, st.integers(1, 9), st.integers(1, 9))
def test_whoever_inflates_reads_each_message_alone(messages, bits, level, memory):
    """With websockets' decoder, which keeps what came before, and with one that keeps nothing."""
    deflater = Deflater(bits, level, memory, 1)
    taking_over = PerMessageDeflate(False, False, bits, 15)
    for message in messages:
        made = deflater.frame(BINARY, message)
        if made is None:
            continue
        assert (made[0], len(made) < len(frame(BINARY, message))) == (0xC2, True)
        compressed = body_of(made)
        decoded = taking_over.decode(Frame(Opcode.BINARY, compressed, rsv1=True))
        assert decoded.data == zlib.decompressobj(-bits).decompress(compressed + b"\0\0\xff\xff") == message


@settings(max_examples=examples(150))
@given(st.lists(DATA, max_size=6), WINDOWS, st.booleans(), st.data())
def test_what_a_client_compresses_is_read_whole_or_in_parts(messages, bits, takes_over, data):
    client = PerMessageDeflate(False, not takes_over, 15, bits)
    inflater = Inflater(bits, takes_over=takes_over)
    for message in messages:
        compressed = bytes(client.encode(Frame(Opcode.BINARY, message)).data)
        if data.draw(st.booleans()):
            assert inflater.inflate(compressed, len(message)) == message
            continue
        cut = data.draw(st.integers(0, len(compressed)))
        inflater.begin()
        parts = [inflater.feed(part, len(message)) for part in (compressed[:cut], compressed[cut:])]
        assert b"".join([*parts, inflater.end()]) == message


@given(st.binary(max_size=200), st.integers(0, 50))
def test_whatever_comes_is_inflated_within_the_limit_or_refused(data, limit):
    with contextlib.suppress(zlib.error, MessageInflatesTooFar):
        assert len(Inflater(15, takes_over=False).inflate(data, limit)) <= limit


@pytest.mark.parametrize("limit", [0, 1, 999_999])
def test_a_bomb_is_noticed_at_the_limit(limit):
    bomb = body_of(Deflater(15, 9, 9, 1).frame(BINARY, b"\0" * 1_000_000) or b"")
    with pytest.raises(MessageInflatesTooFar):
        Inflater(15, takes_over=False).inflate(bomb, limit)
    assert len(Inflater(15, takes_over=False).inflate(bomb, 1_000_000)) == 1_000_000


def test_a_block_that_calls_itself_the_last_ends_no_message_and_no_connection():
    """RFC 7692 section 7.2.3.4."""
    inflater = Inflater(15, takes_over=True)
    final = zlib.compressobj(wbits=-15)
    said = b"Hello " * 20
    message = final.compress(said) + final.flush() + b"\0"
    assert inflater.inflate(message, 1000) == said
    assert inflater.inflate(message, 1000) == said
    with pytest.raises(zlib.error, match="streams"):
        inflater.inflate(b"\3\0" * 1000, 1000)


def test_what_is_short_or_would_not_get_smaller_is_left_as_it_is():
    deflater = Deflater(12, 6, 8, 100)
    assert deflater.frame(TEXT, b"x" * 99) is None
    assert deflater.frame(TEXT, b"x" * 100) is not None
    assert deflater.frame(BINARY, bytes(range(256))) is None
    assert Payload("x" * 99).frame_by(deflater) == frame(TEXT, b"x" * 99)


def test_threads_share_a_compressor():
    deflater, wrong = Deflater(15, 6, 8, 1), []

    def compress(letter: bytes) -> None:
        for _ in range(300):
            made = deflater.frame(BINARY, letter * 500)
            if zlib.decompressobj(-15).decompress(body_of(made or b"xx")) != letter * 500:
                wrong.append(letter)

    threads = [threading.Thread(target=compress, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_message_is_compressed_once_for_all_and_a_batch_is_its_messages(monkeypatch):
    made = []
    real = Deflater.frame
    monkeypatch.setattr(Deflater, "frame", lambda self, *args: made.append(args) or real(self, *args))
    wide, narrow = Deflater(15, 6, 8, 100), Deflater(9, 6, 8, 100)
    payloads = [Payload("größe" * 100), Payload(b"\xff" * 200), Payload("short")]
    batch = Batch(payloads)
    for _ in range(3):
        assert batch.frame_by(wide) == b"".join([payload.frame_by(wide) for payload in payloads])
        assert batch.frame_by(narrow) == b"".join([payload.frame_by(narrow) for payload in payloads])
    assert len(made) == 6
    left = batch.without([1])
    assert left is not None
    assert left.frame_by(wide) == payloads[0].frame_by(wide) + payloads[2].frame
    assert messages_module.Deflater is Deflater


# The frames of clients


@given(st.sampled_from([TEXT, BINARY]), st.binary(max_size=200), st.binary(max_size=20), st.integers(0, 300))
def test_a_compressed_message_of_one_frame_is_found(opcode, payload, behind, cut):
    whole = client_frame(opcode, payload, b"\1\2\3\4", apply_mask)
    sent = bytes([whole[0] | 0x40]) + whole[1:]
    assert compressed_message(sent + behind, apply_mask, 200) == (opcode, payload, len(sent))
    assert compressed_message(sent[:-1][:cut], apply_mask, 200) is None


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536, 70_000])
def test_sizes_have_their_shortest_form(size):
    whole = client_frame(BINARY, b"x" * size, b"\1\2\3\4", apply_mask)
    sent = b"\xc2" + whole[1:]
    assert compressed_message(sent, apply_mask, 70_000) == (BINARY, b"x" * size, len(sent))
    assert compressed_message(sent, apply_mask, size - 1) is None


@pytest.mark.parametrize(
    "sent",
    [
        b"\x81\x80\0\0\0\0",  # not compressed
        b"\x41\x80\0\0\0\0",  # a fragment
        b"\xc9\x80\0\0\0\0",  # a ping
        b"\xc0\x80\0\0\0\0",  # a continuation
        b"\xe1\x80\0\0\0\0",  # another bit
        b"\xc1\x00\0\0\0\0",  # not masked
        b"\xc1\xfe\0\x01\0\0\0\0x",  # a longer form
        b"\xc1\xff\0\0\0\0\0\0\0\x01\0\0\0\0x",
    ],
)
def test_all_else_is_left_to_who_knows_it(sent):
    assert compressed_message(sent, apply_mask, 100) is None
