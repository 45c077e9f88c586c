"""What a process answers about its outbound routes, and how it restarts one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

from ..processes import InvalidQuestion, Responder, topics
from .received_rows import plain_row
from .rows import RouteRow
from .slicing import sliced

__all__ = ["RESTART_TOPIC", "ROUTES_TOPIC", "OutboundRoutes", "outbound_routes"]

ROUTES_TOPIC = "console.routes"
RESTART_TOPIC = "console.restart"

_MOST_ROUTES = 1000  # in one answer
_LONGEST = 300  # characters of a URL, or of an error


class OutboundRoutes(Protocol):
    """Whoever runs outbound routes in this process."""

    def rows(self) -> list[RouteRow]:
        """The routes; their process is not filled in."""

    def restart(self, route: str) -> bool:
        """Begin to restart a route, by its key; False if it does not run here."""


#: Functions that name those who run routes in this process.
outbound_routes: list[Callable[[], Iterable[OutboundRoutes]]] = []


def _running() -> list[OutboundRoutes]:
    return [one for find in outbound_routes for one in find()]


async def list_routes(responder: Responder, arguments: Any) -> dict[str, Any]:
    """The outbound routes that run here, by key."""
    rows = sorted((row for one in _running() for row in one.rows()), key=lambda row: row.route)
    shown = []
    async for row in sliced(rows[:_MOST_ROUTES]):
        url, error = row.url[:_LONGEST], row.last_error[:_LONGEST]
        shown.append(plain_row(replace(row, process=responder.name, url=url, last_error=error)))
    return {"rows": shown, "total": len(rows)}


def restart_here(responder: Responder, arguments: Any) -> dict[str, Any]:
    """Restart a route, if this is the process that is meant."""
    if not isinstance(arguments, dict) or not isinstance(arguments.get("route"), str):
        raise InvalidQuestion("restart: a route is named by its key")
    if arguments.get("process") != responder.name:
        return {"done": 0}
    if not any(one.restart(arguments["route"]) for one in _running()):
        raise InvalidQuestion(f"no outbound route {arguments['route'][:200]!r} runs here")
    return {"done": 1}


topics[ROUTES_TOPIC] = list_routes
topics[RESTART_TOPIC] = restart_here
