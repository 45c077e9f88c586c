"""History: the declaration of what a room keeps of its events."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["History"]

_LONGEST_SECONDS = 10 * 366 * 86_400
_MOST = 2**53  # what numbers of Redis' scripts hold exactly


@dataclass(frozen=True, slots=True)
class History:
    """Bounds of what a room keeps: what is over one of them is forgotten, the oldest first.

    Args:
        messages: how many events are kept.
        seconds: for how long an event is kept.
        bytes: how many bytes of encoded events are kept.
        database: whether it is kept in the database, where events are part of the transactions in which they are
            broadcast, instead of the channel layer.
    Raises:
        TypeError, ValueError: one of them is no such number.
    """

    messages: int = 500
    seconds: float = 86_400
    bytes: int = 4 * 1024 * 1024
    database: bool = False

    def __post_init__(self) -> None:
        for name in ("messages", "bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"History({name}={value!r}): that is no whole number")
            if not 1 <= value < _MOST:
                raise ValueError(f"History({name}={value!r}): it is at least 1; history=None keeps nothing")
        seconds = self.seconds
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError(f"History(seconds={seconds!r}): that is no number of seconds")
        if not 0 < seconds <= _LONGEST_SECONDS:
            raise ValueError(f"History(seconds={seconds!r}): it is over 0, and at most ten years")
        if not isinstance(self.database, bool):
            raise TypeError(f"History(database={self.database!r}): it is True or False; a router names the database")

    @property
    def position_seconds(self) -> float:
        """For how long a room without events remembers its position: longer than any event is kept."""
        return max(self.seconds * 2, self.seconds + 3600)

    @property
    def unused_seconds(self) -> float:
        """For how long a room that never had an event does: reading makes one of any name that somebody tries."""
        return min(self.position_seconds, 600)

    @property
    def key_seconds(self) -> float:
        """For how long an idempotency key counts."""
        return max(self.position_seconds, 600)
