"""Admin of processes: all that serve sockets or run outbound routes; one of them; draining."""

from __future__ import annotations

import time
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..console import ProcessRow, drain_process, read_processes
from ..models import OutboundRoute, Socket
from .change_list import Column, ConsoleQuery, column_headers, row_cells
from .console_actions import ConsoleAction, Report
from .console_admin import SECONDS, ConsoleAdmin, ask
from .console_text import NOTHING, age, counted, moment, name_text, number, size
from .object_keys import name_of, object_key

__all__ = ["ProcessAdmin"]

_SLOW_LOOP = 0.1  # seconds by which a loop is late that is marked
_FULL = 0.8  # of the file descriptors that a process may have

DRAIN = ConsoleAction(
    "drain",
    "drain_process",
    "Drain the selected processes",
    "Drain processes",
    "Drain",
    "The process stops, as at SIGTERM: it takes no new sockets, tells its clients over FASTWS_DRAIN_SECONDS to come "
    "again, lets requests end, and exits. Whether it is started again is up to what has started it.",
    "Yes, drain",
)


class ProcessAdmin(ConsoleAdmin):
    """Admin of processes."""

    console_actions = (DRAIN,)

    def list_page(self, request: HttpRequest) -> HttpResponse:
        """All processes."""
        query = ConsoleQuery.read(request.GET, ())
        page, said = self.listed(query, lambda seconds: ask(read_processes, seconds=seconds))
        columns = self._columns(time.time())
        context = {
            "headers": column_headers(columns, query),
            "rows": row_cells(columns, page.rows, lambda row: (object_key(row.name), row.name)),
            **said,
            "actions": self.actions_for(request),
            "total": ", ".join(
                (
                    counted(page.total or len(page.rows), "process", "processes"),
                    counted(sum(row.sockets for row in page.rows), "socket"),
                )
            ),
            "shown": len(page.rows),
            "empty": "No process has answered.",
        }
        return self.page(request, "list", "Processes", context)

    def _columns(self, now: float) -> list[Column[ProcessRow]]:
        return [
            Column("Process", self._name),
            Column("Sockets", lambda row: number(row.sockets), css="num"),
            Column("Users", lambda row: number(row.users), css="num wide"),
            Column("Rooms", lambda row: number(row.rooms), css="num wide"),
            Column("Outbound", lambda row: number(row.routes) if row.routes else NOTHING, css="num wide"),
            Column("Up for", lambda row: age(now - row.started), css="num"),
            Column("Memory", lambda row: size(row.memory_bytes), css="num"),
            Column("Loop late by", _loop_delay, css="num"),
            Column("Descriptors", _descriptors, css="num wide"),
        ]

    def _name(self, row: ProcessRow) -> SafeString:
        state = format_html('<span class="fw-badge fw-warn">{}</span>', "draining") if row.is_draining else ""
        return format_html(
            '<span class="fw-main">{} {}</span><span class="fw-sub">{}</span>',
            self.link(object_key(row.name), name_text(row.name, 60)),
            state,
            _KINDS.get(row.kind, row.kind),
        )

    # One process

    def object_page(self, request: HttpRequest, key: str) -> HttpResponse:
        """The page of one process."""
        name = name_of(key)
        page, problem = self.asked(lambda: ask(read_processes, seconds=SECONDS))
        row = next((row for row in page.rows if row.name == name), None) if page is not None else None
        here = self.object_url(key)
        context: dict[str, Any] = {"key": key, "note": problem, "log_url": self.object_url(key, "history")}
        if row is None:
            error = "" if page is None else page.errors.get(name, "")
            context["gone"] = page is not None
            context["gone_text"] = error or (
                f"This process has not answered within {SECONDS:g} s: it has ended, is blocked, or is far away."
            )
        else:
            context |= {
                "facts": self._facts(row),
                "versions": sorted(row.versions.items()),
                "routes": self._by_route(request, row),
                "counters": [(name.replace("_", " "), number(value)) for name, value in row.counters.items()],
                "tools": self.object_actions(request, key, here) if row.can_drain and not row.is_draining else [],
                "links": self._links(request, row),
            }
        return self.page(request, "process", "Process", context, subtitle=name_text(name, 200))

    def _facts(self, row: ProcessRow) -> list[tuple[str, Any]]:
        state = "draining: it is about to stop" if row.is_draining else "serving"
        return [
            ("State", state if row.can_drain or row.is_draining else f"{state}; it cannot be drained from here"),
            ("Kind", _KINDS.get(row.kind, row.kind)),
            ("Host", name_text(row.host)),
            ("Process id", str(row.pid)),
            ("Up since", f"{moment(row.started)} ({age(time.time() - row.started)})"),
            ("Sockets", f"{number(row.sockets)}, of {counted(row.users, 'user')}"),
            ("Rooms with members", number(row.rooms)),
            ("Outbound routes", number(row.routes)),
            ("Memory", size(row.memory_bytes)),
            ("Processor time", age(row.cpu_seconds)),
            ("Event loop late by", _loop_delay(row)),
            ("Answered after", _milliseconds(row.lag_seconds)),
            ("File descriptors", _descriptors(row)),
            ("Busy threads", number(row.threads_busy)),
        ]

    def _by_route(self, request: HttpRequest, row: ProcessRow) -> list[tuple[Any, str]]:
        may = self.can_link(request, Socket)
        shown = []
        for route, count in sorted(row.sockets_by_route.items(), key=lambda pair: -pair[1]):
            text: Any = name_text(route)
            if may:
                query = ConsoleQuery({"process": row.name, "route": route})
                text = format_html('<a href="{}{}">{}</a>', self.url("changelist", model=Socket), query.url(), text)
            shown.append((text, number(count)))
        return shown

    def _links(self, request: HttpRequest, row: ProcessRow) -> list[tuple[str, str]]:
        links = []
        if self.can_link(request, Socket):
            url = self.url("changelist", model=Socket) + ConsoleQuery({"process": row.name}).url()
            links.append(("Its sockets", url))
        if row.routes and self.can_link(request, OutboundRoute):
            links.append(("Outbound routes", self.url("changelist", model=OutboundRoute)))
        return links

    # Actions

    def perform(self, request: HttpRequest, action: ConsoleAction, keys: list[str], form: Any) -> Report:
        """Drain processes, one after the other."""
        done, errors = 0, []
        for name in map(name_of, keys):
            result = ask(drain_process, name, seconds=SECONDS)
            done += bool(result.done)
            if not result.done:
                said = next(iter(result.errors.values()), "it has not answered: look whether it is still there")
                errors.append(f"{name}: {said}")
        level = messages.SUCCESS if done == len(keys) else messages.WARNING if done else messages.ERROR
        what = counted(len(keys), "process", "processes")
        return Report(f"{done} of {what} began to drain.", "Drained", level, done > 0, errors)


_KINDS = {"server": "runws_server", "clients": "runws_clients", "asgi": "another ASGI server"}


def _milliseconds(seconds: float | None) -> str:
    return NOTHING if seconds is None else f"{number(round(seconds * 1000, 1))} ms"


def _loop_delay(row: ProcessRow) -> SafeString | str:
    text = _milliseconds(row.loop_delay)
    if row.loop_delay is not None and row.loop_delay >= _SLOW_LOOP:
        return format_html('<span class="fw-warn">{}</span>', text)
    return text


def _descriptors(row: ProcessRow) -> SafeString | str:
    if row.descriptors_open is None:
        return NOTHING
    if row.descriptors_limit is None:
        return number(row.descriptors_open)
    text = f"{number(row.descriptors_open)} of {number(row.descriptors_limit)}"
    if row.descriptors_open > _FULL * row.descriptors_limit:
        return format_html('<span class="fw-warn">{}</span>', text)
    return text
