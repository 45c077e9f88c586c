"""Worker: one thread of a pool, for sync code and the database connections that it uses."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

from django.db.backends.signals import connection_created

from .database import Connections, with_setup

__all__ = ["Worker"]

_SECONDS = 1.0  # between two looks at the connections of a thread, and until a thread ends that nobody has

A = TypeVar("A")
P = ParamSpec("P")
T = TypeVar("T")


class Worker(Executor):
    """Worker thread, started on demand and ended when it is idle; as an executor, for asgiref.

    Attributes:
        users: how many handlers have it.
    """

    def __init__(self, name: str) -> None:
        self.users = 0
        self._name = name
        self._lock = threading.RLock()  # a coroutine that is thrown away gives its thread back at any time
        self._end: Future[None] | None = None  # of the thread, while there is one
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._is_ending = False
        self._is_busy = False
        self.connections = Connections(lambda: _SECONDS)

    @property
    def jobs(self) -> int:
        """Number of calls that run and wait."""
        return self._jobs.qsize() + self._is_busy

    def count_users(self, number: int) -> None:
        """Add to the number of handlers that have the thread."""
        with self._lock:
            self.users += number

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a function to be called in the thread."""
        future: Future[T] = Future()
        job = self.connections.with_reset(with_setup(functools.partial(fn, *args, **kwargs)))
        self._queue(functools.partial(self._call, future, job))
        return future

    def call(self, function: Callable[[A], T], argument: A) -> asyncio.Future[T]:
        """Call a function in the thread, in a copy of the context of the running task; for this package's own.

        It is what ``sync_to_async`` does, in a quarter of the calls, without what unknown code may need: context
        variables that the function sets are not those of the task, ``async_to_sync`` within it has a loop of its own,
        and ``FASTWS_DB_SETUP`` and ``FASTWS_DB_RESET`` are not looked at.

        Returns:
            What is done with the result, in the running loop. Cancelled before its turn, it is not called.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue(functools.partial(self._run, loop, future, contextvars.copy_context(), function, argument))
        return future

    def _queue(self, job: Callable[[], None]) -> None:
        with self._lock:
            if self._end is None:
                self._start()
            self._jobs.put(job)

    def stop(self) -> Future[None] | None:
        """End the thread once it has done what is waiting; the future is done then. None if there is no thread."""
        with self._lock:
            if self._end is not None and not self._is_ending:
                self._is_ending = True
                self._jobs.put(None)
            return self._end

    def _start(self) -> None:
        end: Future[None] = Future()
        end.set_running_or_notify_cancel()  # the task that waits for it cannot cancel it
        # A daemon does not keep the process from ending when a query hangs; Threads.close_at_exit() waits for it.
        threading.Thread(target=self._work, args=(end,), name=self._name, daemon=True).start()
        self._end = end

    def _work(self, end: Future[None]) -> None:
        _current.worker = self
        try:
            while not self._turn():
                pass
        finally:
            end.set_result(None)

    def _turn(self) -> bool:
        """Run one queued call; whether it was the last."""
        try:
            job = self._jobs.get(timeout=_SECONDS)
        except Empty:
            self.connections.close_stale()
            return not (self.users or self.connections.are_read) and self._end_idle()
        if job is None:
            self._end_now()
            return True
        self._is_busy = True
        self.connections.close_stale()
        job()
        return False

    def _call(self, future: Future[T], function: Callable[[], T]) -> None:
        if not future.set_running_or_notify_cancel():
            self._is_busy = False
            return
        try:
            result = function()
        except BaseException as error:
            self._is_busy = False  # first, for the caller that gets the error may look at once which thread is free
            future.set_exception(error)
            del future  # the error has this frame in its traceback, and would be kept by it
        else:
            self._is_busy = False
            future.set_result(result)

    def _run(
        self,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[T],
        context: contextvars.Context,
        function: Callable[[A], T],
        argument: A,
    ) -> None:
        outcome: tuple[Any, BaseException | None] = (None, None)
        try:
            if not future.cancelled():
                outcome = context.run(function, argument), None
        except BaseException as error:
            outcome = None, error
        self._is_busy = False  # first, as in _call()
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
            loop.call_soon_threadsafe(_settle, future, *outcome)
        del outcome, future

    def _end_idle(self) -> bool:
        self.connections.close_all()
        with self._lock:
            if self._jobs.empty():
                self._end = None
                return True
        return False

    def _end_now(self) -> None:
        self.connections.close_all()
        with self._lock:
            self._end, self._is_ending = None, False
            if not self._jobs.empty():  # something has come after the end was asked for
                self._start()


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """Tell who waits for a call; nobody does any more if that was cancelled."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


_current = threading.local()


def _watch(connection: Any, **kwargs: Any) -> None:
    worker = getattr(_current, "worker", None)
    if worker is not None and worker.connections.watch not in connection.execute_wrappers:
        connection.execute_wrappers.append(worker.connections.watch)


connection_created.connect(_watch)
