"""Reading of one room for the console: its members, who is present, and what is stored of it."""

from __future__ import annotations

import asyncio
from typing import Any

from ..exceptions import HistoryUnavailable, PresenceUnavailable, WebSocketConnectionError
from ..rooms import Room, history_of, latest_of, pattern_of, presence_of
from .inspection import count_room, read_sockets
from .rows import RoomDetail, RoomRow, SocketSearch

__all__ = ["read_room"]

_MOST_PRESENT = 1000
_LAST_EVENTS = 50
_LATE = "there was no answer in time"


async def read_room(name: str, *, after: str = "", limit: int = 100, seconds: float = 1.0) -> RoomDetail:
    """One room: its members, page by page; who is present; its last stored broadcasts and its position.

    Args:
        after: ``members.next`` of the page before.
        limit: members of a page, from 1 to 500.
        seconds: the deadline of each part, above 0, and at most 60.
    Raises:
        ValueError, WebSocketConnectionError: as ``read_sockets()``.
    """
    (counted, positions), members, presence, history = await asyncio.gather(
        count_room(name, seconds=seconds),
        read_sockets(SocketSearch(room=name), after=after, limit=limit, seconds=seconds),
        _read_presence(name, seconds),
        _read_history(name, seconds),
    )
    row = next(iter(counted.rows), None) or RoomRow(
        name=name,
        pattern=pattern_of(name),
        members=0,
        processes=0,
        has_history=history_of(name) is not None,
        has_presence=presence_of(name) is not None,
        is_keyed=latest_of(name) is not None,
    )
    (present, count, no_presence), (position, stored, no_history) = presence, history
    errors = {"presence": no_presence, "history": no_history}
    return RoomDetail(
        row=row,
        members=members,
        presence=present,
        present=count,
        position=position,
        positions=positions,
        history=stored,
        errors={what: error for what, error in errors.items() if error},
    )


async def _read_presence(name: str, seconds: float) -> tuple[list[dict[str, Any]] | None, int | None, str]:
    if presence_of(name) is None:
        return None, None, ""
    try:
        async with asyncio.timeout(seconds):
            present = await Room(name).apresent()
    except (PresenceUnavailable, WebSocketConnectionError, TimeoutError) as error:
        return None, None, str(error) or _LATE
    shown = [
        {"key": one.key, "meta": one.meta, "connections": one.connections, "since": one.since.timestamp()}
        for one in present[:_MOST_PRESENT]
    ]
    return shown, len(present), ""


async def _read_history(name: str, seconds: float) -> tuple[str, list[dict[str, Any]] | None, str]:
    if history_of(name) is None:
        return "", None, ""
    room = Room(name)
    try:
        async with asyncio.timeout(seconds):
            position, stored = await room.aposition(), await room.ahistory(limit=_LAST_EVENTS)
    except (HistoryUnavailable, WebSocketConnectionError, TimeoutError) as error:
        return "", None, str(error) or _LATE
    shown = [
        {"position": str(one.position), "event": one.event, "data": one.data, "at": one.at.timestamp()}
        for one in reversed(stored)
    ]
    return str(position) if position.offset else "", shown, ""
