"""Fake of what the processes tell the console: its functions, over rows that a test makes."""

from __future__ import annotations

import inspect
import time
from dataclasses import replace
from typing import Any

import pytest

from django_fastws.admin import outbound_admin, process_admin, room_admin, socket_admin
from django_fastws.console import (
    ActionResult,
    ProcessRow,
    RoomDetail,
    RoomRow,
    RouteRow,
    RowPage,
    SocketDetail,
    SocketRow,
    SocketSearch,
)
from django_fastws.console.socket_values import matcher
from django_fastws.exceptions import WebSocketConnectionError

__all__ = ["FakeConsole", "NASTY", "process", "room", "route", "socket"]

#: Names that somebody may have given.
NASTY = [
    "tickets/5",
    '<script>alert("x")</script>',
    "'\"&<>/?#%_+",
    "größe ✓ 🙂",
    "שלום/\u202eabc",
    "..",
    "",
    "a\nb\tc\0d",
    " spaces ",
    "=b64=AAAA",
    "%2F..%2f",
]


def socket(number: int = 1, **more: Any) -> SocketRow:
    row = SocketRow(
        id=f"s-{number}",
        process="web-1:10:aa",
        route="/ws/chat/{room}",
        path=f"/ws/chat/{number}",
        user=f"auth.user:{number}",
        user_label=f"user-{number}",
        address=f"10.0.0.{number % 250}",
        transport="daphne",
        opened=time.time() - 60 * number,
        received_messages=number,
        received_bytes=100 * number,
        sent_messages=2 * number,
        sent_bytes=300 * number,
        buffered_bytes=0,
        dropped=0,
        rooms=1,
        is_live=False,
    )
    return replace(row, **more)


def process(name: str = "web-1:10:aa", **more: Any) -> ProcessRow:
    row = ProcessRow(
        name=name,
        kind="server",
        host=name.partition(":")[0],
        pid=10,
        started=time.time() - 90_000,
        is_draining=False,
        can_drain=True,
        sockets=2500,
        users=2000,
        rooms=300,
        routes=0,
        memory_bytes=123_000_000,
        cpu_seconds=451.2,
        loop_delay=0.0012,
        descriptors_open=2600,
        descriptors_limit=65_536,
        threads_busy=1,
        lag_seconds=0.0034,
        versions={"django": "5.2", "django_fastws": "0.1.0", "python": "3.13.1"},
        sockets_by_route={"/ws/live": 2000, "/ws/chat/{room}": 500},
        counters={"received_messages": 1_234_567, "sent_messages": 7_654_321, "denials": 3},
    )
    return replace(row, **more)


def room(name: str = "tickets/5", **more: Any) -> RoomRow:
    row = RoomRow(name, "tickets/{pk:int}", 3, 2, has_history=True, has_presence=True, is_keyed=False)
    return replace(row, **more)


def route(name: str = "feeds.prices", **more: Any) -> RouteRow:
    row = RouteRow(
        process="clients-1:20:bb",
        route=name,
        url="wss://feed.example/prices?token=***",
        state="connected",
        since=time.time() - 3700,
        attempts=0,
        last_error="",
        received_messages=120_000,
        received_bytes=9_000_000,
        sent_messages=3,
        sent_bytes=120,
    )
    return replace(row, **more)


