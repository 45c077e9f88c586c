"""Mailbox: what was received and nobody has taken yet, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["Mailbox"]

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Received items, for any number of tasks that each wait for one of a kind.

    Attributes:
        is_ended: nothing more will come.
    """

    def __init__(self) -> None:
        self._items: list[T] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._error: Callable[[], Exception] | None = None

    def __iter__(self) -> Iterator[T]:
        """Those that are not taken yet, oldest first."""
        return iter(self._items)

    def put(self, item: T) -> None:
        """Add what was received."""
        self._items.append(item)
        self._wake()

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will come."""
        return self._error is not None

    def end(self, error: Callable[[], Exception]) -> None:
        """Nothing more will come: those who wait for it get an error, which is made for each. The first one stays."""
        if self._error is None:
            self._error = error
            self._wake()

    def reopen(self) -> None:
        """There will be more, after all."""
        self._error = None

    async def take(self, is_wanted: Callable[[T], bool], seconds: float) -> T:
        """Take the first item that is wanted; the others stay.

        Raises:
            TimeoutError: there was none in so many seconds.
            Exception: that of ``end()``.
        """
        async with asyncio.timeout(seconds):
            while True:
                for index, item in enumerate(self._items):
                    if is_wanted(item):
                        return self._items.pop(index)
                if self._error is not None:
                    raise self._error()
                await self._changed()

    async def is_silent(self, seconds: float) -> bool:
        """Whether it is empty, and stays so, for so many seconds. Its end is no silence."""
        try:
            async with asyncio.timeout(seconds):
                while not self._items and self._error is None:
                    await self._changed()
        except TimeoutError:
            return True
        return False

    async def _changed(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            if future in self._waiting:
                self._waiting.remove(future)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
