"""One object for each event loop (``PerLoop``), and the loop that runs in this thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

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

    def get(self) -> T:
        """The object of the running event loop.

        Raises:
            RuntimeError: there is no running event loop.
        """
        loop = asyncio.get_running_loop()
        found = self._objects.get(loop)
        if found is None:
            found = self._objects[loop] = self._make()
        return found

    def items(self) -> list[tuple[asyncio.AbstractEventLoop, T]]:
        """Every event loop that has an object, with the object; may be called in any thread."""
        return list(self._objects.items())
