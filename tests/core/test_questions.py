"""Questions to processes and their replies, as envelopes."""

import pytest

from django_fastws._core.envelope import Envelope, decode
from django_fastws._core.questions import (
    GROUP,
    LONGEST_SECONDS,
    Question,
    Reply,
    decode_question,
    decode_reply,
    encode_question,
    encode_reply,
    reply_group,
)

ID = "0123456789abcdef" * 2


def carried(envelope):
    """The envelope as another process gets it."""
    return decode(envelope.encode())


@pytest.mark.parametrize("arguments", [None, {"page": 2, "name": "größe ✓"}, [1, 2.5, True]])
def test_a_question_arrives_as_it_was(arguments):
    envelope = encode_question(Question(ID, "process", arguments, 2.0))
    assert envelope.room == GROUP
    assert decode_question(carried(envelope)) == Question(ID, "process", arguments, 2.0)


def test_nobody_works_longer_than_a_minute():
    assert decode_question(carried(encode_question(Question(ID, "process", None, 1e6)))).seconds == LONGEST_SECONDS


@pytest.mark.parametrize("reply", [Reply("web:1:a", {"pid": 1}), Reply("web:1:a", error="it has failed")])
def test_a_reply_arrives_as_it_was(reply):
    envelope = encode_reply(ID, reply)
    assert envelope.room == reply_group(ID)
    assert decode_reply(carried(envelope)) == reply


def test_what_is_none_is_none():
    other = Envelope.control(GROUP, {"do": "disconnect", "user": "1"})
    assert decode_question(other) is None
    assert decode_reply(other) is None
    assert decode_question(encode_reply(ID, Reply("web"))) is None


GOOD = {"do": "ask", "question": ID, "topic": "process", "arguments": b"null", "seconds": "2"}


@pytest.mark.parametrize(
    "fields",
    [
        {"question": "chat.lobby"},
        {"question": ID.upper()},
        {"seconds": "nan"},
        {"seconds": "-1"},
        {"seconds": "soon"},
        {"topic": ""},
        {"topic": "x" * 201},
        {"arguments": b"{"},
    ],
    ids=str,
)
def test_a_question_that_makes_no_sense_raises(fields):
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode_question(Envelope.control(GROUP, {**GOOD, **fields}))


@pytest.mark.parametrize(
    "fields", [{}, {"process": "web"}, {"process": "web", "data": b"{"}, {"process": "", "data": b"1"}]
)
def test_a_reply_that_makes_no_sense_raises(fields):
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode_reply(Envelope.control(reply_group(ID), {"do": "reply", **fields}))
