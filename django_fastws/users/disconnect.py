"""Closing the sockets of a user or a session from anywhere: ``disconnect()``, and the same for signals' receivers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction

from .._core.control import CloseRequest, encode
from .._core.envelope import Envelope
from ..exceptions import check_close
from ..layer import get_broker
from ..rooms import check_no_loop, publish_sync
from ..user_keys import key_of
from .background import publisher
from .identity import hash_of_key, session_hash

__all__ = ["adisconnect", "close_after_commit", "close_in_background", "disconnect"]

logger = logging.getLogger("django_fastws.users")

_HOOKS = 20  # of a transaction, among the last of which one of ours is looked for


def disconnect(
    *, user: Any = None, session: Any = None, code: int = 4401, reason: str = "", on_commit: bool = True
) -> None:
    """Close every socket of a user, or of a session, in every process, from sync code.

    Inside ``transaction.atomic()`` it happens once the transaction commits, and not at all if it is rolled back. It
    does not wait for the sockets to be closed, and does not keep the user from connecting again.

    Args:
        user: a user, or a primary key.
        session: instead of a user: a session, or its key, whether somebody is logged in with it or not. Sessions that
            are kept in a cookie have no key by which they could be found.
        code, reason: as ``WebSocket.close`` takes them.
        on_commit: False closes at once, whatever becomes of the transaction.
    Raises:
        TypeError, ValueError: it is no user or session, both are given, or the code or reason cannot be sent.
        WebSocketStateError: this thread runs an event loop, which would be blocked; await adisconnect() there.
        WebSocketConnectionError: the channel layer cannot be reached. (Logged, not raised, after a commit.)
    """
    check_no_loop("disconnect()", "adisconnect(...)")
    request = _request(user, session, code, reason)
    what = f"Disconnecting {request.user or 'a session'}"
    publish_sync(_envelope(request), what, logger, on_commit=on_commit)


async def adisconnect(*, user: Any = None, session: Any = None, code: int = 4401, reason: str = "") -> None:
    """Close every socket of a user, or of a session, in every process. It does not wait for open transactions.

    Args:
        user: a user, or a primary key.
        session: instead of a user: a session, or its key.
        code, reason: as ``WebSocket.close`` takes them.
    Raises:
        TypeError, ValueError: it is no user or session, both are given, or the code or reason cannot be sent.
        WebSocketConnectionError: the channel layer cannot be reached.
    """
    await get_broker().apublish(_envelope(_request(user, session, code, reason)))


def _request(user: Any, session: Any, code: int, reason: str) -> CloseRequest:
    check_close(code, reason)
    if session is None:
        return CloseRequest(key_of(user), int(code), reason)
    if user is not None:
        raise TypeError("disconnect() takes user= or session=, not both")
    return CloseRequest("", int(code), reason, _name_of(session), others=False)


def _name_of(session: Any) -> str:
    """Hash of a session or of the key of one."""
    if isinstance(session, str):
        name = hash_of_key(session) if session else ""
    elif isinstance(session, SessionBase):
        name = session_hash(session)
    else:
        raise TypeError(f"disconnect(session=...) takes a session or its key, not {type(session).__name__}")
    if not name:
        raise ValueError(
            "disconnect(session=...): this session has no key by which its sockets are found; it was never saved, or "
            "is kept in a cookie"
        )
    return name


def _envelope(request: CloseRequest) -> Envelope:
    ((envelope, _),) = encode([request])
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
