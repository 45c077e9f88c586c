"""Publishing from sync code: at once, when a transaction has committed, or without holding anybody up."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from django.db import connections, transaction

from .exceptions import WebSocketStateError
from .layer import apublish, publish

__all__ = ["check_no_loop", "publish_behind", "publish_sync"]

Envelope = dict[str, str | bytes]

_PATIENCE = 1.0  # seconds that a signal's receiver may hold up a request
_behind = threading.BoundedSemaphore(32)  # threads that publish while Redis is away


def check_no_loop(call: str, instead: str) -> None:
    """Refuse a sync call in a thread that runs an event loop, which it would block.

    Raises:
        WebSocketStateError: it runs one.
    """
    if _in_event_loop():
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
        publish(group, crossing)
    else:
        transaction.on_commit(lambda: _publish_committed(group, crossing, what, logger), using=alias)


def publish_behind(group: str, crossing: Envelope, what: str, logger: logging.Logger) -> None:
    """Publish for the receiver of a signal: never raises, and waits for a second at most.

    What takes longer, because Redis is away, goes on in a thread; what fails is logged.
    """
    if not _behind.acquire(blocking=False):
        logger.error("%s was lost: too many others wait for the channel layer", what)
        return

    def run() -> None:
        try:
            publish(group, crossing)
        except Exception as error:
            logger.error("%s was lost: %s", what, error)
        finally:
            _behind.release()

    thread = threading.Thread(target=run, name="django_fastws publisher", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the process is ending, or has too many threads
        _behind.release()
        logger.error("%s was lost: %s", what, error)
    else:
        thread.join(0 if _in_event_loop() else _PATIENCE)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _open_transaction() -> str | None:
    """The alias of a database with an open transaction in this thread: the default one if it has one."""
    open_ones = [
        connection.alias for connection in connections.all(initialized_only=True) if connection.in_atomic_block
    ]
    return "default" if "default" in open_ones else (open_ones[0] if open_ones else None)


_tasks: set[asyncio.Task[Any]] = set()


def _publish_committed(group: str, crossing: Envelope, what: str, logger: logging.Logger) -> None:
    # The transaction is over: an error here must not look like one of the database.
    try:
        if _in_event_loop():
            # Committed by code that was called in a loop's thread, as Django's async test cases do.
            task = asyncio.get_running_loop().create_task(_apublish_committed(group, crossing, what, logger))
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)
        else:
            publish(group, crossing)
    except Exception:
        logger.exception("%s after a commit was lost", what)


async def _apublish_committed(group: str, crossing: Envelope, what: str, logger: logging.Logger) -> None:
    try:
        await apublish(group, crossing)
    except Exception:
        logger.exception("%s after a commit was lost", what)
