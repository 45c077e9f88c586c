"""Closing the sockets of a user from anywhere: ``disconnect()``, and the same for receivers of signals."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from .._core.control import CloseRequest, encode
from .._core.envelope import Envelope
from ..exceptions import check_close
from ..layer import get_broker
from ..rooms import check_no_loop, publish_sync
from ..user_keys import key_of
from .background import publisher

__all__ = ["adisconnect", "close_after_commit", "close_in_background", "disconnect"]

logger = logging.getLogger("django_fastws.users")

_HOOKS = 20  # of a transaction, among the last of which one of ours is looked for


def disconnect(*, user: Any, code: int = 4401, reason: str = "", on_commit: bool = True) -> None:
    """Close every socket of a user, in every process, from sync code.

    Inside ``transaction.atomic()`` it happens once the transaction commits, and not at all if it is rolled back. It
    does not wait for the sockets to be closed, and does not keep the user from connecting again.

    Args:
        user: a user, or a primary key.
        code, reason: as ``WebSocket.close`` takes them.
        on_commit: False closes at once, whatever becomes of the transaction.
    Raises:
        TypeError, ValueError: it is no user, or the code or reason cannot be sent.
        WebSocketStateError: this thread runs an event loop, which would be blocked; await adisconnect() there.
        WebSocketConnectionError: the channel layer cannot be reached. (Logged, not raised, after a commit.)
    """
    check_no_loop("disconnect()", "adisconnect(...)")
    key = key_of(user)
    publish_sync(_envelope(key, code, reason), f"Disconnecting {key}", logger, on_commit=on_commit)


async def adisconnect(*, user: Any, code: int = 4401, reason: str = "") -> None:
    """Close every socket of a user, in every process. It does not wait for open transactions.

    Args:
        user: a user, or a primary key.
        code, reason: as ``WebSocket.close`` takes them.
    Raises:
        TypeError, ValueError: it is no user, or the code or reason cannot be sent.
        WebSocketConnectionError: the channel layer cannot be reached.
    """
    await get_broker().apublish(_envelope(key_of(user), code, reason))


def _envelope(key: str, code: int, reason: str) -> Envelope:
    check_close(code, reason)
    ((envelope, _),) = encode([CloseRequest(key, int(code), reason)])
    return envelope


# For receivers of signals


def close_in_background(requests: Iterable[CloseRequest]) -> None:
    """Close sockets: it never raises, and never waits for long. "" is nobody's user key."""
    if named := [request for request in requests if request.user]:
        publisher.publish(named)


def close_after_commit(request: CloseRequest, using: str) -> None:
    """The same once the open transaction of a database commits, and not at all if it is rolled back.

    What belongs to one transaction is batched.
    """
    connection = transaction.get_connection(using)
    if not connection.in_atomic_block:
        close_in_background([request])
        return
    # As Django notes it: whatever is registered within the same savepoints is run, or is not, together.
    within = set(connection.savepoint_ids)
    for savepoints, hook, *_ in connection.run_on_commit[-_HOOKS:]:
        if isinstance(hook, _CommitHook) and savepoints == within:
            hook.requests.append(request)
            return
    transaction.on_commit(_CommitHook(request), using=using)


class _CommitHook:
    """The close requests of one transaction, published when it commits."""

    def __init__(self, request: CloseRequest) -> None:
        self.requests = [request]

    def __call__(self) -> None:
        close_in_background(self.requests)
