"""The threads that run the sync code of handlers, above all the ORM's."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import close_old_connections, connections

__all__ = ["Threads"]

logger = logging.getLogger("django_fastws.threads")


class Threads:
    """A fixed number of threads that handlers share, so that slow sync code of one stops only those beside it.

    Args:
        count: of the threads. Each is started when it is needed first.
    """

    def __init__(self, count: int) -> None:
        self._contexts = [ThreadSensitiveContext() for _ in range(max(1, count))]
        self._turns = itertools.cycle(self._contexts)
        self._used: set[ThreadSensitiveContext] = set()
        self._closing: dict[asyncio.Task[None], ThreadSensitiveContext] = {}

    @contextlib.contextmanager
    def assigned(self) -> Iterator[None]:
        """Within the block, ``sync_to_async`` and the async ORM use one of the threads, taken in turn."""
        context = next(self._turns)
        self._used.add(context)
        token = SyncToAsync.thread_sensitive_context.set(context)
        try:
            yield
        finally:
            SyncToAsync.thread_sensitive_context.reset(token)

    def close_old_connections(self) -> None:
        """Have database connections that are unusable or too old closed, in the threads that own them.

        A thread that is busy does so when it comes to it; nobody waits for it.
        """
        waiting = set(self._closing.values())
        for context in self._used - waiting:
            self._start(context, close_old_connections)

    async def close(self, timeout: float | None = None) -> None:
        """Close every database connection and end the threads.

        Args:
            timeout: seconds to wait for threads that are busy; None waits for ever. What they do goes on.
        """
        for context in self._used:
            self._start(context, connections.close_all)
        if closing := list(self._closing):
            _, late = await asyncio.wait(closing, timeout=timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for context in self._used:
            executor = SyncToAsync.context_to_thread_executor.pop(context, None)
            if executor is not None:
                executor.shutdown(wait=False)
        self._used.clear()

    def _start(self, context: ThreadSensitiveContext, function: Callable[[], None]) -> None:
        task = asyncio.get_running_loop().create_task(self._run(context, function))
        self._closing[task] = context
        task.add_done_callback(self._closing.pop)

    @staticmethod
    async def _run(context: ThreadSensitiveContext, function: Callable[[], None]) -> None:
        if context not in SyncToAsync.context_to_thread_executor:
            return  # nothing sync has run there, so there is nothing to close
        token = SyncToAsync.thread_sensitive_context.set(context)
        try:
            await sync_to_async(function)()
        except Exception:
            logger.exception("A database connection could not be closed")
        finally:
            SyncToAsync.thread_sensitive_context.reset(token)
