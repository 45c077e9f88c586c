"""What a process answers about its sockets, and how it closes them."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable
from typing import Any

from ..exceptions import check_close
from ..processes import InvalidQuestion, Responder, topics
from ..rooms import current_hub
from ..transports import InboundTransport
from ..websocket import current_sockets
from .asked import ids_in, page_limit
from .received_rows import plain_row, read_row
from .rows import SocketRow, SocketSearch
from .slicing import one_at_a_time, sliced
from .socket_values import (
    Socket,
    address_text,
    check_cursor,
    clean,
    matcher,
    path_of_socket,
    user_key_of,
    user_label,
    value_of,
)

__all__ = ["CLOSE_TOPIC", "SOCKETS_TOPIC", "SOCKET_TOPIC", "socket_row"]

SOCKETS_TOPIC = "console.sockets"
SOCKET_TOPIC = "console.socket"
CLOSE_TOPIC = "console.close"

_MOST_ROOMS = 1000  # names in one answer
_LONGEST_HEADER = 500
_CHUNK = 512  # sockets that are put in order at once
_CLOSE_AT_ONCE = 16
#: Headers that say what a client is. Whatever is not here may be a secret.
_TOLD = frozenset(
    {
        "accept-language",
        "host",
        "origin",
        "sec-websocket-extensions",
        "sec-websocket-version",
        "user-agent",
        "via",
        "x-forwarded-for",
        "x-forwarded-proto",
    }
)

Found = tuple[Any, float, Socket]


def _key(found: Found) -> tuple[Any, float]:
    return found[:2]


async def list_sockets(responder: Responder, arguments: Any) -> dict[str, Any]:
    """The first sockets behind a cursor, with their keys, and how many there are in all."""
    limit = page_limit(arguments)
    try:
        search, order = read_row(SocketSearch, arguments["search"]), str(arguments["order"])
        fits, by, reverse = matcher(search), value_of(order), arguments["reverse"] is True
        ids = set(ids_in(search.ids))
        after = check_cursor(order, arguments["after"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidQuestion(f"there is no such page of sockets: {error}") from None
    if search.process not in ("", responder.name):
        return {"rows": [], "more": False, "total": 0}
    async with one_at_a_time():
        first = heapq.nlargest if reverse else heapq.nsmallest
        best, total = await _search(
            _candidates(search.room, ids),
            fits,
            by,
            _behind(after, responder.name, reverse=reverse),
            lambda found: first(limit + 1, found, key=_key),
        )
        rows = []
        async for value, opened, ws in sliced(best[:limit]):
            rows.append({"key": [value, opened], "row": plain_row(socket_row(ws, responder.name, opened))})
    return {"rows": rows, "more": len(best) > limit, "total": total}


def _behind(after: Any, process: str, *, reverse: bool) -> Callable[[tuple[Any, float]], bool]:
    """The function that tells whether a key, of this process, comes behind the cursor."""
    if after is None:
        return lambda key: True
    cursor = tuple(after)
    return (lambda key: (*key, process) < cursor) if reverse else (lambda key: (*key, process) > cursor)


async def _search(
    candidates: Iterable[Socket],
    fits: Callable[[Socket], bool] | None,
    by: Callable[[Socket, InboundTransport, float], Any],
    is_behind: Callable[[tuple[Any, float]], bool],
    first: Callable[[list[Found]], list[Found]],
) -> tuple[list[Found], int]:
    """The first that fit and come behind the cursor, and how many fit in all."""
    sockets = current_sockets()
    best: list[Found] = []
    chunk: list[Found] = []
    total = 0
    async for ws in sliced(candidates):
        opened = sockets.opened(ws)
        if opened is None or (fits is not None and not fits(ws)):
            continue
        total += 1
        found = (by(ws, ws.transport, opened), opened, ws)
        if is_behind(found[:2]):
            chunk.append(found)
        if len(chunk) >= _CHUNK:
            best, chunk = first([*best, *chunk]), []
    return first([*best, *chunk]), total


def _candidates(room: str, ids: set[str]) -> Iterable[Socket]:
    """What is searched: the sockets in a room, those of these ids, or all."""
    found = _in_room(room) if room else current_sockets().all()
    return (ws for ws in found if ws.id in ids) if ids else found


def _in_room(name: str) -> Iterable[Socket]:
    """The sockets in a room; once each, though a client may have joined as both kinds of member."""
    members = [member for room in current_hub().local_rooms_of(name) for member in room.members]
    sockets = [getattr(member, "socket", None) for member in members]
    return {ws: None for ws in sockets if ws is not None}


def socket_row(ws: Socket, process: str, opened: float) -> SocketRow:
    """The row of a socket."""
    scope, traffic, transport = ws.scope, ws.traffic, ws.transport
    return SocketRow(
        id=ws.id,
        process=process,
        route=ws.route,
        path=path_of_socket(scope),
        user=user_key_of(scope),
        user_label=user_label(scope),
        address=address_text(scope),
        transport=transport.name,
        opened=opened,
        received_messages=traffic.messages_received,
        received_bytes=traffic.bytes_received,
        sent_messages=traffic.messages_sent,
        sent_bytes=traffic.bytes_sent,
        buffered_bytes=transport.buffered,
        dropped=ws.dropped,
        rooms=len(ws.every_room),
        is_live=ws.live is not None,
    )


def show_socket(responder: Responder, arguments: Any) -> dict[str, Any] | None:
    """One socket, with its rooms and what its handshake has told; None if it is not here."""
    sockets = current_sockets()
    ws = sockets.find(str(arguments.get("id")) if isinstance(arguments, dict) else "")
    opened = None if ws is None else sockets.opened(ws)
    if ws is None or opened is None:
        return None
    client = ws.client
    return {
        "row": plain_row(socket_row(ws, responder.name, opened)),
        "rooms": heapq.nsmallest(_MOST_ROOMS, [clean(name[:500]) for name in ws.every_room]),
        "subprotocol": ws.subprotocol or "",
        "client_id": "" if ws.live is None else clean(ws.live.client_id),
        "port": None if client is None else client.port,
        "tags": list(ws.tags),
        "headers": {name: _told(ws.headers[name]) for name in sorted(_TOLD) if name in ws.headers},
    }


def _told(value: str) -> str:
    return clean(value[:_LONGEST_HEADER])


async def close_here(responder: Responder, arguments: Any) -> dict[str, int]:
    """Begin to close the sockets that are here; how many."""
    try:
        code, reason = arguments["code"], arguments["reason"]
        check_close(code, reason)
        ids = ids_in(arguments["ids"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidQuestion(f"close: {error}") from None
    done = 0
    sockets = current_sockets()
    async with one_at_a_time():
        async for socket_id in sliced(ids):
            ws = sockets.find(socket_id)
            if ws is None or ws.close_from_outside is None or ws.is_closing:
                continue
            ws.close_from_outside("console", code, reason)
            done += 1
            if not done % _CLOSE_AT_ONCE:
                await asyncio.sleep(0)  # each is a task, and they run at the next turn
    return {"done": done}


topics[SOCKETS_TOPIC] = list_sockets
topics[SOCKET_TOPIC] = show_socket
topics[CLOSE_TOPIC] = close_here
