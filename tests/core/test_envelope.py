"""Envelopes: what is encoded is decoded, by any release that has the version, and nothing else is."""

import dataclasses

import pytest

from django_fastws._core.envelope import BROADCAST, CONTROL, VERSION, Envelope, UnknownVersion, decode
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


def test_a_broadcast_without_a_message_is_refused():
    with pytest.raises(KeyError):
        decode({"type": "fastws.broadcast", "v": VERSION, "room": "fastws.n.lobby"})
