"""Tallies: what is counted so often that each thread has its own numbers for it, as plain attributes, without a lock.

They are read when somebody asks for the metrics.
"""

from __future__ import annotations

from .instruments import OTHER, HistogramCell

__all__ = ["CallTally", "FanOutTally", "Traffic"]

_MOST_CODES = 50  # a handler may make up its own


class Traffic:
    """Messages and bytes of connections of one thread: plain ints, no lock.

    It is a socket's own, or that of a route with all its connections, or that of whatever else the thread counts.
    A connection asks for it once, and adds to it with every message: ``traffic.messages_received += 1``.
    """

    __slots__ = ("bytes_received", "bytes_sent", "messages_received", "messages_sent")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with zeros."""
        self.messages_received = self.bytes_received = self.messages_sent = self.bytes_sent = 0


class FanOutTally:
    """Fan-outs of one thread.

    Args:
        seconds: of the fan-outs of this thread.
    """

    __slots__ = ("_seconds", "delivered_bytes", "deliveries")

    def __init__(self, seconds: HistogramCell) -> None:
        self._seconds = seconds
        self.reset()

    def reset(self) -> None:
        """Begin with zeros; but for the seconds, which belong to their histogram."""
        self.deliveries = self.delivered_bytes = 0

    def count(self, seconds: float, deliveries: int, size: int) -> None:
        """Count one fan-out: how long it took, how many messages it came to, and how many bytes their frames had."""
        self._seconds.observe(seconds)
        self.deliveries += deliveries
        self.delivered_bytes += size


class CallTally:
    """Calls of one event of live rooms in one thread, by how they ended.

    Args:
        seconds: of these calls.

    Attributes:
        codes: how many calls have ended with which error code.
        succeeded: how many were answered with ``ok``.
    """

    __slots__ = ("_seconds", "codes", "succeeded")

    def __init__(self, seconds: HistogramCell) -> None:
        self._seconds = seconds
        self.reset()

    def reset(self) -> None:
        """Begin with zeros; but for the seconds, which belong to their histogram."""
        self.codes: dict[str, int] = {}
        self.succeeded = 0

    def count(self, seconds: float, code: str | None) -> None:
        """Count one call, whose handler was called: how long it took, and its error code; None is none."""
        self._seconds.observe(seconds)
        if code is None:
            self.succeeded += 1
            return
        if code not in self.codes and len(self.codes) >= _MOST_CODES:
            code = OTHER
        self.codes[code] = self.codes.get(code, 0) + 1
