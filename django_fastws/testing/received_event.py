"""ReceivedEvent: an event as a client of a test has received it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Left", "ReceivedEvent"]


@dataclass(frozen=True)
class ReceivedEvent:
    """Event of a room, or to one client.

    Attributes:
        event: its name; "state" for a new state while the room is joined, "latest" for the value of a key.
        data: decoded.
        at: its position, in a room with history; else None.
        sender: presence key of the member who has sent it, if it is a relayed one; else None.
        key: whose value it is, in a keyed room; else None.
        removed: the key has no value any more.
    """

    event: str
    data: Any = None
    at: str | None = None
    sender: str | None = None
    key: str | None = None
    removed: bool = False

    def __repr__(self) -> str:
        more = "".join(
            f", {name}={value!r}" for name in ("at", "sender", "key", "removed") if (value := getattr(self, name))
        )
        return f"{self.event} {self.data!r}{more}"


@dataclass(frozen=True)
class Left:
    """Close code and reason with which the server has taken a client out of a room.

    Attributes:
        code: 4403 for one that was kicked, 1000 for ``ws.leave()``.
        reason: for people.
    """

    code: int
    reason: str = ""
