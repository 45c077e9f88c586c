"""Values that a process keeps for a while under keys, for brokers whose layer cannot keep them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from .._core.forks import reset_in_child
from ..clock import process_clock

__all__ = ["ProcessValues"]

_MOST = 10_000  # values; the oldest goes first


class ProcessValues:
    """Bounded store of values with an expiry, in the memory of this process; any thread may use it.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = process_clock.monotonic) -> None:
        self._clock = clock
        self._values: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self.reset()
        reset_in_child(self)

    def reset(self) -> None:
        """Begin anew in a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()
        self._values.clear()

    def claim(self, key: str, value: bytes, seconds: float, over: bytes = b"") -> bytes | None:
        """Keep a value under a key unless there is one but ``over``: that one, or None if it is kept now."""
        now = self._clock()
        with self._lock:
            found, expires_at = self._values.get(key, (b"", 0.0))
            if expires_at > now and found != over:
                return None if found == value else found
            self._put(key, value, now + seconds)
        return None

    def store(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value under a key, in place of the one that is there."""
        with self._lock:
            self._put(key, value, self._clock() + seconds)

    def _put(self, key: str, value: bytes, expires_at: float) -> None:
        self._values[key] = value, expires_at
        self._values.move_to_end(key)
        while len(self._values) > _MOST:
            self._values.popitem(last=False)
