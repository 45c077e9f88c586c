"""The threads that run the sync code of handlers, above all the ORM's."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import close_old_connections, connections

__all__ = ["Threads"]


class Threads:
    """A fixed number of threads that handlers share, so that slow sync code of one stops only those beside it.

    Args:
        count: of the threads. Each is started when it is needed first.
    """

    def __init__(self, count: int) -> None:
        self._contexts = [ThreadSensitiveContext() for _ in range(max(1, count))]
        self._turns = itertools.cycle(self._contexts)
        self._used: set[ThreadSensitiveContext] = set()

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

    async def close_old_connections(self) -> None:
        """Close database connections that are unusable or too old, in the threads that own them."""
        for context in list(self._used):
            await self._run(context, close_old_connections)

    async def close(self) -> None:
        """Close every database connection and end the threads."""
        for context in list(self._used):
            await self._run(context, connections.close_all)
            executor = SyncToAsync.context_to_thread_executor.pop(context, None)
            if executor is not None:
                executor.shutdown(wait=False)
        self._used.clear()

    @staticmethod
    async def _run(context: ThreadSensitiveContext, function: Callable[[], None]) -> None:
        if context not in SyncToAsync.context_to_thread_executor:
            return  # nothing sync has run there, so there is nothing to close
        token = SyncToAsync.thread_sensitive_context.set(context)
        try:
            await sync_to_async(function)()
        finally:
            SyncToAsync.thread_sensitive_context.reset(token)
