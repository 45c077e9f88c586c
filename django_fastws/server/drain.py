"""Drain: the graceful shutdown of a server, with a limit in time."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from .._core.reconnect_window import reconnect_window, restart_status
from ..conf import conf
from ..rooms import rest_presence
from ..types import Receive, Scope, Send
from .connections import ServerConnections
from .endpoints import Endpoints
from .protocol import WebSocketProtocol
from .requests import Request

__all__ = ["Drain", "deny_while_draining"]

logger = logging.getLogger("django_fastws.server")

_TICK = 0.05  # seconds between two looks
_SPREAD = 0.5  # the part of the time over which sockets are closed
_CLOSE_TIMEOUT_PART = 0.25  # of the time, for a client to answer its close frame
_LEAST_CLOSE_TIMEOUT_SECONDS = 1.0
_SOCKETS_PER_SECOND = 20.0  # so few that there is no need to spread them any further
_LAST_SECONDS = 1.0  # after the port is closed, for a request that was already on its way on an open connection
_IDLE_SECONDS, _IDLE_BYTES_PER_SECOND = 1.0, 16 * 1024  # fewer, over so long: a stream, and no download
_TOLD_SECONDS = 0.2  # for requests that are told that their clients have gone, before they are cancelled
_CANCELLED_SECONDS = 1.0  # for what was cancelled at the limit


class Drain:
    """Graceful shutdown: all connections are told, end by themselves, and are cancelled at the limit if they do not.

    Sockets are closed with 1012 at random moments, so that their clients do not come back all at once; the fewer
    they are, the sooner. The reason announces over how long the clients shall spread their reconnects besides, by
    the number of sockets. Connections are taken as long as one of those is left that were there at the beginning:
    handshakes are denied, and requests are served, each as the last of its connection. Idle connections are open for
    a moment longer than the port, since a proxy may have sent a request on one, which it must not send twice.

    Args:
        connections: of the server.
        endpoints: of the server.
        seconds: how long it may take.
        spread: whether sockets are closed at random moments, or all at once.
    """

    def __init__(
        self, connections: ServerConnections, endpoints: Endpoints, seconds: float, *, spread: bool = True
    ) -> None:
        self._connections = connections
        self._endpoints = endpoints
        self._seconds = seconds
        self._spread = spread
        self._sent: dict[Request, tuple[float, int]] = {}
        self._due: list[tuple[float, WebSocketProtocol]] = []
        self._status = restart_status(None)

    async def run(self) -> None:
        """Drain; returns when nothing is left, or was cancelled."""
        started = time.monotonic()
        await rest_presence(self._seconds)  # before anybody is cut off
        connections, sockets = self._connections, self._connections.sockets()
        early_requests = connections.requests()
        logger.info(
            "Draining: closing %d WebSockets, waiting for %d HTTP requests, for at most %g seconds",
            len(sockets),
            len(early_requests),
            self._seconds,
        )
        self._plan(sockets, started)
        closed_at: float | None = None
        while (left := started + self._seconds - time.monotonic()) > 0:
            self._close_due(time.monotonic())
            self._tell_streams(is_late=left < self._seconds / 2)
            requests = connections.requests()
            if not connections.sockets() and not (set(early_requests) & set(requests)):
                self._endpoints.close()
                now = time.monotonic()
                closed_at = closed_at or now
                is_waited_for = self._spread and now - closed_at < _LAST_SECONDS and connections.has_channels()
                if not requests and not is_waited_for and not connections.applications():
                    break
            await asyncio.sleep(min(_TICK, left))
        self._endpoints.close()
        connections.close_idle_channels()
        self._close_due(float("inf"))
        cancelled = await self._cancel()
        logger.log(
            logging.WARNING if cancelled else logging.INFO,
            "Drained in %.1f seconds: %d WebSockets were closed, %d applications cancelled at the limit",
            time.monotonic() - started,
            len(sockets),
            cancelled,
        )

    def _plan(self, sockets: list[WebSocketProtocol], now: float) -> None:
        """Give each socket the moment at which it is closed."""
        self._status = restart_status(reconnect_window(len(sockets), conf.reconnect_rate))
        width = min(_SPREAD * self._seconds, len(sockets) / _SOCKETS_PER_SECOND) if self._spread else 0.0
        # None in this very turn: a broadcast that Redis has delivered may not have been read yet.
        now += _TICK
        self._due = sorted(((now + random.uniform(0, width), socket) for socket in sockets), key=lambda pair: pair[0])
        self._due.reverse()

    def _close_due(self, now: float) -> None:
        while self._due and self._due[-1][0] <= now:
            _, socket = self._due.pop()
            least = min(self._seconds, _LEAST_CLOSE_TIMEOUT_SECONDS)
            socket.restart(self._status, max(_TICK, least, _CLOSE_TIMEOUT_PART * self._seconds))

    def _tell_streams(self, *, is_late: bool) -> None:
        """Tell streams that have no end of their own to end: those that say so at once, the others later.

        What a client still takes, and what has an end, is a download, and left to itself.
        """
        for request in self._connections.streams():
            if request.is_event_stream or (is_late and not request.has_end and self._is_idle(request)):
                request.tell_disconnect()
            elif not request.has_end:
                self._sent.setdefault(request, (time.monotonic(), request.sentLength))

    def _is_idle(self, request: Request) -> bool:
        """Whether so little was sent since the drain began that it is no download."""
        since, before = self._sent.setdefault(request, (time.monotonic(), request.sentLength))
        seconds = time.monotonic() - since
        return seconds >= _IDLE_SECONDS and request.sentLength - before < _IDLE_BYTES_PER_SECOND * seconds

    async def _cancel(self) -> int:
        """Cancel what has not ended by itself; returns how much that is."""
        late = self._connections.applications()
        if late:
            # Django ends a request that was told without an error, and leaves nothing behind.
            self._connections.tell_disconnect()
            await asyncio.wait(late, timeout=_TOLD_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_CANCELLED_SECONDS)
        return len(late)


async def deny_while_draining(scope: Scope, receive: Receive, send: Send) -> None:
    """Deny a handshake that comes while the server drains: an ASGI application in place of the project's."""
    await receive()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"1")]
    await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"Service Unavailable: the server is restarting"})
