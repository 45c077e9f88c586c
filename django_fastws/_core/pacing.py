"""When a room that has just sent something waits before it sends more, so that more can be joined."""

from __future__ import annotations

__all__ = ["Rest"]

_SHORTEST, _LONGEST = 0.0002, 0.01  # seconds
_MOST_SPARED = 16  # fan-outs between two attempts


class Rest:
    """The pauses of one room between its fan-outs.

    After a fan-out that took a while, a room rests for as long, ten milliseconds at most: in a burst, what arrives
    meanwhile is joined, and others have half of the loop's time. Where broadcasts come one by one, each an answer to
    the one before, a rest joins nothing and only delays them. So a rest at whose end there is only one is followed by
    fan-outs without, twice as many each time; one that pays brings the next.

    Times are of one clock, in seconds.
    """

    __slots__ = ("_until", "_useless", "_was_taken", "_without")

    def __init__(self) -> None:
        self._until = 0.0
        self._was_taken = False
        #: How many fan-outs the last rest that did not pay was followed by, and how many of them are left.
        self._useless = self._without = 0

    def remaining(self, now: float) -> float:
        """For how long what has just arrived has to wait; 0.0 if it need not."""
        left = self._until - now
        self._was_taken = left > 0
        return max(0.0, left)

    def after(self, now: float, took: float, count: int) -> None:
        """A fan-out has ended.

        Args:
            took: for how long it held the loop.
            count: how many broadcasts were joined in it.
        """
        if count > 1:
            self._useless = self._without = 0
        elif self._was_taken:
            self._useless = self._without = min(max(1, 2 * self._useless), _MOST_SPARED)
        self._was_taken = False
        if took < _SHORTEST:
            return
        if self._without:
            self._without -= 1
        else:
            self._until = now + min(took, _LONGEST)
