"""Envelope: what processes send to each other through the broker. It is encoded and decoded here only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import Any

from .history import History
from .latest import Keyed
from .messages import Payload
from .positions import Position
from .presence_reports import PresenceDiff
from .sequences import Sender
from .traceparent import is_sampled

__all__ = ["BROADCAST", "CONTROL", "VERSION", "EncodedEnvelope", "Envelope", "UnknownVersion", "decode"]

EncodedEnvelope = dict[str, str | bytes]
"""An envelope as a layer carries it: str and bytes only, which every layer leaves unchanged."""

#: Of the encoding. A process ignores envelopes of another version, and keys that it does not know.
VERSION = "1"

# Kinds
BROADCAST = "fastws.broadcast"
CONTROL = "fastws.control"

_NO_FIELDS: Mapping[str, str | bytes] = MappingProxyType({})
_OF_EVERY_KIND = frozenset({"type", "v", "room", "by", "nr"})


class UnknownVersion(ValueError):
    """An envelope of another version, which another release of this package has sent."""

    def __init__(self, version: object) -> None:
        super().__init__(f"version {version!r:.80}")


@dataclass(slots=True)
class Envelope:
    """One broadcast to a room, or one control message to processes.

    Attributes:
        kind: BROADCAST or CONTROL.
        room: the group of the layer that it is published to.
        data: the message for the members, text or bytes; of a broadcast only.
        exclude: the id of a member that does not get it; None for nobody.
        sender, number: who has sent it, and one more than the number of its last, where the broker may send it twice.
        fields: what a control message says.
        is_json: whether the text of a broadcast is JSON, and not a text of the caller's.
        event: the name of a broadcast's event; None for the default one.
        is_volatile: whether it is never stored, and the first to be dropped.
        author: the key of the member whose event is relayed; None where the server has sent it.
        position: in the room's history, or of the change of a keyed room, where it was stored; None if it was not, or
            not yet.
        history: what the room keeps, so that the broker stores it; None publishes only. It is not encoded.
        idempotency_key: that no other envelope to the room has had; None for none. It is not encoded.
        keyed: whose newest value it is, in a keyed room; None in any other.
        presence: what has changed of who is present in the room, in a control message of a presence store, which
            sends it in a form of its own; None in any other.
        published: when a broadcast was given to the layer, in seconds since 1970 by the publisher's clock; 0 where
            nobody has said so.
        trace: the traceparent of the span in which a broadcast was made; None where it is not traced.
    """

    kind: str
    room: str
    data: str | bytes = ""
    exclude: str | None = None
    sender: str | None = None
    number: str | None = None
    fields: Mapping[str, str | bytes] = field(default_factory=lambda: _NO_FIELDS)
    is_json: bool = False
    event: str | None = None
    is_volatile: bool = False
    author: str | None = None
    position: Position | None = None
    history: History | None = None
    idempotency_key: str | None = None
    keyed: Keyed | None = None
    presence: PresenceDiff | None = None
    published: float = field(default=0.0, compare=False)
    trace: str | None = field(default=None, compare=False)

    @classmethod
    def broadcast(
        cls,
        room: str,
        payload: Payload,
        exclude: str | None = None,
        *,
        is_json: bool = False,
        event: str | None = None,
        is_volatile: bool = False,
        author: str | None = None,
        history: History | None = None,
        idempotency_key: str | None = None,
        keyed: Keyed | None = None,
    ) -> Envelope:
        """Make the envelope of one broadcast."""
        # As cls(...) does, but in half of the time.
        made = _new(cls)
        made.kind = BROADCAST
        made.room = room
        text = payload.known_text
        made.data = text if text is not None else payload.raw if payload.binary else payload.text
        made.exclude = exclude
        made.sender = made.number = None
        made.fields = _NO_FIELDS
        made.is_json = is_json
        made.event = event
        made.is_volatile = is_volatile
        made.author = author
        made.position = None
        made.history = history
        made.idempotency_key = idempotency_key
        made.keyed = keyed
        made.presence = made.trace = None
        made.published = 0.0
        return made

    @classmethod
    def control(cls, room: str, fields: Mapping[str, str | bytes]) -> Envelope:
        """Make the envelope of one control message."""
        return cls(CONTROL, room, fields=fields)

    def encode(self, sender: Sender | None = None) -> EncodedEnvelope:
        """Encode it, as the next of a sender; None is nobody in particular, and it has no number."""
        encoded: EncodedEnvelope
        if self.kind != BROADCAST:
            encoded = {"type": self.kind, "v": VERSION, **self.fields}
            if sender is not None:
                sender.last += 1
                encoded["by"], encoded["nr"] = sender.name, str(sender.last)
            return encoded
        data = self.data
        key = "json" if self.is_json else "bytes" if type(data) is bytes else "text"
        if sender is None:
            encoded = {"type": BROADCAST, "v": VERSION, "room": self.room, key: data}
        else:  # made at once, as it would have to grow for two more keys
            sender.last = number = sender.last + 1
            by, nr = sender.name, str(number)
            encoded = {"type": BROADCAST, "v": VERSION, "room": self.room, key: data, "by": by, "nr": nr}
        if self.exclude is not None:
            encoded["exclude"] = self.exclude
        if self.event is not None:
            encoded["event"] = self.event
        if self.is_volatile:
            encoded["volatile"] = "1"
        if self.author is not None:
            encoded["author"] = self.author
        if self.keyed is not None:
            encoded["key"] = self.keyed.key
            if self.keyed.is_removed:
                encoded["removed"] = "1"
        if self.position is not None:
            encoded["at"] = str(self.position)
        if self.published:
            encoded["t"] = f"{self.published:.6f}"
        if self.trace is not None:
            encoded["trace"] = self.trace
        return encoded


def decode(message: Mapping[str, Any], position: Position | None = None) -> Envelope | None:
    """Decode what a layer has delivered. It is called for every broadcast in every process.

    Args:
        position: in the history, beside which the envelope was stored; None takes the one that is encoded, if any.
    Returns:
        None for what is no envelope, such as a message of a consumer, and for a broadcast without a room.
    Raises:
        UnknownVersion: another release has sent it.
        Exception: it makes no sense; anybody who may publish can send anything.
    """
    kind = message.get("type")
    if kind != BROADCAST:
        return _decode_control(message) if kind == CONTROL else None
    if message.get("v") != VERSION:
        raise UnknownVersion(message.get("v"))
    room = message.get("room")
    if room is None:
        return None
    get = message.get
    exclude, event, author = get("exclude"), get("event"), get("author")
    data: Any = get("json")
    is_json = data is not None
    if is_json:
        is_message = isinstance(data, str)
    elif (data := get("bytes")) is None:
        data = message["text"]
        is_message = isinstance(data, str)
    else:
        is_message = isinstance(data, bytes)
    # Messages that wait are batched, and what is none would take the others with it.
    if not (is_message and isinstance(room, str) and (exclude is None or isinstance(exclude, str))):
        raise TypeError(f"a broadcast of {type(data)} to {type(room)} that excludes {type(exclude)}")
    if not ((event is None or isinstance(event, str)) and (author is None or isinstance(author, str))):
        raise TypeError(f"a broadcast of the event {type(event)} by {type(author)}")
    if position is None and (at := get("at")) is not None and (position := Position.parse(at)) is None:
        raise ValueError("a broadcast with a position that is none")
    made = _new(Envelope)
    made.kind = BROADCAST
    made.room = room
    made.data = data
    made.exclude = exclude
    made.sender = get("by")
    made.number = get("nr")
    made.fields = _NO_FIELDS
    made.is_json = is_json
    made.event = event
    made.is_volatile = "volatile" in message
    made.author = author
    made.position = position
    made.history = made.idempotency_key = made.keyed = made.presence = None
    made.published = 0.0
    if (published := get("t")) is not None:
        made.published = float(published)
        if not isfinite(made.published):  # one would be in the sum of all lags for ever
            raise ValueError(f"a broadcast that was published at {made.published}")
    # It is of no use to members, and so nothing of it is an error.
    trace = get("trace")
    made.trace = trace if trace is not None and isinstance(trace, str) and is_sampled(trace) else None
    if (key := get("key")) is not None:
        if not isinstance(key, str):
            raise TypeError(f"a broadcast of the key {type(key)}")
        made.keyed = Keyed(key, "removed" in message, None)
    return made


_new = object.__new__


def _decode_control(message: Mapping[str, Any]) -> Envelope:
    if message.get("v") != VERSION:
        raise UnknownVersion(message.get("v"))
    fields = {key: value for key, value in message.items() if key not in _OF_EVERY_KIND}
    return Envelope(CONTROL, message.get("room") or "", "", None, message.get("by"), message.get("nr"), fields)
