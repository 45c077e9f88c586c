"""Envelopes: what is encoded is decoded, by any release that has the version, and nothing else is."""

import dataclasses
import json

import pytest

from django_fastws._core import control, questions
from django_fastws._core.envelope import BROADCAST, CONTROL, VERSION, Envelope, UnknownVersion, decode
from django_fastws._core.history_checks import encode_history_check, is_history_check
from django_fastws._core.kicks import Kick, decode_kick, encode_kick
from django_fastws._core.messages import Payload
from django_fastws._core.positions import Position
from django_fastws._core.sequences import Sender

GOOD = {"type": "fastws.broadcast", "v": VERSION, "room": "fastws.n.lobby", "text": "hi"}


@pytest.mark.parametrize("data", ["text", b"bytes", "", b""])
@pytest.mark.parametrize("exclude", [None, "some-id"])
@pytest.mark.parametrize("numbered", [(None, None), ("sender", "5")], ids=["plain", "numbered"])
def test_a_broadcast_is_decoded_as_it_was_encoded(data, exclude, numbered):
    envelope = Envelope.broadcast("fastws.n.lobby", Payload(data), exclude)
    encoded = envelope.encode(Sender("sender", last=4) if all(numbered) else None)
    assert all(type(key) is str and type(value) in (str, bytes) for key, value in encoded.items())
    assert decode(encoded) == Envelope(BROADCAST, "fastws.n.lobby", data, exclude, *numbered)


def test_a_control_message_is_decoded_as_it_was_encoded():
    fields = {"do": "disconnect", "user": "auth.user:1"}
    encoded = Envelope.control("fastws.c.users", fields).encode(Sender("sender", last=4))
    envelope = decode(encoded)
    assert (envelope.kind, envelope.fields, envelope.sender, envelope.number) == (CONTROL, fields, "sender", "5")


# Version "1" as it is on its way today, between releases: whoever changes this, changes the version


@pytest.mark.parametrize(
    ("envelope", "encoded"),
    [
        (Envelope(BROADCAST, "fastws.n.lobby", "hi"), GOOD),
        (
            Envelope(BROADCAST, "fastws.n.lobby", b"\x00", "id"),
            {"type": "fastws.broadcast", "v": "1", "room": "fastws.n.lobby", "bytes": b"\x00", "exclude": "id"},
        ),
        (
            Envelope.broadcast(
                "fastws.n.lobby", Payload('{"a":1}'), is_json=True, event="said", is_volatile=True, author="5"
            ),
            {
                "type": "fastws.broadcast",
                "v": "1",
                "room": "fastws.n.lobby",
                "json": '{"a":1}',
                "event": "said",
                "volatile": "1",
                "author": "5",
            },
        ),
        (
            Envelope.control("fastws.c.users", {"do": "disconnect", "user": "u"}),
            {"type": "fastws.control", "v": "1", "do": "disconnect", "user": "u"},
        ),
    ],
    ids=["text", "bytes", "event", "control"],
)
def test_the_encoding_of_version_1(envelope, encoded):
    assert envelope.encode() == encoded
    assert decode(encoded) == dataclasses.replace(envelope, room=encoded.get("room", ""))
    assert envelope.encode(Sender("sender", last=4)) == {**encoded, "by": "sender", "nr": "5"}


def test_keys_that_are_not_known_are_ignored():
    assert decode({**GOOD, "offset": "5", "epoch": b"x"}) == decode(GOOD)


CLOSING = [
    control.CloseRequest("auth.user:1", 4401, "logged out", "hash"),
    control.CloseRequest("auth.user:2", 4401, ""),
]
QUESTION = questions.Question("0" * 32, "process", {"a": 1}, 5.0)


