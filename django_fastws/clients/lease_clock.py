"""Clock of leases, and the event loop that checks them first when its process was suspended.

Where the system has such a clock, it goes on while the machine is suspended; Python's monotonic one does not.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable

__all__ = ["LeaseSelector", "new_loop", "now"]

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_SUSPENDED_SECONDS = 0.25  # between two turns of the loop; what is shorter cannot have cost a lease


def now() -> float:
    """Seconds since some time in the past."""
    return time.clock_gettime(_CLOCK)


class LeaseSelector(selectors.DefaultSelector):
    """Selector that calls ``check`` before the loop serves anything after a long time.

    SIGCONT tells of a process that was stopped by a signal, not of one that was frozen with its container or machine.
    What waited in a buffer would go out before any task had its turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.check: Callable[[], None] = lambda: None
        self._turned_at = now()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout)
        turned_at = now()
        if turned_at - self._turned_at > _SUSPENDED_SECONDS:
            self.check()
        self._turned_at = turned_at
        return ready


def new_loop(selector: LeaseSelector) -> asyncio.AbstractEventLoop:
    """A loop with this selector; or another, if the project has chosen another kind of loop."""
    loop = asyncio.new_event_loop()
    if type(loop) is not asyncio.SelectorEventLoop:
        return loop
    loop.close()
    return asyncio.SelectorEventLoop(selector)
