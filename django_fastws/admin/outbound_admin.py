"""Admin of outbound routes: those that run, in whatever process; one of them; restarting."""

from __future__ import annotations

import time
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..console import RouteRow, read_routes, restart_route
from ..models import Process
from .change_list import Column, ConsoleQuery, column_headers, row_cells
from .console_actions import ConsoleAction, Report
from .console_admin import SECONDS, ConsoleAdmin, ask
from .console_text import NOTHING, age, clipped, counted, moment, name_text, number, printable, process_text, size
from .object_keys import object_key, route_key, route_of

__all__ = ["OutboundRouteAdmin"]

#: States in which nothing is wrong.
_WELL = frozenset({"connected", "done", "waiting for the lease"})

RESTART = ConsoleAction(
    "restart",
    "restart_outboundroute",
    "Restart the selected routes",
    "Restart outbound routes",
    "Restart",
    "The connection is closed with 1001, and the route connects anew, also if it had ended.",
    "Yes, restart",
    is_dangerous=False,
)


class OutboundRouteAdmin(ConsoleAdmin):
    """Admin of outbound routes."""

    console_actions = (RESTART,)

    def list_page(self, request: HttpRequest) -> HttpResponse:
        """All outbound routes that run."""
        query = ConsoleQuery.read(request.GET, ("search", "state"))
        page, said = self.listed(query, lambda seconds: ask(read_routes, seconds=seconds))
        states = sorted({row.state for row in page.rows})
        rows = [row for row in page.rows if _fits(row, query)]
        columns = self._columns(time.time())
        context = {
            "headers": column_headers(columns, query),
            "rows": row_cells(columns, rows, lambda row: (route_key(row.process, row.route), row.route)),
            **said,
            "search": query.filters.get("search", ""),
            "search_help": "A part of the route, the URL or the process.",
            "filters": [query.choices("state", "state", [(state, state) for state in states])] if states else [],
            "actions": self.actions_for(request),
            "total": counted(len(rows), "outbound route"),
            "shown": len(rows),
            "empty": "No outbound route fits the search." if query.filters else "No outbound route runs.",
        }
        return self.page(request, "list", "Outbound routes", context)

    def _columns(self, now: float) -> list[Column[RouteRow]]:
        return [
            Column("Route", self._name),
            Column("State", _state),
            Column("For", lambda row: age(now - row.since) if row.since is not None else NOTHING, css="num"),
            Column("Failed attempts", lambda row: number(row.attempts) if row.attempts else NOTHING, css="num wide"),
            Column("Received", lambda row: _traffic(row.received_messages, row.received_bytes), css="num wide"),
            Column("Sent", lambda row: _traffic(row.sent_messages, row.sent_bytes), css="num wide"),
            Column("Process", lambda row: process_text(row.process), css="wide"),
            Column("Last error", lambda row: _last_error(row, 80), css="wide"),
        ]

    def _name(self, row: RouteRow) -> SafeString:
        return format_html(
            '<span class="fw-main">{}</span><span class="fw-sub">{}</span>',
            self.link(route_key(row.process, row.route), name_text(row.route, 60)),
            name_text(row.url, 60),
        )

    # One route

    def key_of(self, object_id: str) -> str:
        """The key in a URL, which names a process and a route."""
        key = super().key_of(object_id)
        self._parts(key)
        return key

    def _parts(self, key: str) -> tuple[str, str]:
        try:
            return route_of(key)
        except ValueError as error:
            raise Http404(str(error)) from None

    def object_page(self, request: HttpRequest, key: str) -> HttpResponse:
        """The page of one route in one process."""
        process, route = self._parts(key)
        page, problem = self.asked(lambda: ask(read_routes, seconds=SECONDS))
        row = None
        if page is not None:
            row = next((row for row in page.rows if (row.process, row.route) == (process, route)), None)
        context: dict[str, Any] = {"key": key, "note": problem, "log_url": self.object_url(key, "history")}
        if row is None:
            context["gone"] = page is not None
            context["gone_text"] = (
                f"No process that has answered within {SECONDS:g} s runs this route: the process has ended, or does "
                "not answer."
            )
        else:
            context |= {
                "facts": self._facts(request, row),
                "tools": self.object_actions(request, key, self.object_url(key)),
            }
        return self.page(request, "outbound", "Outbound route", context, subtitle=name_text(route, 200))

    def _facts(self, request: HttpRequest, row: RouteRow) -> list[tuple[str, Any]]:
        process: Any = name_text(row.process)
        if self.can_link(request, Process):
            url = self.object_url(object_key(row.process), model=Process)
            process = format_html('<a href="{}">{}</a>', url, process)
        since = NOTHING if row.since is None else f"{moment(row.since)} ({age(time.time() - row.since)})"
        return [
            ("State", _state(row)),
            ("URL", name_text(row.url, 300)),
            ("Process", process),
            ("Connected since", since),
            ("Failed attempts", number(row.attempts)),
            ("Last error", _last_error(row, 1000)),
            ("Received", f"{counted(row.received_messages, 'message')}, {size(row.received_bytes)}"),
            ("Sent", f"{counted(row.sent_messages, 'message')}, {size(row.sent_bytes)}"),
        ]

    # Actions

    def shown(self, key: str) -> SafeString:
        """The route, and its process."""
        process, route = self._parts(key)
        return format_html("{} in {}", name_text(route), name_text(process))

    def perform(self, request: HttpRequest, action: ConsoleAction, keys: list[str], form: Any) -> Report:
        """Restart routes, one after the other."""
        done, errors = 0, []
        for process, route in map(self._parts, keys):
            result = ask(restart_route, process, route, seconds=SECONDS)
            done += bool(result.done)
            if not result.done:
                said = next(iter(result.errors.values()), "its process has not answered, or does not run it any more")
                errors.append(clipped(f"{printable(route)}: {said}", 500))
        level = messages.SUCCESS if done == len(keys) else messages.WARNING if done else messages.ERROR
        what = counted(len(keys), "outbound route")
        return Report(f"{done} of {what} began to connect anew.", "Restarted", level, done > 0, errors)


def _fits(row: RouteRow, query: ConsoleQuery) -> bool:
    state, search = query.filters.get("state", row.state), query.filters.get("search", "").casefold()
    return row.state == state and any(search in text.casefold() for text in (row.route, row.url, row.process))


def _state(row: RouteRow) -> SafeString:
    css = "fw-well" if row.state in _WELL else "fw-bad" if row.state == "failed" else "fw-warn"
    return format_html('<span class="fw-badge {}">{}</span>', css, row.state)


def _last_error(row: RouteRow, most: int) -> SafeString | str:
    return name_text(row.last_error, most) if row.last_error else NOTHING


def _traffic(count: int, amount: int) -> SafeString:
    return format_html('{}<span class="fw-sub">{}</span>', number(count), size(amount))
