"""Counts by key, with a limit: a semaphore for each of many."""

from __future__ import annotations

import threading

__all__ = ["Counts"]


class Counts:
    """Counts by key, which threads may share. What is counted zero times takes no memory."""

    __slots__ = ("_counts", "_lock")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def take(self, key: str, limit: int | None = None) -> bool:
        """Count one more, unless that were over the limit; whether it was counted."""
        with self._lock:
            count = self._counts.get(key, 0)
            if limit is not None and count >= limit:
                return False
            self._counts[key] = count + 1
            return True

    def give(self, key: str) -> None:
        """Count one less: what was taken is given back exactly once.

        Raises:
            KeyError: nothing of this key was taken.
        """
        with self._lock:
            count = self._counts[key] - 1
            if count:
                self._counts[key] = count
            else:
                del self._counts[key]

    def __getitem__(self, key: str) -> int:
        return self._counts.get(key, 0)

    def __len__(self) -> int:
        """Number of keys that are counted at least once."""
        return len(self._counts)
