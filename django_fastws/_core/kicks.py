"""Control message of a kick: who is removed from a room, in every process."""

from __future__ import annotations

from typing import NamedTuple

from .envelope import CONTROL, Envelope

__all__ = ["Kick", "decode_kick", "encode_kick"]

_LONGEST = 4096  # characters that name a user or a client


class Kick(NamedTuple):
    """Removal of members from a room.

    Attributes:
        user: the ``user_key``; "" where a client is meant.
        client: the id of a client; "" where a user is meant.
        code, reason: with which sockets are closed, and live members are told.
    """

    user: str
    client: str
    code: int
    reason: str


def encode_kick(group: str, kick: Kick) -> Envelope:
    """The envelope of a kick, for the group of its room."""
    user, client, code, reason = kick
    fields: dict[str, str | bytes] = {"do": "kick", "code": str(code), "reason": reason, "room": group}
    if user:
        fields["user"] = user
    if client:
        fields["client"] = client
    return Envelope.control(group, fields)


def decode_kick(envelope: Envelope) -> Kick | None:
    """The kick in an envelope; None for what is none.

    Raises:
        KeyError, TypeError, ValueError: it makes no sense.
    """
    fields = envelope.fields
    if envelope.kind != CONTROL or fields.get("do") != "kick":
        return None
    user, client = str(fields.get("user", "")), str(fields.get("client", ""))
    if not (user or client) or len(user) > _LONGEST or len(client) > _LONGEST:
        raise ValueError("a kick of nobody, or of a name that is too long")
    return Kick(user, client, int(fields["code"]), str(fields["reason"]))
