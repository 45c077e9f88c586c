"""How an attempt of an outbound route ended."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["Ending", "How", "Unsuited"]


class How(Enum):
    """How an attempt ended."""

    DONE = "done"  # the handler returned while the connection was open
    LEFT = "left"  # the handler closed it, or raised WebSocketException
    PLANNED = "planned"  # the handler raised Reconnect
    CLOSED = "closed"  # the peer closed it
    LOST = "lost"  # it was cut, or the peer did not answer pings
    REFUSED = "refused"  # it was not opened, which may pass
    IMPOSSIBLE = "impossible"  # it was not opened, which cannot pass
    FAILED = "failed"  # the handler raised what is no connection error


class Ending(NamedTuple):
    """How an attempt ended.

    Attributes:
        how: the kind of ending.
        reason: in words, without secrets.
        wait: seconds that the peer, or the handler, asked for before another attempt, or None.
        up_seconds: how long the connection was open.
    """

    how: How
    reason: str = ""
    wait: float | None = None
    up_seconds: float = 0.0


class Unsuited(Exception):
    """A connection that picows cannot make, and websockets perhaps can; the text says why."""
