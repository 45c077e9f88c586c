"""Reading of the console: processes, sockets, rooms and outbound routes of the whole cluster, page by page.

Everything is asked for over the channel layer, when somebody wants to see it, and answered within a deadline. What is
not answered by then is said: ``RowPage.missing``, ``RowPage.errors``. Each function may be awaited in any event loop.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from .._core.keyset import KeyedRow, SourcePage, merge_pages
from ..processes import Answer, ask_processes
from .asked import MOST_ROWS
from .page_answers import Answers, decode_cursor, encode_cursor, limit_of, source_page
from .process_topics import FACTS_TOPIC
from .received_rows import plain_row, read_row
from .room_topics import BUSIEST_TOPIC, MOST_NAMES, ROOM_COUNTS_TOPIC, ROOMS_TOPIC
from .route_topics import ROUTES_TOPIC
from .rows import ProcessRow, RoomRow, RouteRow, RowPage, SocketDetail, SocketRow, SocketSearch
from .socket_topics import SOCKET_TOPIC, SOCKETS_TOPIC
from .socket_values import check_cursor, matcher, value_of

__all__ = [
    "count_room",
    "read_busiest_rooms",
    "read_processes",
    "read_rooms",
    "read_routes",
    "read_socket",
    "read_sockets",
]

_LEAST_SECONDS = 0.1


async def read_processes(*, seconds: float = 1.0) -> RowPage[ProcessRow]:
    """Every process that serves, by name.

    Raises:
        WebSocketConnectionError: the channel layer cannot be reached in time.
    """
    answers = Answers(await ask_processes(FACTS_TOPIC, seconds=seconds))
    rows = answers.each(lambda answer: read_row(ProcessRow, {**answer.data, "lag_seconds": answer.seconds}))
    return answers.page(sorted(rows, key=lambda row: row.name), total=len(rows))


async def read_sockets(
    search: SocketSearch | None = None,
    *,
    order: str = "opened",
    after: str = "",
    limit: int = 100,
    seconds: float = 1.0,
) -> RowPage[SocketRow]:
    """Sockets of all processes, page by page.

    Pages in the order of "opened" are exact: every socket that is open all the while comes once. What other orders go
    by may change between two pages.

    Args:
        search: which; None is all.
        order: one of ``ORDERS``, "-" before it for the greatest first.
        after: ``next`` of the page before; of the same search and order.
        limit: rows of a page, from 1 to 500.
        seconds: the deadline, above 0, and at most 60.
    Raises:
        ValueError: one of these cannot be.
        WebSocketConnectionError: the channel layer cannot be reached in time.
    """
    search = search or SocketSearch()
    name, reverse = order.removeprefix("-"), order.startswith("-")
    value_of(name)
    matcher(search)
    cursor = decode_cursor(after)
    check_cursor(name, cursor)
    asked = {
        "search": plain_row(search),
        "order": name,
        "reverse": reverse,
        "after": cursor,
        "limit": limit_of(limit),
    }
    answers = Answers(await ask_processes(SOCKETS_TOPIC, asked, seconds=seconds))

    def rows_of(answer: Answer) -> SourcePage[SocketRow]:
        rows = []
        for found in answer.data["rows"]:
            key = [*found["key"], answer.process]
            check_cursor(name, key)
            rows.append(KeyedRow(tuple(key), read_row(SocketRow, found["row"])))
        return source_page(rows, answer.data)

    pages = answers.each(rows_of)
    merged = merge_pages(pages, limit, reverse=reverse)
    total = sum(answers.each(lambda answer: int(answer.data["total"])))
    return answers.page([row for rows in merged.rows for row in rows], next=encode_cursor(merged.next), total=total)


async def read_socket(socket_id: str, *, seconds: float = 1.0) -> SocketDetail | None:
    """One socket, by its id; None if no process that has answered has it.

    Raises:
        WebSocketConnectionError: the channel layer cannot be reached in time.
    """
    answers = Answers(await ask_processes(SOCKET_TOPIC, {"id": str(socket_id)}, seconds=seconds))
    found = answers.each(lambda answer: None if answer.data is None else _detail(answer.data))
    return next((detail for detail in found if detail is not None), None)


async def read_rooms(
    search: str = "", *, after: str = "", limit: int = 100, seconds: float = 1.0
) -> RowPage[RoomRow]:
    """Rooms that have members, by name, page by page. Those are left out whose names have over 1,000 characters, or
    half of a surrogate pair, which JSON cannot hold.

    Args:
        search: a part of the name, whatever its case; "" is all.
        after: ``next`` of the page before, of the same search.
        limit: rows of a page, from 1 to 500.
        seconds: the deadline, above 0, and at most 60.
    Raises:
        ValueError: one of these cannot be.
        WebSocketConnectionError: the channel layer cannot be reached in time.
    """
    cursor = decode_cursor(after)
    if cursor is not None and not (len(cursor) == 1 and isinstance(cursor[0], str)):
        raise ValueError(f"after={after!r} is no place in the order of rooms")
    asked = {"search": search, "after": cursor[0] if cursor else "", "limit": limit_of(limit)}
    answers = Answers(await ask_processes(ROOMS_TOPIC, asked, seconds=seconds))
    pages = answers.each(
        lambda answer: source_page([KeyedRow((row.name,), row) for row in _room_rows(answer)], answer.data)
    )
    merged = merge_pages(pages, limit)
    rows = [_added(rows) for rows in merged.rows]
    names = {keyed.key for page in pages for keyed in page.rows}
    total = max([len(names), *answers.each(lambda answer: int(answer.data["total"]))])
    return answers.page(rows, next=encode_cursor(merged.next), total=total)


async def read_busiest_rooms(limit: int = 20, *, search: str = "", seconds: float = 1.0) -> RowPage[RoomRow]:
    """The rooms that have most members, those first. There is no further page.

    A room whose members are spread over many processes, and are few in each, may be missed.

    Args:
        limit: how many, from 1 to 500.
        search: as for ``read_rooms()``.
        seconds: the deadline, above 0, and at most 60.
    Raises:
        ValueError, WebSocketConnectionError: as ``read_rooms()``.
    """
    asked = {"search": search, "limit": MOST_ROWS}
    began = time.monotonic()
    answers = Answers(await ask_processes(BUSIEST_TOPIC, asked, seconds=seconds))
    ranked = answers.each(lambda answer: [str(name) for name in answer.data["names"]])
    total = max([0, *answers.each(lambda answer: int(answer.data["total"]))])
    # The first of each process in turn: a room with many members in all is among the first of some.
    names = dict.fromkeys(name for rank in zip_longest(*ranked) for name in rank if name is not None)
    if not names:
        return answers.page([], total=total)
    left = max(_LEAST_SECONDS, seconds - (time.monotonic() - began))
    asked = {"names": list(names)[:MOST_NAMES]}
    answers = Answers(await ask_processes(ROOM_COUNTS_TOPIC, asked, seconds=left))
    rows = _merged_rooms(answers)
    rows.sort(key=lambda row: (-row.members, row.name))
    return answers.page(rows[: limit_of(limit)], total=max(total, len(rows)))


async def count_room(name: str, *, seconds: float = 1.0) -> tuple[RowPage[RoomRow], dict[str, str]]:
    """The row of one room, as the only one of a page; of none, if nobody is in it. And its position in each process.

    Raises:
        WebSocketConnectionError: the channel layer cannot be reached in time.
    """
    answers = Answers(await ask_processes(ROOM_COUNTS_TOPIC, {"names": [name]}, seconds=seconds))
    rows = [row for row in _merged_rooms(answers) if row.name == name]
    positions = answers.each(lambda answer: (answer.process, str(answer.data["positions"].get(name) or "")))
    return answers.page(rows, total=len(rows)), {process: at for process, at in sorted(positions) if at}


async def read_routes(*, seconds: float = 1.0) -> RowPage[RouteRow]:
    """Outbound routes that run, by key, and by process.

    Raises:
        WebSocketConnectionError: the channel layer cannot be reached in time.
    """
    answers = Answers(await ask_processes(ROUTES_TOPIC, seconds=seconds))
    rows = [row for rows in answers.each(_route_rows) for row in rows]
    total = sum(answers.each(lambda answer: int(answer.data["total"])))
    return answers.page(sorted(rows, key=lambda row: (row.route, row.process)), total=total)


def _route_rows(answer: Answer) -> list[RouteRow]:
    return [replace(read_row(RouteRow, row), process=answer.process) for row in answer.data["rows"]]


def _room_rows(answer: Answer) -> list[RoomRow]:
    return [read_row(RoomRow, row) for row in answer.data["rows"]]


def _merged_rooms(answers: Answers) -> list[RoomRow]:
    by_name: dict[str, list[RoomRow]] = {}
    for rows in answers.each(_room_rows):
        for row in rows:
            by_name.setdefault(row.name, []).append(row)
    return [_added(rows) for rows in by_name.values()]


def _added(rows: list[RoomRow]) -> RoomRow:
    """One row of a room, of those of the processes that have members of it."""
    return replace(
        rows[0],
        pattern=next((row.pattern for row in rows if row.pattern), ""),
        members=sum(row.members for row in rows),
        processes=len(rows),
        has_history=any(row.has_history for row in rows),
        has_presence=any(row.has_presence for row in rows),
        is_keyed=any(row.is_keyed for row in rows),
    )


def _detail(data: dict[str, Any]) -> SocketDetail:
    return SocketDetail(
        row=read_row(SocketRow, data["row"]),
        rooms=[str(name) for name in data["rooms"]],
        subprotocol=str(data["subprotocol"]),
        client_id=str(data["client_id"]),
        port=None if data["port"] is None else int(data["port"]),
        tags=[str(tag) for tag in data["tags"]],
        headers={str(name): str(value) for name, value in data["headers"].items()},
    )