@pytest.mark.parametrize(
    ("envelope", "read"),
    [
        (encode_kick("fastws.n.lobby", Kick("auth.user:1", "", 4403, "")), decode_kick),
        (encode_kick("fastws.n.lobby", Kick("", "c-1", 4403, "out")), decode_kick),
        (control.encode(CLOSING[:1])[0][0], lambda envelope: list(control.decode(envelope))),
        (control.encode(CLOSING[1:])[0][0], lambda envelope: list(control.decode(envelope))),
        (questions.encode_question(QUESTION), questions.decode_question),
        (questions.encode_reply(QUESTION.id, questions.Reply("one:1", [1])), questions.decode_reply),
        (encode_history_check("fastws.n.lobby"), is_history_check),
    ],
    ids=["kick of a user", "kick of a client", "end of a session", "end of a user", "question", "reply", "check"],
)
def test_what_another_release_says_besides_is_ignored_in_control_messages(envelope, read):
    encoded = envelope.encode(Sender("sender", last=4))
    understood = read(decode(encoded))
    assert understood
    assert read(decode({**encoded, "said_by_others": "x", "and": b"y"})) == understood


def test_so_it_is_of_each_user_of_several():
    requests = [dataclasses.replace(CLOSING[0], user=f"auth.user:{pk}") for pk in range(3)]
    ((envelope, _),) = control.encode(requests)
    users = [[*user, "said by others"] for user in json.loads(envelope.fields["users"])]
    assert (
        list(control.decode(Envelope.control(envelope.room, {**envelope.fields, "users": json.dumps(users)})))
        == requests
    )


def test_a_control_message_that_is_not_known_is_nothing_to_any_reader():
    envelope = decode({"type": CONTROL, "v": VERSION, "do": "said by others", "room": "fastws.n.lobby"})
    readers = (
        decode_kick,
        questions.decode_question,
        questions.decode_reply,
        is_history_check,
        control.is_close_request,
    )
    assert not any(read(envelope) for read in readers)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "chat.message", "text": "of a consumer"},
        {**GOOD, "room": None},
        {"type": "fastws.broadcast", "v": "1"},
    ],
    ids=["empty", "of a consumer", "no room", "nothing else"],
)
def test_what_is_no_envelope_is_none(message):
    assert decode(message) is None


@pytest.mark.parametrize("kind", [BROADCAST, CONTROL])
@pytest.mark.parametrize("version", ["2", 1, None, 100_000 * "9"], ids=["2", "a number", "none", "long"])
def test_another_version_is_refused_and_named_in_short(kind, version):
    with pytest.raises(UnknownVersion) as caught:
        decode({**GOOD, "type": kind, "v": version})
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    "change",
    [
        {"text": 5},
        {"text": ["a"]},
        {"text": {"a": 1}},
        {"text": None},
        {"bytes": 5},
        {"bytes": "text"},
        {"exclude": ["1"]},
        {"room": ["fastws.n.lobby"]},
        {"json": b"{}"},
        {"event": 5},
        {"author": b"5"},
    ],
    ids=lambda change: next(iter(change)) + " " + type(next(iter(change.values()))).__name__,
)
def test_what_is_no_message_is_refused(change):
    with pytest.raises(TypeError):
        decode({**GOOD, **change})


def test_a_position_is_encoded_and_gives_way_to_one_beside_the_envelope():
    envelope = Envelope.broadcast("fastws.n.lobby", Payload("x"))
    assert "at" not in envelope.encode()
    envelope.position = Position("4f1c", 171)
    encoded = envelope.encode()
    assert encoded["at"] == "4f1c:171"
    assert decode(encoded).position == Position("4f1c", 171)
    assert decode(encoded, Position("e", 1)).position == Position("e", 1)


@pytest.mark.parametrize("at", ["", "171", "e:-1", "e:1\n", 5, b"e:1", ["e:1"]], ids=str)
def test_a_position_that_is_none_is_refused(at):
    with pytest.raises((TypeError, ValueError)):
        decode({**GOOD, "at": at})


@pytest.mark.parametrize("published", ["inf", "-inf", "nan", "1e999", "soon", "", b"x", ["1"]], ids=str)
def test_a_time_that_is_none_is_refused(published):
    with pytest.raises((TypeError, ValueError)):
        decode({**GOOD, "t": published})


def test_a_broadcast_without_a_message_is_refused():
    with pytest.raises(KeyError):
        decode({"type": "fastws.broadcast", "v": VERSION, "room": "fastws.n.lobby"})
