"""Rate limits such as "20/s burst 40": parsing, and token buckets."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Bucket", "Buckets", "Rate", "parse_rate"]

_UNITS = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
_RATE = re.compile(rf"(\d{{1,9}})/(\d{{0,9}})({'|'.join(_UNITS)})(?: +burst +(\d{{1,9}}))?", re.ASCII)
# Seconds that floats lose, and how much of the time itself: a clock that has run for a year has no nanoseconds.
_GRACE, _PRECISION = 1e-9, 4e-16


@dataclass(frozen=True, slots=True)
class Rate:
    """Rate: so many events in so much time.

    Attributes:
        count: of events, at least 1.
        seconds: in which they may come.
        burst: how many may come at once after a pause, at least 1.
    """

    count: int
    seconds: int
    burst: int

    def __str__(self) -> str:
        unit = {1: "s", 60: "m", 3600: "h", 86400: "d"}.get(self.seconds, f"{self.seconds}s")
        return f"{self.count}/{unit}" + ("" if self.burst == self.count else f" burst {self.burst}")


def parse_rate(text: str) -> Rate:
    """Read a rate: ``count/unit``, ``count/number unit``, each with ``burst count`` or without.

    The units are s, m, h and d, or second, minute, hour and day. Without a burst, all of the count may come at once.

    >>> parse_rate("20/s"), parse_rate("100/m burst 10"), str(parse_rate("5/10s"))
    (Rate(count=20, seconds=1, burst=20), Rate(count=100, seconds=60, burst=10), '5/10s')

    Raises:
        TypeError: it is no str.
        ValueError: it is no rate.
    """
    if not isinstance(text, str):
        raise TypeError(f"a rate is a str such as '20/s' or '100/m burst 20', not {type(text).__name__}")
    return _parse(text)


@lru_cache(maxsize=256)
def _parse(text: str) -> Rate:
    match = _RATE.fullmatch(text.strip(" "))
    count, number, burst = (int(match[1]), int(match[2] or 1), int(match[4] or match[1])) if match else (0, 0, 0)
    if match is None or not (count and number and burst):
        raise ValueError(
            f"{text!r} is no rate: write '20/s', '100/m', '5/10s' or '20/s burst 40', with units s, m, h or d"
        )
    return Rate(count, number * _UNITS[match[3]], burst)


class Bucket:
    """Token bucket: a full one holds a rate's burst, and each event takes one.

    Kept as the seconds until it is full again, at some time (GCRA, whose "theoretical arrival time" is their sum).
    So it never holds more than the burst, whatever the rhythm: in any window of time, no more than
    burst + rate * window pass. That is so as well if the clock stands still or goes back, which fills nothing.

    Args:
        now: the present, in seconds of a monotonic clock. The bucket begins full.
    """

    # Not the sum of both, for a float of a clock that has run for long is too coarse to be added to for hours.
    __slots__ = ("_at", "_until_full")

    def __init__(self, now: float) -> None:
        self._at = now
        self._until_full = 0.0

    def take(self, rate: Rate, now: float, since: float | None = None) -> float:
        """Take a token.

        Args:
            since: for an event that is counted late, the earliest time at which it may have come. It is counted as
                if it had come when there was a token for it, at that time or later, and never after ``now``.
        Returns:
            0 if there was one, else the seconds until there is; then none was taken.
        """
        interval = rate.seconds / rate.count
        until_ready = self._until_full - (rate.burst - 1) * interval  # when there is one token
        missing = until_ready - (now - self._at)
        if missing > _GRACE + abs(now) * _PRECISION:
            return missing
        came_at = now if since is None else min(now, max(since, self._at + until_ready))
        self._until_full = max(0.0, self._until_full - (came_at - self._at)) + interval
        self._at = came_at
        return 0.0

    def is_full(self, now: float) -> bool:
        """Whether it is as good as a new one."""
        return self._until_full <= now - self._at


class Buckets:
    """Token buckets by key, such as client addresses. Threads may share them.

    Args:
        size: the most that are kept. Beyond it, the key that was seen longest ago is forgotten, and begins anew.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, rate: Rate, now: float) -> float:
        """Take a token of somebody's, as ``Bucket.take``."""
        with self._lock:
            bucket = self._buckets.get(key)
            if bucket is None:
                bucket = self._buckets[key] = Bucket(now)
            self._buckets.move_to_end(key)
            # Two at most for one that comes: so the full ones go, sooner or later, and no call takes long.
            for _ in range(2):
                oldest = next(iter(self._buckets))
                if len(self._buckets) > self._size or (oldest != key and self._buckets[oldest].is_full(now)):
                    del self._buckets[oldest]
            return bucket.take(rate, now)

    def __len__(self) -> int:
        return len(self._buckets)
