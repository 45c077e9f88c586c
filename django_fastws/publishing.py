"""HTTP publish without HTTP: the items of a request, published as their key may, and the results for its sender."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.db import Error as DatabaseError

from ._core.publish_keys import PublishKey
from ._core.publish_request import PublishItem
from .exceptions import HistoryUnavailable, LiveError, MessageTooBig, WebSocketConnectionError
from .live import published_event
from .rooms import RoomBroadcast, broadcast_all, history_of, latest_of

__all__ = ["publish_items"]

logger = logging.getLogger("django_fastws.publish")

_FAILED = "failed"


def publish_items(key: PublishKey, items: Sequence[PublishItem]) -> list[dict[str, Any]]:
    """Publish the items, in their order, from sync code; one that fails keeps no other from it.

    Returns:
        Of each ``{"at": position or None}``, or ``{"error": {"code": ..., "message": ...}}``.
    """
    results: list[dict[str, Any]] = [{}] * len(items)
    errors: list[Exception] = []
    places, broadcasts = [], []
    for place, item in enumerate(items):
        try:
            broadcasts.append(_broadcast(key, item))
        except Exception as error:
            errors.append(error)
            results[place] = _result_of(error)
        else:
            places.append(place)
    for place, outcome in zip(places, broadcast_all(broadcasts), strict=True):
        if isinstance(outcome, Exception):
            errors.append(outcome)
            results[place] = _result_of(outcome)
        else:
            results[place] = {"at": None if outcome is None else str(outcome)}
    _log(key, errors)
    return results


def _broadcast(key: PublishKey, item: PublishItem) -> RoomBroadcast:
    """The broadcast of an item.

    Raises:
        LiveError, TypeError: it cannot be.
    """
    room = item.room
    if not key.may_publish(room):
        raise LiveError("forbidden", f"room: the key {key.id!r} may not publish to {room!r:.80}")
    if item.event == "":
        raise LiveError("invalid", "event: its name is empty")
    if item.key is not None and latest_of(room) is None:
        raise LiveError("invalid", "key: the room is not keyed")
    if item.key is None and latest_of(room) is not None:
        raise LiveError("invalid", "key: it is missing; the room is keyed, and it says whose value this is")
    if item.idempotency_key == "":
        raise LiveError("invalid", "idempotency_key: it is empty")
    if item.idempotency_key is not None and history_of(room) is None:
        raise LiveError("invalid", "idempotency_key: the room has no history, which would know it again")
    data = published_event(room, item.event, item.data)
    return RoomBroadcast(room, data, item.event, item.key, item.idempotency_key)


def _result_of(error: Exception) -> dict[str, Any]:
    code, message = _told(error)
    return {"error": {"code": code, "message": message}}


def _told(error: Exception) -> tuple[str, str]:
    """The code and the message for what kept an item from being published, without what is inside of the project."""
    match error:
        case LiveError():
            return error.code, error.message
        case MessageTooBig():
            return "too_big", f"data: it has {error.size} bytes as a message, and may have {error.limit}"
        case WebSocketConnectionError() | DatabaseError():
            return "unavailable", "it cannot be published now; the same may succeed later"
        case HistoryUnavailable() | TypeError() | ValueError():
            return "invalid", str(error)
    return _FAILED, "the log of the server says why"


def _log(key: PublishKey, errors: list[Exception]) -> None:
    """Say once of a request what is wrong here, and nothing of what its sender is told."""
    lost = [error for error in errors if isinstance(error, (WebSocketConnectionError, DatabaseError))]
    if lost:
        logger.warning("HTTP publish: %d items of %r were not published: %s", len(lost), key.id, str(lost[0]).strip())
    failed = [error for error in errors if _told(error)[0] == _FAILED and not isinstance(error, LiveError)]
    if failed:
        logger.error("HTTP publish: %d items of %r could not be published", len(failed), key.id, exc_info=failed[0])
