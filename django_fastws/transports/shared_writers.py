"""Shared writers: tasks that write for many sockets by turns, as long as each ``send`` returns at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from ..loops import PerLoop

__all__ = ["SharedWriters", "shared_writers"]

_MOST = 128

Write = Callable[[], Coroutine[Any, Any, None]]
"""Writes what waits for one socket; a coroutine function."""


class SharedWriters:
    """Writers of one event loop, for the broadcasts to its sockets.

    One task writes for all who wait, where the server's ``send`` returns at once. A socket whose ``send`` does not
    keeps the task that waits for it, from beginning to end, and others go on with the rest. So ``send`` runs in one
    task, as any coroutine does, with its timeouts and cancellations, and each socket that is behind has one.

    Attributes:
        waiting: what is to be written, for one socket each, in order.
    """

    def __init__(self) -> None:
        self.waiting: deque[Write] = deque()
        #: How many tasks work, of which none is known to wait for a socket.
        self._free = 0
        #: And how many there are at once: twice as many after each that had to wait, half as many after each that had
        #: not. Where each ``send`` takes its time, every socket has its own at once.
        self._most = 1

    def start(self, write: Write) -> None:
        """Have something written, in a turn of the loop that comes."""
        self.waiting.append(write)
        if self._free < self._most:
            self._begin()

    def _begin(self) -> None:
        self._free += 1
        is_held: list[bool] = []
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._work(is_held))
        loop.call_soon(self._look, task, is_held)  # behind the first step of the task

    async def _work(self, is_held: list[bool]) -> None:
        try:
            while self.waiting and not is_held:
                await self.waiting.popleft()()
        finally:
            if not is_held:
                self._free -= 1
                self._most = max(1, self._most // 2)
                if self.waiting and not self._free:  # it has failed, or was cancelled
                    self._begin()

    def _look(self, task: asyncio.Task[None], is_held: list[bool]) -> None:
        """Leave a task to the socket for which it waits, and have others go on."""
        if task.done():
            return
        is_held.append(True)
        self._free -= 1
        self._most = min(2 * self._most, _MOST)
        for _ in range(min(self._most - self._free, len(self.waiting))):
            self._begin()


_writers = PerLoop(SharedWriters)


def shared_writers() -> SharedWriters:
    """The writers of the running event loop."""
    return _writers.get()
