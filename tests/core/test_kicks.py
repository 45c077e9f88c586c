"""Control messages of kicks."""

import pytest

from django_fastws._core.envelope import CONTROL, Envelope, decode
from django_fastws._core.kicks import Kick, decode_kick, encode_kick


@pytest.mark.parametrize("kick", [Kick("auth.user:5", "", 4403, "bye"), Kick("", "c-1", 1000, "")])
def test_a_kick_arrives_as_it_was_sent(kick):
    envelope = decode(encode_kick("fastws.n.lobby", kick).encode())
    assert (envelope.kind, envelope.room, decode_kick(envelope)) == (CONTROL, "fastws.n.lobby", kick)


@pytest.mark.parametrize(
    "envelope", [Envelope.control("g", {"do": "disconnect"}), Envelope("fastws.broadcast", "g", "text")]
)
def test_what_is_none_is_none(envelope):
    assert decode_kick(envelope) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"code": "4403", "reason": ""},
        {"user": "u", "reason": ""},
        {"user": "u", "code": "many", "reason": ""},
        {"user": "u" * 5000, "code": "4403", "reason": ""},
        {"client": "c" * 5000, "code": "4403", "reason": ""},
    ],
    ids=["nobody", "no code", "no number", "long user", "long client"],
)
def test_what_makes_no_sense_is_an_error(fields):
    with pytest.raises((KeyError, ValueError)):
        decode_kick(Envelope.control("g", {"do": "kick", **fields}))
