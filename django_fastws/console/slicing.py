"""Slices of work: an event loop that serves does something long in between, a little at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from ..loops import PerLoop

__all__ = ["one_at_a_time", "sliced"]

T = TypeVar("T")

_SLICE_SECONDS = 0.002
_LOOK_EVERY = 16  # items, for the clock is not free


_locks = PerLoop(asyncio.Lock)


def one_at_a_time() -> asyncio.Lock:
    """The lock of what is done in slices: in each loop one such at a time, or the slices would add up."""
    return _locks.get()


async def sliced(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield items, and let the loop do other things as soon as those before have taken two milliseconds."""
    ends = time.perf_counter() + _SLICE_SECONDS
    for number, item in enumerate(items, 1):
        yield item
        if not number % _LOOK_EVERY and time.perf_counter() >= ends:
            await asyncio.sleep(0)
            ends = time.perf_counter() + _SLICE_SECONDS
