"""Shared states of rooms: made and encoded once for all members that need one at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from ..loops import PerLoop
from ..tasks import BackgroundTasks
from .live_errors import logger

__all__ = ["SharedStates", "current_states"]

T = TypeVar("T")
_making = BackgroundTasks(logger)


class SharedStates(Generic[T]):
    """States that are being made in one event loop, by room.

    Whoever asks gets a state whose making begins after that, so it has all that was broadcast before. Those who ask
    while one is made wait for the next, together.
    """

    def __init__(self) -> None:
        self._running: set[str] = set()
        self._next: dict[str, tuple[Callable[[], Awaitable[T]], asyncio.Future[T]]] = {}

    async def get(self, room: str, make: Callable[[], Awaitable[T]]) -> T:
        """The state of a room.

        Args:
            make: makes it; of several, that of the first who asks is called.
        Raises:
            Exception: what ``make`` raises.
        """
        waiting = self._next.get(room)
        if waiting is None:
            waiting = self._next[room] = make, asyncio.get_running_loop().create_future()
            if room not in self._running:
                self._running.add(room)
                _making.start(self._run(room))
        return await asyncio.shield(waiting[1])

    async def _run(self, room: str) -> None:
        try:
            while room in self._next:
                make, future = self._next.pop(room)
                try:
                    future.set_result(await make())
                except Exception as error:
                    future.set_exception(error)
                    future.exception()  # nobody may be left who asks
                finally:
                    if not future.done():
                        future.cancel()
        finally:
            self._running.discard(room)
            if (left := self._next.pop(room, None)) is not None:
                left[1].cancel()


_states: PerLoop[SharedStates[bytes]] = PerLoop(SharedStates)


def current_states() -> SharedStates[bytes]:
    """The shared states of the running event loop."""
    return _states.get()
