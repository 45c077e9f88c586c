"""Open sockets: the registry of the connections that came in and are served, of each event loop.

It costs a socket some 200 bytes: its own counters, and its place here.
"""

from __future__ import annotations

import time
from typing import Any

from .. import metrics
from ..loops import PerLoop
from ..rooms import ids
from .inbound import InboundWebSocket

__all__ = ["OpenSockets", "current_sockets"]

_TICK = 1e-6  # seconds between two that came at once


class OpenSockets:
    """Sockets of one event loop, from their admission to the end of their handler, in that order."""

    def __init__(self) -> None:
        #: And when each was opened: by the monotonic clock, and no two at the same time.
        self._opened: dict[InboundWebSocket[Any], float] = {}
        self._last = 0.0
        # A clock that is set meanwhile changes nothing: the order stays, and so does what a socket is found by.
        self._since = time.time() - time.monotonic()

    def add(self, ws: InboundWebSocket[Any], route: str) -> None:
        """Add a socket, which counts for itself from now on.

        Args:
            route: the path of its route.
        """
        ws.route = route
        ws.traffic = metrics.Traffic()
        metrics.add_traffic(ws.traffic)
        self._last = self._opened[ws] = max(time.monotonic(), self._last + _TICK)

    def discard(self, ws: InboundWebSocket[Any]) -> None:
        """Remove a socket, if it is there; what it has counted is kept."""
        if self._opened.pop(ws, None) is not None:
            metrics.end_traffic(ws.traffic)
            ws.traffic = metrics.traffic()

    def __len__(self) -> int:
        return len(self._opened)

    def __contains__(self, ws: object) -> bool:
        return ws in self._opened

    def all(self) -> list[InboundWebSocket[Any]]:
        """The sockets that are open now, in the order in which they were opened."""
        return list(self._opened)

    def opened(self, ws: InboundWebSocket[Any]) -> float | None:
        """When a socket was opened, in seconds since 1970, unlike any other; None if it is not open any more."""
        at = self._opened.get(ws)
        return None if at is None else self._since + at

    def find(self, socket_id: str) -> InboundWebSocket[Any] | None:
        """The open socket that has an id; None if there is none here."""
        ws = ids.find(socket_id)
        return ws if ws in self._opened else None


_sockets = PerLoop(OpenSockets)


def current_sockets() -> OpenSockets:
    """The open sockets of the running event loop."""
    return _sockets.get()
