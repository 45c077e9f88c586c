"""Admin of sockets: all that came in and are open, in every process; one of them; closing."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..console import ORDERS, RowPage, SocketDetail, SocketRow, SocketSearch, close_sockets, read_socket, read_sockets
from ..exceptions import WebSocketConnectionError
from ..models import Process, Room
from ..routing import registry
from .change_list import Column, ConsoleQuery, Filter, column_headers, row_cells
from .console_actions import CloseForm, ConsoleAction, Report, result_report
from .console_admin import SECONDS, ConsoleAdmin, ask
from .console_notes import Note
from .console_text import NOTHING, age, counted, moment, name_text, number, process_text, size
from .object_keys import fits_a_url, name_of, object_key

__all__ = ["SocketAdmin", "chosen_sockets", "socket_columns"]

_NAMES = ("text", "user", "address", "route", "room", "process")
#: What is searched by, as people call it.
_WITHIN = (
    ("text", "anything"),
    ("user", "user"),
    ("address", "address"),
    ("route", "route"),
    ("room", "room"),
    ("process", "process"),
)
_PER_PAGE = 100
_MOST_ROUTES = 30  # in the side bar

CLOSE = ConsoleAction(
    "close",
    "close_socket",
    "Close the selected sockets",
    "Close sockets",
    "Close",
    "Each of these sockets is closed with the code and reason that you give here.",
    "Yes, close",
    CloseForm,
)


class SocketAdmin(ConsoleAdmin):
    """Admin of sockets."""

    console_actions = (CLOSE,)

    def list_page(self, request: HttpRequest) -> HttpResponse:
        """The sockets that fit the search."""
        query = ConsoleQuery.read(request.GET, _NAMES, ORDERS)
        try:
            page, said = self.listed(query, lambda seconds: self._read(query, seconds))
        except ValueError as error:  # of a network that is none: whoever has written it is told
            page = RowPage([])
            said = {"note": Note("error", f"This cannot be searched for: {error}."), "query": query}
        columns = self.columns(query)
        context = {
            "headers": column_headers(columns, query),
            "rows": row_cells(columns, page.rows, lambda row: (object_key(row.id), row.path)),
            **said,
            "within": _WITHIN,
            "search_help": "A user is found by the name, the primary key or the key; an address by its beginning, or "
            "as a network such as 10.1.0.0/16; a room in “room”, by its whole name.",
            "chips": self._chips(query),
            "filters": self._filters(query, page),
            "actions": self.actions_for(request),
            "total": counted(page.total, "socket"),
            "shown": len(page.rows),
            "next_url": query.next(page.next),
            "previous_url": query.previous(),
            "first_url": query.first(),
            "empty": "No socket fits the search." if query.filters else "No socket is open.",
        }
        return self.page(request, "list", "Sockets", context)

    def _read(self, query: ConsoleQuery, seconds: float) -> RowPage[SocketRow]:
        filters: dict[str, Any] = dict(query.filters)
        search = SocketSearch(**filters)
        options: dict[str, Any] = {"order": query.order or "-opened", "limit": _PER_PAGE, "seconds": seconds}
        try:
            return ask(read_sockets, search, after=query.after, **options)
        except ValueError:  # of a cursor that was cut, or of another search: from the first page on
            if not query.after:
                raise
            return ask(read_sockets, search, **options)

    def columns(self, query: ConsoleQuery) -> list[Column[SocketRow]]:
        """The columns of the list."""
        first: Column[SocketRow] = Column("Socket", self._name, "route")
        return [first, *socket_columns(query, self.url("changelist"))]

    def _name(self, row: SocketRow) -> SafeString:
        return format_html(
            '<span class="fw-main">{}</span><span class="fw-sub">{}</span>',
            self.link(object_key(row.id), name_text(row.path, 60)),
            "live rooms" if row.is_live else name_text(row.route, 60),
        )

    def _chips(self, query: ConsoleQuery) -> list[tuple[str, SafeString, str]]:
        words = dict(_WITHIN)
        return [(words[name], name_text(text, 60), query.filtered(name, "")) for name, text in query.filters.items()]

    def _filters(self, query: ConsoleQuery, page: RowPage[Any]) -> list[Filter]:
        processes = sorted(page.processes)
        paths = sorted({route.path for route in registry.routes})[:_MOST_ROUTES]
        filters = [query.choices("process", "process", [(name, process_text(name)) for name in processes])]
        filters += [query.choices("route", "route", [(path, name_text(path, 40)) for path in paths])] if paths else []
        return filters

    # One socket

    def object_page(self, request: HttpRequest, key: str) -> HttpResponse:
        """The page of one socket."""
        socket_id = name_of(key)
        found, problem = self.asked(lambda: ask(read_socket, socket_id, seconds=SECONDS))
        here = request.get_full_path()
        context: dict[str, Any] = {"key": key, "note": problem, "log_url": self.object_url(key, "history")}
        if found is None:
            context["gone"] = problem is None
            context["gone_text"] = (
                f"No process that has answered within {SECONDS:g} s has this socket: it is closed, or its process "
                "does not answer."
            )
        else:
            context |= {
                "facts": self._facts(request, found),
                "rooms": self._rooms(request, found),
                "tools": self.object_actions(request, key, self.url("changelist")),
                "headers": [(name, name_text(value, 300)) for name, value in found.headers.items()],
                "here": here,
            }
        title = "Socket" if found is None else name_text(found.row.path, 80)
        return self.page(request, "socket", "Socket", context, subtitle=title if found is not None else None)

    def _facts(self, request: HttpRequest, found: SocketDetail) -> list[tuple[str, Any]]:
        row, listed = found.row, ConsoleQuery()
        process: Any = name_text(row.process)
        if self.can_link(request, Process):
            url = self.object_url(object_key(row.process), model=Process)
            process = format_html('<a href="{}">{}</a>', url, process)
        port = "" if found.port is None else f" port {found.port}"
        return [
            ("User", _user(row, listed, self.url("changelist"))),
            ("Address", format_html("{}{}", _address(row, listed, self.url("changelist")), port)),
            ("Route", _filter_link(self.url("changelist"), listed, "route", row.route, name_text(row.route))),
            ("Path", name_text(row.path, 300)),
            ("Process", process),
            ("Open since", f"{moment(row.opened)} ({age(time.time() - row.opened)})"),
            ("Received", f"{counted(row.received_messages, 'message')}, {size(row.received_bytes)}"),
            ("Sent", f"{counted(row.sent_messages, 'message')}, {size(row.sent_bytes)}, besides what its rooms got"),
            ("Waits to be sent", size(row.buffered_bytes)),
            ("Dropped broadcasts", number(row.dropped)),
            ("Transport", row.transport),
            ("Subprotocol", name_text(found.subprotocol) if found.subprotocol else NOTHING),
            ("Client id", name_text(found.client_id) if found.client_id else NOTHING),
            ("Tags", ", ".join(found.tags) or NOTHING),
            ("Id", name_text(row.id)),
        ]

    def _rooms(self, request: HttpRequest, found: SocketDetail) -> list[Any]:
        may = self.can_link(request, Room)
        shown = []
        for name in found.rooms:
            key = object_key(name)
            linked = may and fits_a_url(key)
            text = name_text(name)
            url = self.object_url(key, model=Room) if linked else ""
            shown.append(format_html('<a href="{}">{}</a>', url, text) if linked else text)
        return shown

    # Actions

    def chosen(self, request: HttpRequest, action: ConsoleAction, keys: list[str]) -> list[SafeString]:
        """An id says nothing to people."""
        return chosen_sockets(keys)

    def perform(self, request: HttpRequest, action: ConsoleAction, keys: list[str], form: Any) -> Report:
        """Close sockets."""
        code, reason = form.cleaned_data["code"], form.cleaned_data["reason"]
        result = ask(close_sockets, [name_of(key) for key in keys], code=code, reason=reason, seconds=SECONDS)
        return result_report(result, len(keys), "Closed", "socket", f"Closed with {code} {reason!r}")


def chosen_sockets(keys: list[str]) -> list[SafeString]:
    """Path, user and address of the sockets that are selected; the id of one of which no process tells in time."""
    ids = [name_of(key) for key in keys]
    if not ids:
        return []
    try:
        found = ask(read_sockets, SocketSearch(ids=ids), limit=len(ids), seconds=SECONDS).rows
    except WebSocketConnectionError:  # what is done to them will say so
        found = []
    names = {row.id: _chosen(row) for row in found}
    return [names.get(socket_id) or name_text(socket_id) for socket_id in ids]


def _chosen(row: SocketRow) -> SafeString:
    user = name_text(row.user_label or row.user, 60) if row.user else "nobody"
    address = name_text(row.address, 60) if row.address else NOTHING
    return format_html('{} <span class="fw-sub">{}, {}</span>', name_text(row.path, 60), user, address)


def socket_columns(query: ConsoleQuery, url: str, *, is_short: bool = False) -> list[Column[SocketRow]]:
    """The columns of sockets, behind the first.

    Args:
        query: of the list.
        url: of the list to which links lead that look for the same user, address or process.
        is_short: without what matters less beside a room.
    """
    now = time.time()
    columns: list[Column[SocketRow]] = [
        Column("User", lambda row: _user(row, query, url), "user"),
        Column("Address", lambda row: _address(row, query, url), "address", "address wide"),
        Column("Open for", lambda row: age(now - row.opened), "opened", "num"),
        Column("Waiting", _waiting, "buffered", "num", greatest_first=True),
        Column("Received", _received, "received_messages", "num wide", greatest_first=True),
        Column("Sent", _sent, "sent_messages", "num wide", greatest_first=True),
        Column("Process", lambda row: _process(row, query, url), css="wide"),
    ]
    if not is_short:
        return [*columns, Column("Rooms", lambda row: number(row.rooms), css="num wide")]
    return [Column(one.label, one.cell, "", one.css) for one in columns]


def _filter_link(url: str, query: ConsoleQuery, name: str, value: str, text: Any) -> SafeString:
    return format_html('<a class="fw-filter" href="{}{}">{}</a>', url, query.filtered(name, value), text)


def _user(row: SocketRow, query: ConsoleQuery, url: str) -> SafeString | str:
    if not row.user:
        return format_html('<span class="fw-quiet">{}</span>', "nobody")
    return _filter_link(url, query, "user", row.user, name_text(row.user_label or row.user, 40))


def _address(row: SocketRow, query: ConsoleQuery, url: str) -> SafeString | str:
    return _filter_link(url, query, "address", row.address, name_text(row.address, 60)) if row.address else NOTHING


def _process(row: SocketRow, query: ConsoleQuery, url: str) -> SafeString:
    return _filter_link(url, query, "process", row.process, process_text(row.process))


def _received(row: SocketRow) -> SafeString:
    return format_html('{}<span class="fw-sub">{}</span>', number(row.received_messages), size(row.received_bytes))


def _sent(row: SocketRow) -> SafeString:
    return format_html('{}<span class="fw-sub">{}</span>', number(row.sent_messages), size(row.sent_bytes))


def _waiting(row: SocketRow) -> SafeString | str:
    waiting, dropped = size(row.buffered_bytes), number(row.dropped)
    if not row.dropped:
        return waiting if row.buffered_bytes else NOTHING
    return format_html('{}<span class="fw-sub fw-warn">{} dropped</span>', waiting, dropped)
