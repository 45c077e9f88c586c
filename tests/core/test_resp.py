"""Redis' protocol: whatever the pieces it comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.resp import ErrorReply, ReplyReader, command, publish_command, spublish_command

#: What Redis sends, and what is read.
REPLIES = [
    (b"+OK\r\n", b"OK"),
    (b"+\r\n", b""),
    (b":0\r\n", 0),
    (b":-7\r\n", -7),
    (b"(3492890328409238509324850943850943825024385\r\n", 3492890328409238509324850943850943825024385),
    (b",1.5\r\n", 1.5),
    (b"#t\r\n", True),
    (b"#f\r\n", False),
    (b"_\r\n", None),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"$0\r\n\r\n", b""),
    (b"$4\r\na\r\nb\r\n", b"a\r\nb"),
    (b"=8\r\ntxt:size\r\n", b"size"),
    (b"*0\r\n", []),
    (b"~2\r\n:1\r\n$1\r\na\r\n", [1, b"a"]),
    (b"*2\r\n*1\r\n:1\r\n>1\r\n+x\r\n", [[1], (b"x",)]),
    (b"%2\r\n+a\r\n:1\r\n*1\r\n:2\r\n_\r\n", [(b"a", 1), ([2], None)]),
    (b"|1\r\n+ttl\r\n:3\r\n:9\r\n", 9),
    (b">3\r\n$9\r\nsubscribe\r\n$1\r\nr\r\n:1\r\n", (b"subscribe", b"r", 1)),
    (b"*3\r\n$9\r\nsubscribe\r\n$1\r\nr\r\n:1\r\n", [b"subscribe", b"r", 1]),
    (b">3\r\n$7\r\nmessage\r\n$1\r\nr\r\n$5\r\na\r\n:1\r\n", (b"message", b"r", b"a\r\n:1")),
    (b">3\r\n$8\r\nsmessage\r\n$1\r\nr\r\n$1\r\na\r\n", (b"message", b"r", b"a")),
    (b"*3\r\n$8\r\nsmessage\r\n$10\r\n0123456789\r\n$0\r\n\r\n", (b"message", b"0123456789", b"")),
    (b"*3\r\n$7\r\nmessage\r\n$0\r\n\r\n$0\r\n\r\n", (b"message", b"", b"")),
    (b">3\r\n$7\r\nmessage\r\n$1\r\nr\r\n$3000\r\n" + b"\r\n$" * 1000 + b"\r\n", (b"message", b"r", b"\r\n$" * 1000)),
]


@pytest.mark.parametrize(("data", "reply"), REPLIES, ids=lambda value: repr(value)[:30])
def test_replies(data, reply):
    assert ReplyReader().feed(data) == [reply]


def test_errors_are_replies():
    simple, bulk = ReplyReader().feed(b"-NOPERM not you\r\n!9\r\nSYNTAX ab\r\n")
    assert (type(simple), simple.text, bulk.text) == (ErrorReply, "NOPERM not you", "SYNTAX ab")
    assert repr(simple) == "ErrorReply('NOPERM not you')"


@given(st.lists(st.sampled_from(REPLIES), max_size=6), st.data())
def test_the_pieces_do_not_matter(replies, data):
    stream = b"".join(sent for sent, _ in replies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    reader, got = ReplyReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.feed(stream[start:end])
    assert got == [reply for _, reply in replies]


def test_byte_by_byte():
    reader, got = ReplyReader(), []
    for data, _ in REPLIES:
        for byte in data:
            got += reader.feed(bytes([byte]))
    assert got == [reply for _, reply in REPLIES]


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n", b"\r\n", b"*x\r\n", b":one\r\n", b"$a\r\n"])
def test_what_is_no_reply(data):
    with pytest.raises(ValueError):  # noqa: PT011 (the text is for the log)
        ReplyReader().feed(data)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5))
def test_commands_are_arrays_of_strings(parts):
    assert ReplyReader().feed(command(*parts)) == [parts]


def test_publishing_is_a_command():
    assert publish_command(b"r", b"data\r\n") == command(b"PUBLISH", b"r", b"data\r\n")
    assert spublish_command(b"r", b"data\r\n") == command(b"SPUBLISH", b"r", b"data\r\n")
