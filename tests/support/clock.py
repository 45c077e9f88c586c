"""A clock for the running event loop, which tests set forward."""

from __future__ import annotations

import asyncio

__all__ = ["Clock"]


class Clock:
    """The time of the running loop, and what ``advance()`` has added to it.

    Args:
        stands_still: it goes on by ``advance()`` alone, however slow the machine is.
    """

    def __init__(self, *, stands_still: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        self._ahead = 0.0
        began, original = self._loop.time(), self._loop.time
        self._loop.time = lambda: (began if stands_still else original()) + self._ahead

    async def advance(self, seconds: float) -> None:
        """Set the clock forward; returns when all has run that was due by then."""
        self._ahead += seconds
        for _ in range(20):
            await asyncio.sleep(0)
