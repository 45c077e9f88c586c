"""Publishing from sync code: at once, or after the commit of the open transaction."""

from __future__ import annotations

import logging

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from .._core.envelope import Envelope
from .._core.positions import Position
from ..exceptions import WebSocketStateError
from ..layer import get_broker
from ..loops import running_loop
from ..tasks import BackgroundTasks

__all__ = ["check_no_loop", "log_unpublished", "open_transaction", "publish_committed", "publish_sync"]


def check_no_loop(call: str, instead: str) -> None:
    """Refuse a sync call in a thread that runs an event loop, which it would block.

    Raises:
        WebSocketStateError: it runs one.
    """
    if running_loop() is not None:
        raise WebSocketStateError(
            f"cannot call {call} here: it would block the running event loop; write `await {instead}`"
        )


def publish_sync(envelope: Envelope, what: str, logger: logging.Logger, *, on_commit: bool) -> Position | None:
    """Publish, now or after the commit of the transaction that this thread has open.

    Args:
        what: is published, for the log.
        on_commit: False publishes at once, whatever becomes of the transaction.
    Returns:
        The position of what was stored by now.
    Raises:
        WebSocketConnectionError: the channel layer cannot be reached. After a commit, that is logged.
    """
    alias = open_transaction() if on_commit else None
    if alias is None:
        return get_broker().publish(envelope)
    transaction.on_commit(lambda: publish_committed(envelope, what, logger), using=alias)
    return None


def open_transaction() -> str | None:
    """The alias of a database with an open transaction in this thread: the default one if it has one.

    Where Django does not say which are open, it is the default one: ``transaction.on_commit()`` knows if it is.
    """
    try:
        open_ones = [
            connection.alias for connection in connections.all(initialized_only=True) if connection.in_atomic_block
        ]
    except (AttributeError, TypeError):
        return DEFAULT_DB_ALIAS
    return DEFAULT_DB_ALIAS if DEFAULT_DB_ALIAS in open_ones else (open_ones[0] if open_ones else None)


_publishing = BackgroundTasks(logging.getLogger("django_fastws.rooms"))


def publish_committed(envelope: Envelope, what: str, logger: logging.Logger) -> None:
    """Publish after a commit. What goes wrong is logged: the transaction must not seem to have failed."""
    try:
        if running_loop() is not None:
            # Committed by code that was called in a loop's thread, as Django's async test cases do.
            _publishing.start(_apublish_committed(envelope, what, logger))
        else:
            get_broker().publish(envelope)
    except Exception as error:
        _log(error, envelope, what, logger)


async def _apublish_committed(envelope: Envelope, what: str, logger: logging.Logger) -> None:
    try:
        await get_broker().apublish(envelope)
    except Exception as error:
        _log(error, envelope, what, logger)


def _log(error: Exception, envelope: Envelope, what: str, logger: logging.Logger) -> None:
    if envelope.position is not None:
        log_unpublished(error, what, logger)
    else:
        logger.error("%s after a commit was lost", what, exc_info=error)


def log_unpublished(error: Exception, what: str, logger: logging.Logger) -> None:
    """Log that something was not published which is stored."""
    logger.warning("%s is stored, and comes late, with the next look at the history: %s", what, error)
