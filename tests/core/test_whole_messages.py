"""Whole messages are found in what clients write, wherever that is cut; all else is left where it is."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import apply_mask

from django_fastws._core.frames import BINARY, CLOSE, PONG, TEXT, client_frame, frame
from django_fastws._core.whole_messages import ENDLESS, frame_size, is_plain, read_messages

KEY = b"\x0b\xe7\xc3\x11"
MESSAGES = st.one_of(
    st.text(max_size=150), st.binary(max_size=150), st.integers(120, 130).map(lambda size: "ö" * size)
)


def written(message: str | bytes, key: bytes = KEY) -> bytes:
    if isinstance(message, str):
        return client_frame(TEXT, message.encode(), key, apply_mask)
    return client_frame(BINARY, message, key, apply_mask)


def found_in(
    data: bytes, start: int = 0, limit: float = 10**6, count: int = sys.maxsize, room: int = sys.maxsize
) -> tuple[list[Any], int, int]:
    messages: list[Any] = []
    end, taken = read_messages(data, start, messages.append, apply_mask, limit, count, room)
    return messages, end, taken


@given(st.lists(MESSAGES, min_size=1, max_size=6), st.binary(min_size=4, max_size=4), st.data())
def test_all_messages_are_found_that_are_there(messages, key, data):
    frames = [written(message, key) for message in messages]
    whole = b"".join(frames)
    size = sum(len(message.encode() if isinstance(message, str) else message) for message in messages)
    assert found_in(whole) == (messages, len(whole), size)
    assert found_in(b"before" + whole, 6) == (messages, 6 + len(whole), size)
    cut = data.draw(st.integers(0, len(whole)))
    found, end, _ = found_in(whole[:cut])
    assert (found, whole[:end]) == (messages[: len(found)], b"".join(frames[: len(found)]))
    assert cut - end < len(frames[len(found)] if cut < len(whole) else b"x")


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536])
def test_a_message_has_any_length_up_to_the_limit(size):
    data = written(b"x" * size)
    assert found_in(data + b"more", limit=size) == ([b"x" * size], len(data), size)
    assert found_in(data, limit=size - 1) == ([], 0, 0)
    for cut in (len(data) - 1, 9, 3, 2, 1, 0):
        assert found_in(data[:cut]) == ([], 0, 0)


def test_it_stops_behind_so_many_messages_or_so_many_bytes():
    data = written("abc") * 5
    assert found_in(data, count=2)[0] == ["abc"] * 2
    assert found_in(data, room=6)[0] == ["abc"] * 2
    assert found_in(data, room=7)[0] == ["abc"] * 3
    assert found_in(data, count=1, room=1)[0] == ["abc"]
    end = found_in(data, count=3)[1]
    assert found_in(data, end) == (["abc"] * 2, len(data), 6)


@pytest.mark.parametrize(
    "data",
    [
        client_frame(TEXT, b"\xff", KEY, apply_mask),
        client_frame(TEXT, "é".encode()[:1], KEY, apply_mask),
        client_frame(TEXT, b"\xed\xa0\x80", KEY, apply_mask),
        client_frame(CLOSE, b"\x03\xe8", KEY, apply_mask),
        client_frame(PONG, b"x", KEY, apply_mask),
        frame(TEXT, b"not masked"),
        frame(TEXT, b"x" * 126),
        b"\x01\x81\0\0\0\0x",
        b"\x80\x81\0\0\0\0x",
        b"\xc1\x81\0\0\0\0x",
        b"\x83\x81\0\0\0\0x",
        b"\x81\xfe\x00\x01\0\0\0\0x",
        b"\x81\xff" + (1).to_bytes(8, "big") + b"\0\0\0\0x",
        b"\x82\xff" + (2**63).to_bytes(8, "big") + b"\0\0\0\0x",
    ],
    ids=[
        "no UTF-8",
        "half a character",
        "a surrogate",
        "a close frame",
        "a pong",
        "not masked",
        "long and not masked",
        "a first fragment",
        "a last fragment",
        "compressed",
        "reserved",
        "16 bits for 1",
        "64 bits for 1",
        "the sign of 64 bits",
    ],
)
def test_what_is_no_whole_message_is_left_to_others(data):
    assert found_in(written("before") + data + written("behind")) == (["before"], len(written("before")), 6)


@given(MESSAGES, st.integers(0, 20))
def test_the_size_of_a_frame_is_known_with_its_length(message, start):
    data = written(message)
    size = len(message.encode() if isinstance(message, str) else message)
    length = 2 if size < 126 else 4
    before = b"-" * start
    for there in range(len(data) + 1):
        assert frame_size(before + data[:there], start) == (0 if there < length else len(data))


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"\x88\x80", 6),
        (b"\x89\xfd", 131),
        (b"\xc1\xfe\x01\x00", 264),
        (b"\x00\xff" + (2**32).to_bytes(8, "big"), 14 + 2**32),
        (b"\x81\x05", ENDLESS),
        (b"\x83\x81", ENDLESS),
        (b"\x8b\x81", ENDLESS),
        (b"\x89\xfe", ENDLESS),
    ],
)
def test_every_frame_has_a_size_and_what_is_none_has_no_end(data, size):
    assert frame_size(data, 0) == size


def test_whole_messages_begin_in_one_of_two_ways():
    assert [first for first in range(256) if is_plain(first)] == [0x81, 0x82]
