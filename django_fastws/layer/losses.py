"""Counters of what a process has missed because it was slower than the broadcasts that came for it."""

from __future__ import annotations

import threading

__all__ = ["Losses", "losses"]


class Losses:
    """Counters of one process, which threads may share.

    Attributes:
        dropped: broadcasts that were dropped here, because they came faster than they could be sent.
        cut_off: how often Redis has closed the subscribed connection, because it was not read fast enough.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.dropped = self.cut_off = 0

    def drop(self, count: int) -> None:
        """So many broadcasts were dropped."""
        with self._lock:
            self.dropped += count

    def cut(self) -> None:
        """Redis has closed the connection."""
        with self._lock:
            self.cut_off += 1


losses = Losses()
