"""Command ``manage.py ws_routes``: every route and live room as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandParser

from django_fastws.routing import OutboundRoute, Route, registry

if TYPE_CHECKING:
    from django_fastws.live import LiveRoom

COLUMNS = ("direction", "path", "name", "handler", "module", "tags")


class Command(BaseCommand):
    """Command that lists the routes and the live rooms."""

    help = (
        "Lists every WebSocket route and live room: direction, path, URL or pattern, name, handler, module and tags; "
        "of a room its hooks, too, the events that it takes and those that it sends."
    )
    # A list is wanted most when something is wrong with the routes.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print JSON, one object for each route.")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = [*map(_inbound, registry.routes), *map(_outbound, registry.outbound)]
        rows += [row for room in registry.rooms for row in _of_room(room)]
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False))
        elif rows:
            self._table([{**row, "tags": ", ".join(row["tags"])} for row in rows])
        else:
            self.stdout.write("No WebSocket routes. Declare one in the consumers.py of an installed app.")
        for problem in registry.problems:
            self.stderr.write(self.style.ERROR(f"{problem.module} was not loaded: {problem.error}"))

    def _table(self, rows: list[dict[str, str]]) -> None:
        titles = {"path": "path or URL"}
        cells = [[titles.get(column, column).upper() for column in COLUMNS]]
        cells += [[row[column] for column in COLUMNS] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for line in cells:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.stdout.write("  ".join(padded).rstrip())


def _outbound(route: OutboundRoute) -> dict[str, Any]:
    return {
        "direction": route.direction,
        "path": route.shown_url if route.method is None else f"{route.method} {route.shown_url}",
        "name": route.name,
        "handler": route.handler.__qualname__,
        "module": route.handler.__module__,
        "tags": list(route.tags),
    }


def _of_room(room: LiveRoom) -> Iterator[dict[str, Any]]:
    """Rows of a live room: itself, its hooks, the events of its members and those that it sends."""

    def row(direction: str, name: str, handler: Any, module: str = "") -> dict[str, Any]:
        return {
            "direction": direction,
            "path": room.pattern,
            "name": name,
            "handler": getattr(handler, "__qualname__", str(handler)),
            "module": module or getattr(handler, "__module__", ""),
            "tags": list(room.tags),
        }

    yield row("room", room.name, "", room.place.partition(" ")[0])
    hooks = {"join": room.join_hook, "leave": room.leave_hook, "state": room.state_hook, "card": room.card_hook}
    for direction, hook in hooks.items():
        if hook is not None:
            yield row(direction, "", hook.function)
    for event in room.events.values():
        yield row(
            "relay" if event.is_relay else "event",
            event.event,
            event.payload_type if event.is_relay else event.function,
        )
    for sent in room.sends:
        yield row("sends", sent.__fastws_event__, sent)


def _inbound(route: Route) -> dict[str, Any]:
    handler = getattr(route.handler, "consumer_class", route.handler)
    return {
        "direction": route.direction,
        "path": route.path,
        "name": route.name,
        "handler": handler.__qualname__,
        "module": handler.__module__,
        "tags": list(route.tags),
    }
