"""Counters of events by kind, and a throttle for their log lines."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["LogThrottle"]


class LogThrottle:
    """Counts events by kind; each kind is logged at most once in so many seconds.

    Args:
        seconds: between two log lines of one kind.
    """

    def __init__(self, seconds: float = 1.0) -> None:
        self._seconds = seconds
        self._counts: dict[str, int] = {}
        self._unlogged: dict[str, int] = {}
        self._logged_at: dict[str, float] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """A snapshot: how often each kind has happened until now."""
        return MappingProxyType(dict(self._counts))

    def add(self, kind: str) -> None:
        """Count one event."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._unlogged[kind] = self._unlogged.get(kind, 0) + 1

    def wait(self, kind: str, now: float) -> float:
        """The seconds until a kind may be logged again."""
        logged_at = self._logged_at.get(kind)
        return 0.0 if logged_at is None else max(0.0, logged_at + self._seconds - now)

    def take(self, kind: str, now: float) -> int:
        """The number of events since the last log line, to be logged now; 0 if there are none or it is too early."""
        if kind not in self._unlogged or self.wait(kind, now):
            return 0
        self._logged_at[kind] = now
        return self._unlogged.pop(kind)
