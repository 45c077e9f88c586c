"""What a process answers about the rooms that have members in it, and how it takes members out."""

from __future__ import annotations

import asyncio
import heapq
from typing import Any

from ..exceptions import check_close
from ..processes import InvalidQuestion, Responder, topics
from ..rooms import LocalRoom, Member, RoomListener, current_hub, history_of, latest_of, pattern_of, presence_of
from .asked import ids_in, page_limit
from .received_rows import plain_row
from .rows import RoomRow
from .slicing import one_at_a_time, sliced
from .socket_values import clean

__all__ = ["BUSIEST_TOPIC", "KICK_TOPIC", "MOST_NAMES", "ROOMS_TOPIC", "ROOM_COUNTS_TOPIC"]

ROOMS_TOPIC = "console.rooms"
BUSIEST_TOPIC = "console.busiest"
ROOM_COUNTS_TOPIC = "console.room_counts"
KICK_TOPIC = "console.kick"

MOST_NAMES = 2000  # of rooms whose members are counted at once
_LONGEST_NAME = 1000  # characters; an answer has an end
_KICK_AT_ONCE = 16


async def list_rooms(responder: Responder, arguments: Any) -> dict[str, Any]:
    """The first rooms behind a cursor, by name, and how many there are in all."""
    limit = page_limit(arguments)
    part, after = str(arguments["search"]).casefold(), str(arguments["after"])
    async with one_at_a_time():
        members, total = await _members_by_name(part)
        names = heapq.nsmallest(limit + 1, [name for name in members if not after or name > after])
        rows = [_row(name, members[name]) async for name in sliced(names[:limit])]
    return {"rows": rows, "more": len(names) > limit, "total": total}


async def busiest_rooms(responder: Responder, arguments: Any) -> dict[str, Any]:
    """The names of the rooms that have most members here, those first."""
    limit = page_limit(arguments)
    async with one_at_a_time():
        members, total = await _members_by_name(str(arguments["search"]).casefold())
        names = heapq.nlargest(limit, members, key=members.__getitem__)
    return {"names": names, "total": total}


async def count_members(responder: Responder, arguments: Any) -> dict[str, Any]:
    """The rows of those rooms among the named that have members here."""
    names = arguments["names"]
    if not isinstance(names, list) or len(names) > MOST_NAMES:
        raise InvalidQuestion(f"names are a list of at most {MOST_NAMES}")
    hub = current_hub()
    async with one_at_a_time():
        rows, positions = [], {}
        async for name in sliced(map(str, names)):
            count = sum(map(_sockets_in, hub.local_rooms_of(name)))
            if count:
                rows.append(_row(name, count))
                if (position := hub.newest_position(name)) is not None:
                    positions[name] = str(position)
    return {"rows": rows, "positions": positions}


def _sockets_in(room: LocalRoom) -> int:
    return len(room.members) - sum([isinstance(member, RoomListener) for member in room.members])


async def _members_by_name(part: str) -> tuple[dict[str, int], int]:
    """How many members each room has whose name has this part, and how many such rooms there are."""
    members: dict[str, int] = {}
    room: LocalRoom
    async for room in sliced(current_hub().local_rooms()):
        name = room.name
        is_meant = not part or part in name.casefold()
        if is_meant and _can_be_listed(name) and (count := _sockets_in(room)):
            members[name] = members.get(name, 0) + count
    return members, len(members)


def _can_be_listed(name: str) -> bool:
    """Whether the name of a room fits into an answer: it is not endless, and no half of a surrogate pair is in it."""
    return len(name) <= _LONGEST_NAME and (name.isascii() or clean(name) == name)


def _row(name: str, members: int) -> dict[str, Any]:
    row = RoomRow(
        name=name,
        pattern=pattern_of(name),
        members=members,
        processes=1,
        has_history=history_of(name) is not None,
        has_presence=presence_of(name) is not None,
        is_keyed=latest_of(name) is not None,
    )
    return plain_row(row)


async def kick_here(responder: Responder, arguments: Any) -> dict[str, int]:
    """Take members out of a room; how many."""
    try:
        room, user, code, reason = arguments["room"], arguments["user"], arguments["code"], arguments["reason"]
        check_close(code, reason)
        ids = set(ids_in(arguments["ids"]))
        members = [member for one in current_hub().local_rooms_of(room) for member in one.members]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidQuestion(f"kick: {error}") from None
    done = 0
    async with one_at_a_time():
        member: Member
        async for member in sliced(members):
            if not _is_meant(member, ids, str(user)):
                continue
            member.kick(code, reason)
            done += 1
            if not done % _KICK_AT_ONCE:
                await asyncio.sleep(0)  # each is a task, and they run at the next turn
    return {"done": done}


def _is_meant(member: Member, ids: set[str], user: str) -> bool:
    socket = getattr(member, "socket", None)
    if socket is None or socket.is_closing:  # a listener is nobody's
        return False
    return bool(ids and socket.known_id in ids) or bool(user and member.matches(user, ""))


topics[ROOMS_TOPIC] = list_rooms
topics[BUSIEST_TOPIC] = busiest_rooms
topics[ROOM_COUNTS_TOPIC] = count_members
topics[KICK_TOPIC] = kick_here
