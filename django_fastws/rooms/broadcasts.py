"""Broadcasts of several at once, to any rooms, each of which may fail for itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import metrics, tracing
from .._core.envelope import Envelope
from .._core.positions import Position
from ..layer import get_broker, publishing_seconds
from .database_history import DatabaseHistory, too_late
from .declared import pattern_of
from .on_commit import log_unpublished
from .room import Room
from .room_traces import begin_broadcast

__all__ = ["RoomBroadcast", "broadcast_all"]

logger = logging.getLogger("django_fastws.rooms")

_AT_ONCE = 100  # broadcasts of a room that the database stores in one transaction, while others wait for the room


class RoomBroadcast(NamedTuple):
    """One broadcast, with what ``Room.broadcast`` takes."""

    room: str
    data: Any
    event: str | None = None
    key: str | None = None
    idempotency_key: str | None = None


class _Prepared(NamedTuple):
    """What is to be published: the place of its broadcast, and its position if it is stored already."""

    place: int
    envelope: Envelope
    position: Position | None = None


def broadcast_all(broadcasts: Sequence[RoomBroadcast]) -> list[Position | Exception | None]:
    """Broadcast all of them, from sync code, at once: whatever becomes of transactions that are open.

    Members of a room get them in this order. What the layer carries goes there together; what the database keeps is
    stored room by room, in transactions of so many. They have one deadline, behind which nothing more is begun.

    Returns:
        What became of each: what ``Room.broadcast`` returns, or the error that it raises.
    """
    found: list[Position | Exception | None] = [None] * len(broadcasts)
    prepared: list[_Prepared] = []
    to_store: dict[str, tuple[DatabaseHistory, list[_Prepared]]] = {}
    traced: dict[int, tracing.Observed] = {}
    ends = time.monotonic() + publishing_seconds()
    for place, broadcast in enumerate(broadcasts):
        try:
            envelope = _envelope(broadcast)
            if tracing.observers:
                traced[place] = begin_broadcast(broadcast.room, envelope, is_current=False)
        except Exception as error:
            found[place] = error
            continue
        if envelope.history is None or not envelope.history.database:
            prepared.append(_Prepared(place, envelope))
            continue
        _, waiting = to_store.setdefault(broadcast.room, (DatabaseHistory(broadcast.room, envelope.history), []))
        waiting.append(_Prepared(place, envelope))
    for history, waiting in to_store.values():
        for start in range(0, len(waiting), _AT_ONCE):
            prepared += _store(history, waiting[start : start + _AT_ONCE], ends, found)
    _publish(broadcasts, sorted(prepared, key=lambda one: one.place), found)
    for place, observed in traced.items():
        observed.end(outcome if isinstance(outcome := found[place], Exception) else None)
    return found


def _store(
    history: DatabaseHistory, waiting: Sequence[_Prepared], ends: float, found: list[Position | Exception | None]
) -> list[_Prepared]:
    """Store broadcasts of one room, and find what became of each; returns those that are to be published."""
    outcomes: Sequence[Position | Exception]
    try:
        if time.monotonic() >= ends:
            raise too_late()
        outcomes = history.store_apart([one.envelope for one in waiting], ends)
    except Exception as error:
        outcomes = [error] * len(waiting)
    stored = []
    for (place, envelope, _), outcome in zip(waiting, outcomes, strict=True):
        found[place] = outcome
        if isinstance(outcome, Exception):
            continue
        if envelope.position is None:  # it was stored, and published, before
            metrics.broadcasts.add(1, pattern_of(history.name))
        else:
            stored.append(_Prepared(place, envelope, outcome))
    return stored


def _envelope(broadcast: RoomBroadcast) -> Envelope:
    room, data, event, key, idempotency_key = broadcast
    return Room(room)._envelope(data, event, None, idempotency_key, key, is_volatile=False)


def _publish(
    broadcasts: Sequence[RoomBroadcast], prepared: list[_Prepared], found: list[Position | Exception | None]
) -> None:
    if not prepared:
        return
    outcomes: Sequence[Position | Exception | None]
    try:
        outcomes = get_broker().publish_all([one.envelope for one in prepared])
    except Exception as error:  # of a layer that is configured wrongly
        outcomes = [error] * len(prepared)
    for (place, _, position), outcome in zip(prepared, outcomes, strict=True):
        room = broadcasts[place].room
        if position is None:
            found[place] = outcome
        elif isinstance(outcome, Exception):
            log_unpublished(outcome, f"A broadcast to room {room!r}", logger)
        if not isinstance(found[place], Exception):
            metrics.broadcasts.add(1, pattern_of(room))
