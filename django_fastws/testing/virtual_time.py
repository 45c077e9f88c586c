"""Virtual time: what takes seconds, minutes or days happens in a test at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ..clock import process_clock
from .memory import clear_histories

__all__ = ["VirtualTime", "virtual_time"]

_MOST_TURNS = 1000  # of the loop, in which what is due may cause more that is due at once
_MOST_STEPS = 1000  # of one call: of timers that are closer to each other several are due at once


@asynccontextmanager
async def virtual_time() -> AsyncIterator[VirtualTime]:
    """Let a test set the time forward, of the running event loop and of what this process keeps in its memory.

    Time passes by itself, too, as always. It is the time of everything that waits in this loop: the grace of presence
    and its leases, the rates of keyed rooms, timeouts, ``asyncio.sleep()``; that of the rates of events; and that by
    which histories, values of keyed rooms, presence and calls that are done ``once`` are forgotten. A Redis has a
    clock of its own, and so have ``time.time()`` and ``timezone.now()``.

    When the block is left, it is the time of day again; what the memory has kept is of another one, and forgotten as
    by ``clear_histories()``. The loop stays ahead.

    Raises:
        RuntimeError: the event loop is not asyncio's own, such as uvloop's.
    """
    time = VirtualTime(asyncio.get_running_loop())
    before = process_clock.ahead_of_day
    try:
        yield time
    finally:
        if process_clock.ahead_of_day != before:
            process_clock.ahead_of_day = before
            clear_histories()


class _LoopTime:
    """Clock of an event loop, in place of its own; it stays there, for the loop's timers go by it."""

    def __init__(self, loop: Any) -> None:
        self.ahead = 0.0
        self._time = loop.time

    def now(self) -> float:
        return float(self._time() + self.ahead)


class VirtualTime:
    """Time of an event loop that a test sets forward. ``virtual_time()`` makes it."""

    def __init__(self, loop: Any) -> None:
        if not isinstance(loop, asyncio.BaseEventLoop):
            raise RuntimeError(
                f"virtual_time() cannot set the clock of {type(loop).__name__} forward: run the test in an event "
                "loop of asyncio's own, as Django and pytest do unless they are told otherwise"
            )
        self._loop: Any = loop  # also what is inside of it: which timers there are, and whether all has run
        owner = getattr(loop.time, "__self__", None)
        self._time = owner if isinstance(owner, _LoopTime) else _LoopTime(loop)
        vars(loop)["time"] = self._time.now

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass at once: what is due in them happens, in order; and what it causes, too.

        What has to wait for something outside of the event loop, such as a thread with a query, may end later.

        Args:
            seconds: 0 lets happen what is due now.
        Raises:
            ValueError: they are negative: time does not go back.
        """
        if not seconds >= 0:
            raise ValueError(f"advance({seconds!r}): time goes forward; give 0 seconds or more")
        step = seconds / _MOST_STEPS
        await self._settle()  # so that tasks which have not begun wait from now on
        end = self._loop.time() + seconds
        while (due := self._next_timer()) is not None and due <= end:
            self._set(min(end, max(due, self._loop.time() + step)))
            await self._settle()
        self._set(end)
        await self._settle()

    def _next_timer(self) -> float | None:
        return min((timer.when() for timer in self._loop._scheduled if not timer.cancelled()), default=None)

    def _set(self, now: float) -> None:
        seconds = max(0.0, now - self._loop.time())
        self._time.ahead += seconds
        process_clock.ahead += seconds
        process_clock.ahead_of_day += seconds

    async def _settle(self) -> None:
        """Wait until nothing is left to do but to wait."""
        for _ in range(_MOST_TURNS):
            await asyncio.sleep(0)
            if not self._loop._ready:
                return
