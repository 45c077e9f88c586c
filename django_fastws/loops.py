"""One object for each event loop (``PerLoop``), and the loop that runs in this thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import ReferenceType, WeakKeyDictionary, ref

__all__ = ["PerLoop", "running_loop"]

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread; None if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class PerLoop(Generic[T]):
    """One object for each event loop, made when it is first asked for.

    A process has several event loops when its tests do, or when ``async_to_sync`` makes one in a thread. An object is
    forgotten with its loop, unless it refers to that loop itself.

    Args:
        make: makes the object; called in the loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._objects: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()
        #: The loop that was last asked for, and its object: nearly always there is but one.
        self._last: tuple[ReferenceType[asyncio.AbstractEventLoop], T] | None = None

    def get(self) -> T:
        """The object of the running event loop.

        Raises:
            RuntimeError: there is no running event loop.
        """
        loop, last = asyncio.get_running_loop(), self._last
        if last is not None and last[0]() is loop:
            return last[1]
        found = self._objects.get(loop)
        if found is None:
            found = self._objects[loop] = self._make()
        self._last = ref(loop, self._forget), found
        return found

    def _forget(self, loop: ReferenceType[asyncio.AbstractEventLoop]) -> None:
        last = self._last
        if last is not None and last[0] is loop:
            self._last = None

    def items(self) -> list[tuple[asyncio.AbstractEventLoop, T]]:
        """Every event loop that has an object, with the object; may be called in any thread."""
        return list(self._objects.items())
