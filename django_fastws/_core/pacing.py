"""Pacing of a room's fan-outs: pauses in which further broadcasts are batched."""

from __future__ import annotations

__all__ = ["Pacing"]

_SHORTEST, _LONGEST = 0.0002, 0.01  # seconds
_MOST_SKIPPED = 16  # fan-outs between two attempts


class Pacing:
    """Adaptive pauses between the fan-outs of one room.

    After a fan-out that took a while, a room pauses for as long, ten milliseconds at most: in a burst, what arrives
    meanwhile is batched, and others have half of the loop's time. Where no more broadcasts come than could be sent in
    that time one by one, or each is an answer to the one before, pauses add nothing but latency. So one that has not
    batched more is followed by fan-outs without, twice as many each time. One that pays off brings the next, and so
    does a fan-out without that finds more.

    Times are of one clock, in seconds.
    """

    __slots__ = ("_has_paused", "_skips", "_skips_left", "_until")

    def __init__(self) -> None:
        self._until = 0.0
        self._has_paused = False
        #: How many fan-outs skip the pause after the last one that did not pay off, and how many of them are left.
        self._skips = self._skips_left = 0

    def remaining(self, now: float) -> float:
        """The seconds for which what has just arrived has to wait; 0.0 if it need not."""
        left = self._until - now
        self._has_paused = left > 0
        return max(0.0, left)

    def after(self, now: float, took: float, count: int) -> None:
        """Note the end of a fan-out.

        Args:
            took: seconds for which it held the loop.
            count: of the broadcasts that were batched in it.
        """
        pause = min(took, _LONGEST)
        if count * took > took + pause:
            self._skips = self._skips_left = 0
        elif self._has_paused:
            self._skips = self._skips_left = min(max(1, 2 * self._skips), _MOST_SKIPPED)
        self._has_paused = False
        if took < _SHORTEST:
            return
        if self._skips_left:
            self._skips_left -= 1
        else:
            self._until = now + pause
