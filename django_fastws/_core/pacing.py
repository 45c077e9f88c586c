"""Pacing of a room's fan-outs: pauses in which further broadcasts are batched."""

from __future__ import annotations

import math

__all__ = ["Pacing"]

_SHORTEST, _LONGEST = 0.0002, 0.01  # seconds
_MOST_SKIPPED = 16  # fan-outs between two attempts
#: How busy a room is when it begins to pause: what its broadcasts would take one by one, as a share of the time in
#: which they come. Above 1, for neither is measured exactly.
_BUSY = 1.1
_KEPT = 0.75  # of what is known of the fan-outs before, with each one more
_MOST_TIME = 3  # of what a fan-out took, that counts of the time since the one before: a burst is seen soon


class Pacing:
    """Adaptive pauses between the fan-outs of one room.

    A room for whose broadcasts there is time one by one, in the rhythm in which they come, does not pause: that would
    add nothing but latency, and others have their turn behind each fan-out all the same. Where there is not, and a
    fan-out took a while, the room pauses for as long, ten milliseconds at most: what arrives meanwhile is batched,
    and others have half of the loop's time. Where each broadcast is an answer to the one before, that does not help.
    So a pause that has not batched more than could have been sent in that time one by one is followed by fan-outs
    without, twice as many each time. One that pays off brings the next, and so does a fan-out without that finds
    more.

    Times are of one clock, in seconds.
    """

    __slots__ = ("_has_paused", "_last", "_skips", "_skips_left", "_time", "_until", "_work")

    def __init__(self) -> None:
        #: What the last broadcasts would have taken one by one, and the time in which they were sent; of both, more
        #: of the last than of those before. And when the last fan-out ended.
        self._work = self._time = 0.0
        self._last = -math.inf
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
        self._work = _KEPT * self._work + count * took
        self._time = _KEPT * self._time + min(now - self._last, _MOST_TIME * took)
        self._last = now
        pause = min(took, _LONGEST)
        if count * took > took + pause:
            self._skips = self._skips_left = 0
        elif self._has_paused:
            self._skips = self._skips_left = min(max(1, 2 * self._skips), _MOST_SKIPPED)
        self._has_paused = False
        if took < _SHORTEST or self._work <= _BUSY * self._time:
            return
        if self._skips_left:
            self._skips_left -= 1
        else:
            self._until = now + pause
