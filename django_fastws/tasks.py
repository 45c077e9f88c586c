"""Background tasks, kept and with their errors logged; cancelling a task and telling whose cancellation it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextvars import Context
from typing import Any, TypeVar

from ._core.forks import reset_in_child

__all__ = ["BackgroundTasks", "cancel_and_wait", "is_being_cancelled", "wait_unless"]

T = TypeVar("T")


class BackgroundTasks:
    """Set of running tasks that nobody awaits: kept from the garbage collector, and their errors logged.

    The tasks of several event loops may be in one set. Iterating over it yields those that have not ended.

    Args:
        logger: gets the exception of a task that fails; a cancellation is none.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._tasks: set[asyncio.Task[Any]] = set()
        reset_in_child(self)

    def start(
        self,
        work: Coroutine[Any, Any, T],
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Start a task.

        Args:
            loop: to run it in; None for the running event loop.
            context: to run it in; None for a copy of the caller's.
        Raises:
            RuntimeError: there is no running event loop, or it is closed. ``work`` will not run.
        """
        try:
            task = (loop or asyncio.get_running_loop()).create_task(work, context=context)
        except RuntimeError:
            work.close()
            raise
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something to its end, though the caller is cancelled meanwhile: then, its error is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._ended)
            raise

    async def wait(self) -> None:
        """Wait until all tasks have ended, with those that are started meanwhile."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def reset(self) -> None:
        """Forget the tasks: in a forked child, they do not run."""
        self._tasks.clear()

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        return iter(list(self._tasks))

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, task: object) -> bool:
        return task in self._tasks

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            name = getattr(task.get_coro(), "__qualname__", "unnamed")
            self._logger.error("A background task failed: %s()", name, exc_info=error)


def is_being_cancelled() -> bool:
    """Whether the running task itself was cancelled.

    If not, a ``CancelledError`` that was just caught comes from something that was awaited and that was cancelled by
    somebody else: an ordinary failure, which must not pass for the end of this task.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def cancel_and_wait(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait until it has ended, whatever it raises then."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def wait_unless(event: asyncio.Event, future: asyncio.Future[Any]) -> None:
    """Wait until a future is done or an event is set, whichever comes first. The future is not cancelled."""
    setting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([future, setting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        setting.cancel()
