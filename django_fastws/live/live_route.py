"""Endpoint of live sockets: the route at ``FASTWS_LIVE_PATH``, through which clients reach every live room."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .._core.live_frames import SUBPROTOCOL
from .._core.paths import parse
from ..conf import conf
from ..limits import Access, Admission, Limits
from ..routing import Endpoint, Route, Signature, registry
from ..websocket import InboundWebSocket
from .introduction import Introduction
from .room_registry import live_rooms
from .session import LiveSession

__all__ = ["LIVE_ROUTE", "live_routes"]

#: What ``reverse_ws`` finds the route by.
LIVE_ROUTE = "fastws-live"

_admission = Admission(Limits(), Access())


async def serve_live(ws: InboundWebSocket) -> None:
    """Serve one live socket."""
    offered = ws.scope.get("subprotocols") or ()
    await ws.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
    await LiveSession(ws, Introduction(_admission)).run()


def live_routes() -> list[Route]:
    """The route of live sockets, if a live room is declared and there is a path for it."""
    path = conf.live_path
    return [] if path is None or not live_rooms() else [_route(path)]


@lru_cache(maxsize=8)
def _route(path: str) -> Route:
    signature = Signature({}, takes_any=False)
    application: Any = Endpoint(serve_live, signature, (), _admission)
    application.traces_messages = False  # but its calls
    return Route(
        path=path,
        pattern=parse(path),
        handler=serve_live,
        application=application,
        signature=signature,
        name=LIVE_ROUTE,
        is_named=True,
        tags=(),
        place="FASTWS_LIVE_PATH",
        admission=_admission,
    )


registry.sources.append(live_routes)
