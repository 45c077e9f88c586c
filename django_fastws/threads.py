"""Thread pool for the sync code of handlers, above all the ORM's."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures import wait as wait_for
from contextvars import Token
from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext

from . import metrics
from .conf import conf
from .database import Owner, current_owner, disown, is_configured, own, with_setup
from .types import ASGIApp, CallScope, Receive, Scope, Send
from .worker import Worker

__all__ = ["TESTING", "Threads", "threads", "with_thread"]

logger = logging.getLogger("django_fastws.threads")

#: What the ASGI extensions of a scope have if a test made it: sync code runs in the thread of the test's own.
TESTING = "django_fastws.testing"

#: What asgiref must have inside, besides what its documentation describes.
_RELIED_ON: tuple[tuple[Any, str], ...] = (
    (SyncToAsync, "context_to_thread_executor"),
    (SyncToAsync, "single_thread_executor"),
    (SyncToAsync, "thread_sensitive_context"),
    (AsyncToSync, "executors"),
    (AsyncToSync, "loop_thread_executors"),
)


def _is_possible() -> bool:
    missing = [f"{owner.__name__}.{name}" for owner, name in _RELIED_ON if not hasattr(owner, name)]
    if missing:
        logger.warning(
            "The sync code of all handlers shares one thread: this asgiref has no %s, which several threads need",
            ", ".join(missing),
        )
    return not missing


_HAS_SEVERAL = _is_possible()

A = TypeVar("A")
P = ParamSpec("P")
T = TypeVar("T")


_pools: WeakSet[Threads] = WeakSet()


class Threads:
    """Thread pool of a bounded size: slow sync code of a handler delays only the handlers of its thread.

    A thread starts when it is needed first, and ends a second after the last handler that had it. It closes database
    connections that are unusable at their next use, and those that are too old once a second.

    Args:
        count: of the threads; None is ``FASTWS_DB_THREADS``, read whenever a handler begins.
    """

    def __init__(self, count: int | None = None) -> None:
        _pools.add(self)
        self._count = count
        self._lock = threading.Lock()
        self._threads: list[tuple[ThreadSensitiveContext, Worker]] = []
        self._spare: tuple[ThreadSensitiveContext, Worker] | None = None  # which no handler has

    def assigned(self, scope: CallScope | None = None) -> Assignment:
        """Assign the least busy thread to this task: ``sync_to_async`` and the async ORM use it from now on.

        Nothing happens where it is settled already who runs sync code: within another assignment, in a loop that
        sync code waits for (``async_to_sync``, as in Django's test cases), and on a connection that a test made.

        Args:
            scope: of the connection; None if there is none.
        Returns:
            What must be released, at the end of a ``with`` block or by its ``release()``.
        """
        if not _HAS_SEVERAL:
            return _NOTHING
        variable = SyncToAsync.thread_sensitive_context
        if variable.get(None) is not None:
            owner = current_owner()
            if owner is not None and scope is not None:
                owner.scope = scope  # of the same connection, with what was found out meanwhile
            return _NOTHING
        if _is_settled(scope):
            if not is_configured():
                return _NOTHING
            return _SettledAssignment(scope)
        count = max(1, conf.db_threads if self._count is None else self._count)
        with self._lock:
            while len(self._threads) < count:
                context, thread = ThreadSensitiveContext(), Worker(f"django-fastws-{len(self._threads)}")
                SyncToAsync.context_to_thread_executor[context] = thread
                self._threads.append((context, thread))
            # In turn would be simpler, but puts handlers behind a slow query while other threads have nothing to do,
            # and leaves some threads with more sockets than others, for some sockets last longer.
            context, thread = self._threads[0]
            if thread.jobs or thread.users:
                context, thread = min(self._threads[:count], key=lambda pair: (pair[1].jobs, pair[1].users))
            thread.count_users(1)
        return Assignment(thread, variable.set(context), own(scope))

    def call_at_once(self, function: Callable[[A], T], argument: A) -> asyncio.Future[T] | None:
        """Call a function of this package, as ``Worker.call()``, where ``unblocked()`` has sync code run.

        Returns:
            None, and it is not called: the task's thread is none of these, or ``FASTWS_DB_SETUP`` or
            ``FASTWS_DB_RESET`` is set. Then ``unblocked()`` and ``sync_to_async`` are the way.
        """
        own = None if is_configured() else self._own_thread()
        if own is None or not own.jobs:
            return None if own is None else own.call(function, argument)
        _, spare = self._taken_spare()
        future = spare.call(function, argument)
        future.add_done_callback(lambda _: spare.count_users(-1))
        return future

    def _own_thread(self) -> Worker | None:
        """The thread that the task has, if it is one of these."""
        has = SyncToAsync.thread_sensitive_context.get(None) if _HAS_SEVERAL else None
        if has is not None and getattr(AsyncToSync.executors, "current", None) is None:
            for context, thread in self._threads:
                if context is has:
                    return thread
        return None

    def _taken_spare(self) -> tuple[ThreadSensitiveContext, Worker]:
        """The thread that no handler has; who takes it counts itself out again."""
        with self._lock:
            if self._spare is None:
                self._spare = ThreadSensitiveContext(), Worker("django-fastws-spare")
                SyncToAsync.context_to_thread_executor[self._spare[0]] = self._spare[1]
        self._spare[1].count_users(1)
        return self._spare

    @contextlib.contextmanager
    def unblocked(self) -> Iterator[None]:
        """Context manager in which sync code does not wait behind a handler's; for short work of this package.

        It runs in the thread that the task has, if that has nothing to do; else in one that no handler has.
        """
        own = self._own_thread()
        if own is None or not own.jobs:
            yield
            return
        variable = SyncToAsync.thread_sensitive_context
        context, thread = self._taken_spare()
        token = variable.set(context)
        try:
            yield
        finally:
            variable.reset(token)
            thread.count_users(-1)

    async def close(self, timeout: float | None = None) -> None:
        """Close every database connection and end the threads. They start again if something needs them.

        Args:
            timeout: seconds to wait for threads that are busy; None waits for ever. What they do goes on.
        """
        if ends := [asyncio.wrap_future(end) for end in self._stop()]:
            _, late = await asyncio.wait(ends, timeout=timeout)
            for end in late:
                end.cancel()

    def close_at_exit(self) -> None:
        """Close at the exit of the process; waits for ``FASTWS_DRAIN_SECONDS`` at most."""
        if ends := self._stop():
            wait_for(ends, timeout=conf.drain_seconds)

    @property
    def busy(self) -> int:
        """Number of threads that run something."""
        with self._lock:
            return sum(thread.jobs > 0 for _, thread in (*self._threads, *filter(None, [self._spare])))

    def _stop(self) -> list[Future[None]]:
        with self._lock:
            ends = [thread.stop() for _, thread in (*self._threads, *filter(None, [self._spare]))]
        return [end for end in ends if end is not None]


class Assignment:
    """Assignment of a thread to a handler, until it is released; a context manager."""

    __slots__ = ("_owner", "_thread", "_token")

    def __init__(
        self,
        thread: Worker | None,
        token: Token[ThreadSensitiveContext] | None,
        owner: Token[Owner | None] | None,
    ) -> None:
        self._thread = thread
        self._token = token
        self._owner = owner

    def release(self) -> None:
        """Give the thread back; idempotent."""
        thread, token, owner = self._thread, self._token, self._owner
        self._thread = self._token = self._owner = None
        if thread is not None:
            thread.count_users(-1)
        if token is not None:
            with contextlib.suppress(ValueError):  # a coroutine that was thrown away ends in another context
                token.var.reset(token)
        if owner is not None:
            disown(owner)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        self.release()


class _SettledExecutor(Executor):
    """Executor of sync code in a test, in the test's own thread: with ``FASTWS_DB_SETUP``, without a reset."""

    def __init__(self, inner: Executor | None) -> None:
        self._inner = inner

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit a function to where it would be called without this."""
        inner = self._inner
        if inner is None:
            loop = asyncio.get_running_loop()
            inner = AsyncToSync.loop_thread_executors.get(loop, SyncToAsync.single_thread_executor)
        return inner.submit(with_setup(functools.partial(fn, *args, **kwargs)))


class _SettledAssignment(Assignment):
    """Assignment where it is settled already which thread runs sync code."""

    __slots__ = ("_former",)

    def __init__(self, scope: CallScope | None) -> None:
        self._former: Any = getattr(AsyncToSync.executors, "current", None)  # of a TestCase
        context, executor = ThreadSensitiveContext(), _SettledExecutor(self._former)
        SyncToAsync.context_to_thread_executor[context] = executor
        super().__init__(None, SyncToAsync.thread_sensitive_context.set(context), own(scope))
        if self._former is not None:
            AsyncToSync.executors.current = executor

    def release(self) -> None:
        if self._token is not None and self._former is not None:
            AsyncToSync.executors.current = self._former
        super().release()


_NOTHING = Assignment(None, None, None)


def _is_settled(scope: CallScope | None) -> bool:
    if asyncio.get_running_loop() in AsyncToSync.loop_thread_executors:
        return True
    if scope is None:
        return False
    if TESTING in (scope.get("extensions") or ()):
        return True
    # Servers say which ASGI they speak; Channels' WebsocketCommunicator, for tests, does not.
    return "asgi" not in scope and scope.get("type") != "outbound"  # which is ours


#: Those of the sockets that come in, for the whole process.
threads = Threads()
metrics.threads_busy.read_from(lambda: sum(pool.busy for pool in list(_pools)))
atexit.register(threads.close_at_exit)


def with_thread(application: ASGIApp) -> ASGIApp:
    """Wrap an ASGI application: its sync code runs in one of the threads."""

    @functools.wraps(application)
    async def wrapper(scope: Scope, receive: Receive, send: Send) -> None:
        with threads.assigned(scope):
            await application(scope, receive, send)

    return wrapper
