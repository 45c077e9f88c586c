"""Event of a room, as live members get it: one text frame with the room, the event's name and its data."""

from __future__ import annotations

from functools import lru_cache

from .json import dumps
from .messages import Payload

__all__ = ["DEFAULT_EVENT", "EventPayload", "VolatileEventPayload"]

#: The event of a broadcast that names none.
DEFAULT_EVENT = "message"


class EventPayload(Payload):
    """Event of a room, encoded once for all live members: ``{"room":…,"event":…,"data":…}``.

    Args:
        room: the room's name, as JSON.
        event: the event's name.
        data: what it carries, as JSON.
        author: the key of the member whose event was relayed; None where the server has sent it.
    """

    __slots__ = ("data", "event")

    def __init__(self, room: bytes, event: str, data: bytes, author: str | None = None) -> None:
        end = b"}" if author is None else b',"from":%b}' % dumps(author)
        super().__init__(b'{"room":%b,"event":%b,"data":%b%b' % (room, _name(event), data, end), is_text=True)
        self.event = event
        self.data = data


class VolatileEventPayload(EventPayload):
    """Event that is the first to be dropped, where a client is too slow."""

    __slots__ = ()

    is_volatile = True


@lru_cache(maxsize=1024)
def _name(event: str) -> bytes:
    return dumps(event)
