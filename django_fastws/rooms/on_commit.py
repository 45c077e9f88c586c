"""Publishing from sync code: at once, when a transaction has committed, or without holding anybody up."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from django.db import connections, transaction

from ..exceptions import WebSocketStateError
from ..layer import get_broker
from ..loops import running_loop
from ..tasks import BackgroundTasks

__all__ = ["Publisher", "check_no_loop", "publish_sync"]

Envelope = dict[str, str | bytes]
T = TypeVar("T")

_PATIENCE = 1.0  # seconds that receivers of signals may hold up a thread
_REGAINED = 30.0  # seconds after which they may do so again
_MOST_PENDING = 50_000


def check_no_loop(call: str, instead: str) -> None:
    """Refuse a sync call in a thread that runs an event loop, which it would block.

    Raises:
        WebSocketStateError: it runs one.
    """
    if running_loop() is not None:
        raise WebSocketStateError(
            f"cannot call {call} here: it would block the running event loop; write `await {instead}`"
        )


def publish_sync(group: str, crossing: Envelope, what: str, logger: logging.Logger, *, on_commit: bool) -> None:
    """Publish, now or after the commit of the transaction that this thread has open.

    Args:
        what: is published, for the log.
        on_commit: False publishes at once, whatever becomes of the transaction.
    Raises:
        WebSocketConnectionError: the channel layer cannot be reached. After a commit, that is logged.
    """
    alias = _open_transaction() if on_commit else None
    if alias is None:
        get_broker().publish(group, crossing)
    else:
        transaction.on_commit(lambda: _publish_committed(group, crossing, what, logger), using=alias)


class Publisher(Generic[T]):
    """Background publisher for receivers of signals: never raises, and never holds anybody up for long.

    What is handed over while a message is on its way goes into the next one. A thread runs while there is something
    to publish.

    Args:
        group: of the layer.
        encode: makes messages of items, each with the items that it tells of.
        describe: the items in words, for the log.
    """

    def __init__(
        self,
        group: str,
        encode: Callable[[list[T]], list[tuple[Envelope, list[T]]]],
        describe: Callable[[list[T]], str],
        logger: logging.Logger,
    ) -> None:
        self._group, self._encode, self._describe, self._logger = group, encode, describe, logger
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._pending: list[tuple[T, threading.Event]] = []
        self._thread: threading.Thread | None = None

    def publish(self, items: list[T]) -> None:
        """Publish, and wait until that is done: for a second at most, and for so long once in a while.

        What takes longer, because Redis is away, goes on in the thread; what fails is logged.
        """
        if self._pid != os.getpid():  # a fork has no threads, and what is pending is published by its parent
            self._forget()
        done = threading.Event()
        with self._lock:
            if len(self._pending) + len(items) > _MOST_PENDING:
                self._logger.error("%s was lost: too many others wait for the channel layer", self._describe(items))
                return
            self._pending += [(item, done) for item in items]
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="django_fastws publisher", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError as error:  # the process is ending, or has too many threads
                    self._thread, self._pending = None, []
                    self._logger.error("%s was lost: %s", self._describe(items), error)
                    return
        if running_loop() is None:
            _patience.wait(done)

    def drain(self) -> None:
        """Give what is pending at the end of the process a second."""
        if self._pid == os.getpid() and (thread := self._thread) is not None:
            thread.join(_PATIENCE)

    def _run(self) -> None:
        while True:
            with self._lock:
                pending, self._pending = self._pending, []
                if not pending:
                    self._thread = None
                    return
            self._publish_now([item for item, _ in pending])
            for done in {done for _, done in pending}:
                done.set()

    def _publish_now(self, items: list[T]) -> None:
        for crossing, told in self._encode(items):
            try:
                get_broker().publish(self._group, crossing)
            except Exception as error:
                self._logger.error("%s was lost: %s", self._describe(told), error)


class _Patience(threading.local):
    """How long a thread may still wait: a second, which is earned anew in half a minute.

    So whatever a request or a transaction does to however many users, and though Redis hangs, it waits for a second.
    """

    def __init__(self) -> None:
        self._left = _PATIENCE
        self._at = time.monotonic()

    def wait(self, done: threading.Event) -> None:
        now = time.monotonic()
        self._left = min(_PATIENCE, self._left + (now - self._at) * _PATIENCE / _REGAINED)
        done.wait(self._left)
        self._at = time.monotonic()
        self._left = max(0.0, self._left - (self._at - now))


_patience = _Patience()


def _open_transaction() -> str | None:
    """The alias of a database with an open transaction in this thread: the default one if it has one."""
    open_ones = [
        connection.alias for connection in connections.all(initialized_only=True) if connection.in_atomic_block
    ]
    return "default" if "default" in open_ones else (open_ones[0] if open_ones else None)


_publishing = BackgroundTasks(logging.getLogger("django_fastws.rooms"))


def _publish_committed(group: str, crossing: Envelope, what: str, logger: logging.Logger) -> None:
    # The transaction is over: an error here must not look like one of the database.
    try:
        if running_loop() is not None:
            # Committed by code that was called in a loop's thread, as Django's async test cases do.
            _publishing.start(_apublish_committed(group, crossing, what, logger))
        else:
            get_broker().publish(group, crossing)
    except Exception:
        logger.exception("%s after a commit was lost", what)


async def _apublish_committed(group: str, crossing: Envelope, what: str, logger: logging.Logger) -> None:
    try:
        await get_broker().apublish(group, crossing)
    except Exception:
        logger.exception("%s after a commit was lost", what)
