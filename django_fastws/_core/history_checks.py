"""Control message that tells processes to look at a room's history: it has begun anew."""

from __future__ import annotations

from .envelope import CONTROL, Envelope

__all__ = ["encode_history_check", "is_history_check"]


def encode_history_check(group: str) -> Envelope:
    """The envelope that says so, for the group of the room."""
    return Envelope.control(group, {"do": "check-history", "room": group})


def is_history_check(envelope: Envelope) -> bool:
    """Whether an envelope says so."""
    return envelope.kind == CONTROL and envelope.fields.get("do") == "check-history"
