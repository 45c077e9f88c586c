"""ReceivedEvent: an event as a client of a test has received it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Left", "ReceivedEvent"]


@dataclass(frozen=True)
class ReceivedEvent:
    """Event of a room, or to one client.

    Attributes:
        event: its name; "state" for a new state while the room is joined.
        data: decoded.
        at: its position, in a room with history; else None.
        sender: presence key of the member who has sent it, if it is a relayed one; else None.
    """

    event: str
    data: Any = None
    at: str | None = None
    sender: str | None = None

    def __repr__(self) -> str:
        more = "".join(f", {name}={value!r}" for name, value in (("at", self.at), ("sender", self.sender)) if value)
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
