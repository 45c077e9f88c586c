"""Throttle of log lines: each kind at most once in so many seconds, with how many there were."""

from __future__ import annotations

__all__ = ["LogThrottle"]


class LogThrottle:
    """Throttle of log lines, by kind.

    Args:
        seconds: between two lines of one kind.
    """

    def __init__(self, seconds: float = 1.0) -> None:
        self._seconds = seconds
        self._unlogged: dict[str, int] = {}
        self._logged_at: dict[str, float] = {}

    def add(self, kind: str) -> None:
        """Count an event that is to be logged."""
        self._unlogged[kind] = self._unlogged.get(kind, 0) + 1

    def wait(self, kind: str, now: float) -> float:
        """Seconds until a kind may be logged again."""
        logged_at = self._logged_at.get(kind)
        return 0.0 if logged_at is None else max(0.0, logged_at + self._seconds - now)

    def take(self, kind: str, now: float) -> int:
        """Number of events since the last line, to be logged now; 0 if there were none, or it is too early."""
        if kind not in self._unlogged or self.wait(kind, now):
            return 0
        self._logged_at[kind] = now
        return self._unlogged.pop(kind)
