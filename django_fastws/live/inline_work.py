"""Inline work: run by the task that reads, up to its first wait, which most of it does not have."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any

__all__ = ["SuspendedWork", "begin"]


def begin(work: Coroutine[Any, Any, None]) -> SuspendedWork | None:
    """Run a coroutine up to its first wait, in the task that calls this, in a context of its own, as a task has one.

    So most events of a live socket need no task: their handlers have nothing to wait for, or what they wait for is
    there.

    Returns:
        None if it has ended, else what is to be awaited next, by the same task.
    Raises:
        BaseException: what the coroutine has raised.
    """
    # What a handler sets in context variables is not there for the next one.
    run = copy_context().run
    try:
        yielded = run(work.send, None)
    except StopIteration:
        return None
    return SuspendedWork(work, run, yielded)


class SuspendedWork:
    """Awaitable that goes on with a coroutine from its first wait on.

    The coroutine does not change tasks, which ``asyncio.timeout()`` and ``TaskGroup`` rely on.

    Args:
        work: the coroutine.
        run: runs a function in the context of the coroutine.
        yielded: what it has yielded, for the event loop.
    """

    __slots__ = ("_is_handed_on", "_run", "_work", "_yielded")

    def __init__(self, work: Coroutine[Any, Any, None], run: Callable[..., Any], yielded: Any) -> None:
        self._work = work
        self._run = run
        self._yielded = yielded
        self._is_handed_on = False

    def __await__(self) -> Generator[Any, Any, None]:
        return self  # which has all that ``await`` uses of a generator

    def __iter__(self) -> SuspendedWork:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Go on with the work, as a generator's ``send()``; the first time, with what it waits for."""
        if not self._is_handed_on:
            self._is_handed_on = True
            yielded, self._yielded = self._yielded, None
            return yielded
        return self._run(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        """Throw an error into the work, as a generator's ``throw()``."""
        return self._run(self._work.throw, *error)

    def close(self) -> None:
        """Close the work, as a generator's ``close()``."""
        self._work.close()