class FakeConsole:
    """What is read and done, and what was asked for.

    Attributes:
        calls: of each function that does something or reads sockets or rooms, its name and arguments.
        error: that each function raises; None for none.
        rest: what is said of the processes that have not answered, as ``RowPage`` takes it.
    """

    def __init__(self) -> None:
        self.processes = [process(), process("web-2:11:bb")]
        self.sockets = [socket(number) for number in range(1, 4)]
        self.rooms = [room()]
        self.routes = [route()]
        self.detail: dict[str, Any] = {}
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.error: Exception | None = None
        self.result: ActionResult | None = None
        self.rest: dict[str, Any] = {"asked": 2, "answered": 2}

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakeConsole:
        """Put it in the place of the real one."""
        for module in (outbound_admin, process_admin, room_admin, socket_admin):
            for name in [name for name in vars(module) if inspect.iscoroutinefunction(getattr(self, name, None))]:
                monkeypatch.setattr(module, name, getattr(self, name))
        return self

    @property
    def done(self) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        """The calls that are no reading."""
        return [call for call in self.calls if not call[0].startswith("read_")]

    def _page(self, rows: list[Any], after: str, limit: int) -> RowPage[Any]:
        if self.error is not None:
            raise self.error
        if after and not after.isdigit():
            raise ValueError(f"after={after!r} is no cursor")
        start = int(after or 0)
        end = start + limit
        return RowPage(rows[start:end], str(end) if end < len(rows) else "", len(rows), **self.rest)

    async def read_processes(self, *, seconds: float = 1.0) -> RowPage[ProcessRow]:
        return self._page(self.processes, "", 1000)

    async def read_sockets(
        self,
        search: SocketSearch | None = None,
        *,
        order: str = "opened",
        after: str = "",
        limit: int = 100,
        seconds: float = 1.0,
    ) -> RowPage[SocketRow]:
        matcher(search or SocketSearch())  # which refuses what is no network, as the real one does
        self.calls.append(("read_sockets", (search,), {"order": order, "after": after, "seconds": seconds}))
        ids = search.ids if search else []
        return self._page([row for row in self.sockets if not ids or row.id in ids], after, limit)

    async def read_socket(self, socket_id: str, *, seconds: float = 1.0) -> SocketDetail | None:
        row = next((row for row in self._page(self.sockets, "", 10_000).rows if row.id == socket_id), None)
        if row is None:
            return None
        headers = {"user-agent": "Mozilla/5.0 <b>", "origin": "https://example.com"}
        return SocketDetail(row, [one.name for one in self.rooms], "fastws.v1.json", "c-1", 50_000, ["chat"], headers)

    async def read_rooms(
        self, search: str = "", *, after: str = "", limit: int = 100, seconds: float = 1.0
    ) -> RowPage[RoomRow]:
        self.calls.append(("read_rooms", (search,), {"after": after}))
        return self._page([row for row in self.rooms if search in row.name], after, limit)

    async def read_busiest_rooms(
        self, limit: int = 20, *, search: str = "", seconds: float = 1.0
    ) -> RowPage[RoomRow]:
        return self._page(sorted(self.rooms, key=lambda row: -row.members)[:limit], "", limit)

    async def read_room(self, name: str, *, after: str = "", limit: int = 100, seconds: float = 1.0) -> RoomDetail:
        row = next((row for row in self.rooms if row.name == name), room(name, members=0, processes=0))
        members = self._page(self.sockets if row.members else [], after, limit)
        stored = {"at": "e:7", "event": "said", "data": {"text": "</pre><b>tea"}}
        detail = RoomDetail(row, members, [{"key": "7", "meta": {"name": "<i>"}}], 1, "e:7", [stored], {})
        return replace(detail, **self.detail)

    async def read_routes(self, *, seconds: float = 1.0) -> RowPage[RouteRow]:
        return self._page(self.routes, "", 1000)

    def _do(self, name: str, count: int, *args: Any, **kwargs: Any) -> ActionResult:
        if self.error is not None:
            raise self.error
        self.calls.append((name, args, kwargs))
        return self.result or ActionResult(count, **self.rest)

    async def close_sockets(self, ids: Any, **kwargs: Any) -> ActionResult:
        return self._do("close_sockets", len(ids), ids, **kwargs)

    async def kick(self, room: str, **kwargs: Any) -> ActionResult:
        return self._do("kick", len(kwargs["ids"]), room, **kwargs)

    async def drain_process(self, name: str, **kwargs: Any) -> ActionResult:
        return self._do("drain_process", 1, name, **kwargs)

    async def restart_route(self, process: str, route: str, **kwargs: Any) -> ActionResult:
        return self._do("restart_route", 1, process, route, **kwargs)


AWAY = WebSocketConnectionError("cannot reach redis://127.0.0.1:1")
