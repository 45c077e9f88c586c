"""Presence: who is in a room, as users declare it and see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

__all__ = ["Presence", "Present"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Declaration that rooms know who is in them: ``app.room(..., presence=Presence(counts_only=True))``.

    Attributes:
        counts_only: members are told how many are present, and not who: for rooms of thousands. ``Room.present()``
            knows all the same.
    Raises:
        TypeError: ``counts_only`` is no bool.
    """

    counts_only: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.counts_only, bool):
            raise TypeError(f"Presence(counts_only={self.counts_only!r}) is neither True nor False")


class Present(NamedTuple):
    """One who is present in a room: a user, or an anonymous client.

    Attributes:
        key: the user's primary key as a str; of an anonymous one, the id of its client.
        meta: its card: JSON, of the connection that has shown one last; None without one.
        connections: how many it has there, in all processes; at least 1.
        since: when the first of them came, in UTC.
    """

    key: str
    meta: Any
    connections: int
    since: datetime
