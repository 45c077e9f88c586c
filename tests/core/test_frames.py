"""Frames of servers and of clients."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode, apply_mask
from websockets.streams import StreamReader

from django_fastws._core.frames import BINARY, TEXT, client_frame, close_frame, frame
from django_fastws._core.messages import Payload

HEADS = [
    (TEXT, 0, b"\x81\x00"),
    (BINARY, 0, b"\x82\x00"),
    (TEXT, 1, b"\x81\x01"),
    (TEXT, 125, b"\x81\x7d"),
    (TEXT, 126, b"\x81\x7e\x00\x7e"),
    (BINARY, 65535, b"\x82\x7e\xff\xff"),
    (BINARY, 65536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
]


@pytest.mark.parametrize(("opcode", "size", "head"), HEADS)
def test_a_frame_is_its_head_and_the_payload(opcode, size, head):
    payload = b"x" * size
    assert frame(opcode, payload) == head + payload


def read(data, *, mask=False):
    """What the parser of another library finds, and whether it is all."""
    stream = StreamReader()
    stream.feed_data(data)
    parser = Frame.parse(stream.read_exact, mask=mask)
    try:
        next(parser)
    except StopIteration as done:
        return done.value, not stream.buffer
    raise AssertionError("it is not a whole frame")


@given(st.sampled_from([TEXT, BINARY]), st.one_of(st.binary(max_size=300), st.integers(0, 70_000).map(bytes)))
def test_another_library_reads_what_was_written(opcode, payload):
    found, is_all = read(frame(opcode, payload))
    assert is_all
    assert (found.fin, found.opcode, bytes(found.data)) == (True, Opcode(opcode), payload)
    assert (found.rsv1, found.rsv2, found.rsv3) == (False, False, False)


@given(
    st.sampled_from([TEXT, BINARY]),
    st.one_of(st.binary(max_size=300), st.integers(0, 70_000).map(bytes)),
    st.binary(min_size=4, max_size=4),
)
def test_another_library_reads_and_unmasks_what_a_client_writes(opcode, payload, key):
    written = client_frame(opcode, payload, key, apply_mask)
    found, is_all = read(written, mask=True)
    assert is_all
    assert (found.fin, found.opcode, bytes(found.data)) == (True, Opcode(opcode), payload)
    assert key in written[2:14]


@pytest.mark.parametrize(
    ("flags", "size", "head"), [(0x00, 2, b"\x01\x02"), (0xC0, 2, b"\xc1\x02"), (0x40, 126, b"\x41\x7e\x00\x7e")]
)
def test_flags_say_whether_a_frame_is_final_and_compressed(flags, size, head):
    assert frame(TEXT, b"x" * size, flags=flags) == head + b"x" * size


@pytest.mark.parametrize(
    ("code", "reason", "written"),
    [
        (1000, "", b"\x88\x02\x03\xe8"),
        (1013, "too slow", b"\x88\x0a\x03\xf5too slow"),
        (4999, "größe", b"\x88\x09\x13\x87gr\xc3\xb6\xc3\x9fe"),
        (1001, "x" * 123, b"\x88\x7d\x03\xe9" + b"x" * 123),
    ],
)
def test_a_close_frame_is_its_code_and_reason(code, reason, written):
    assert close_frame(code, reason) == written
    found, is_all = read(written)
    assert is_all
    assert (found.fin, found.opcode) == (True, Opcode.CLOSE)


@pytest.mark.parametrize(
    ("payload", "written"),
    [
        (Payload("hi"), b"\x81\x02hi"),
        (Payload(b"hi"), b"\x82\x02hi"),
        (Payload(b"hi", is_text=True), b"\x81\x02hi"),
        (Payload("ö"), b"\x81\x02\xc3\xb6"),
        (Payload(""), b"\x81\x00"),
    ],
)
def test_a_payload_is_made_a_frame_once(payload, written):
    assert payload.frame == written
    assert payload.frame is payload.frame
