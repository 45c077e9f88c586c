"""A clock for the running event loop, which tests set forward."""

from __future__ import annotations

import asyncio

__all__ = ["Clock"]


class Clock:
    """The time of the running loop, and what ``advance()`` has added to it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ahead = 0.0
        original = self._loop.time
        self._loop.time = lambda: original() + self._ahead

    async def advance(self, seconds: float) -> None:
        """Set the clock forward; returns when all has run that was due by then."""
        self._ahead += seconds
        for _ in range(20):
            await asyncio.sleep(0)
