"""Event of a room, as live members get it: one text frame with the room, the event's name and its data."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .json import dumps
from .latest import Keyed
from .messages import Payload
from .positions import Position

__all__ = [
    "DEFAULT_EVENT",
    "LATEST",
    "EventPayload",
    "KeyedPayload",
    "PositionPayload",
    "VolatileEventPayload",
    "check_event",
]

#: The event of a broadcast that names none.
DEFAULT_EVENT = "message"
#: What the value of a key is called where it is an event; it is no name of others.
LATEST = "latest"


def check_event(event: Any, call: str) -> None:
    """Check the name of an event that is sent.

    Args:
        call: what the caller called, for the text of the error.
    Raises:
        TypeError: it is no str.
        ValueError: it is empty, or has no UTF-8.
    """
    if not isinstance(event, str):
        raise TypeError(f"{call}: an event is named by a str, not {type(event).__name__}")
    if not event:
        raise ValueError(f"{call}: the name of the event is empty")
    if not event.isascii():
        try:
            event.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{call}: the name of the event has no UTF-8: {error}") from None


class EventPayload(Payload):
    """Event of a room, encoded once for all live members: ``{"room":…,"event":…,"data":…}``.

    Args:
        room: the room's name, as JSON.
        event: the event's name.
        data: what it carries, as JSON.
        author: the key of the member whose event was relayed; None where the server has sent it.
        position: in the room's history; None where it has none.
    """

    __slots__ = ("data", "event", "position", "room")

    def __init__(
        self, room: bytes, event: str, data: bytes, author: str | None = None, position: Position | None = None
    ) -> None:
        end = b"}" if author is None else b',"from":%b}' % dumps(author)
        if position is not None:
            end = b',"at":"%b"%b' % (str(position).encode(), end)
        super().__init__(b'{"room":%b,"event":%b,"data":%b%b' % (room, _name(event), data, end), is_text=True)
        self.room = room
        self.event = event
        self.data = data
        self.position = position

    def substitute(self) -> Payload | None:
        """Those who are excluded from a stored event get its position, so that positions follow each other."""
        return None if self.position is None else PositionPayload(self.room, self.position)


class PositionPayload(Payload):
    """Position of an event that is not for a member: ``{"room":…,"at":…}``."""

    __slots__ = ("position", "room")

    def __init__(self, room: bytes, position: Position) -> None:
        super().__init__(b'{"room":%b,"at":"%b"}' % (room, str(position).encode()), is_text=True)
        self.room = room
        self.position = position


class KeyedPayload(EventPayload):
    """Value of a key, in a keyed room: ``{"room":…,"key":…,"data":…}``, or with ``"removed":true``.

    Args:
        room: the room's name, as JSON; empty for members that are no live ones, which are not told it.
        data: the value, as JSON; of a key that was removed, whatever.
        position: of the change.
    """

    __slots__ = ("is_removed", "key")

    def __init__(self, room: bytes, keyed: Keyed, data: bytes, position: Position | None) -> None:
        begin = b'{"room":%b,"key":' % room if room else b'{"key":'
        value = b'"removed":true' if keyed.is_removed else b'"data":%b' % data
        Payload.__init__(self, b"%b%b,%b}" % (begin, dumps(keyed.key), value), is_text=True)
        self.room = room
        self.event = LATEST
        self.key, self.is_removed = keyed.key, keyed.is_removed
        self.data = data
        self.position = position

    def substitute(self) -> Payload | None:
        """Nothing: who is excluded goes on with the value that it has."""
        return None


class VolatileEventPayload(EventPayload):
    """Event that is the first to be dropped, where a client is too slow."""

    __slots__ = ()

    is_volatile = True


@lru_cache(maxsize=1024)
def _name(event: str) -> bytes:
    return dumps(event)
