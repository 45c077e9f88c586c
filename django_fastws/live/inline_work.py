"""Inline work: run by the task that reads, which costs nothing unless it has to wait; then another task reads."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any

__all__ = ["InlineWork"]


class InlineWork:
    """Awaitable that runs a coroutine in the task that awaits it, in a context of its own, as a task has one.

    So most events of a live socket need no task: their handlers have nothing to wait for, or what they wait for is
    there. The coroutine does not change tasks, which ``asyncio.timeout()`` and ``TaskGroup`` rely on.

    Args:
        work: the coroutine.
        suspended: called once, when the work has to wait first.
    """

    __slots__ = ("_run", "_suspended", "_work")

    def __init__(self, work: Coroutine[Any, Any, None], suspended: Callable[[], None]) -> None:
        self._work = work
        self._suspended: Callable[[], None] | None = suspended
        # What a handler sets in context variables is not there for the next one.
        self._run = copy_context().run

    def __await__(self) -> Generator[Any, Any, None]:
        return self  # which has all that ``await`` uses of a generator

    def __iter__(self) -> InlineWork:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Go on with the work, as a generator's ``send()``."""
        yielded = self._run(self._work.send, value)
        if self._suspended is not None:
            self._tell()
        return yielded

    def throw(self, *error: Any) -> Any:
        """Throw an error into the work, as a generator's ``throw()``."""
        yielded = self._run(self._work.throw, *error)
        if self._suspended is not None:
            self._tell()
        return yielded

    def _tell(self) -> None:
        suspended, self._suspended = self._suspended, None
        if suspended is not None:
            suspended()

    def close(self) -> None:
        """Close the work, as a generator's ``close()``."""
        self._work.close()
