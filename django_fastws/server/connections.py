"""Connections of a server: WebSockets, HTTP requests and the channels that these come in on."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any
from weakref import WeakSet

from daphne.http_protocol import WebRequest

from ..masking import mask_path
from ..transports import tcp_below, unsent_bytes
from .protocol import WebSocketProtocol
from .requests import Request

__all__ = ["ServerConnections"]

logger = logging.getLogger("django_fastws.server")


class ServerConnections:
    """All connections of one server, and the applications that run on them.

    Args:
        server: daphne's, whose ``connections`` has the state of each: when it has ended, and its application's task.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._channels: WeakSet[Any] = WeakSet()
        #: Those whose application was cancelled because it went on for too long.
        self._cancelled: set[Any] = set()

    @property
    def _states(self) -> dict[Any, dict[str, Any]]:
        states: dict[Any, dict[str, Any]] = self._server.connections  # which daphne makes anew when it runs
        return states

    def add_channel(self, channel: Any) -> None:
        """Remember an HTTP connection, as long as it exists."""
        self._channels.add(channel)

    def sockets(self) -> list[WebSocketProtocol]:
        """The WebSocket connections that are open, or whose application has not ended."""
        return [
            protocol
            for protocol, state in self._states.items()
            if isinstance(protocol, WebSocketProtocol)
            and ("disconnected" not in state or "application_instance" in state)
        ]

    def requests(self) -> list[object]:
        """The HTTP requests that are not answered, and connections that have not taken their answer."""
        requests: list[object] = [
            protocol
            for protocol, state in self._states.items()
            if isinstance(protocol, WebRequest) and "disconnected" not in state
        ]
        return requests + [channel for channel in self._channels if _is_flushing(channel)]

    def streams(self) -> list[Request]:
        """The HTTP requests whose answers are streamed, and whose applications wait for a disconnect."""
        return [protocol for protocol in self._states if isinstance(protocol, Request) and protocol.can_be_told]

    def applications(self) -> list[asyncio.Future[None]]:
        """The tasks of all applications that run."""
        running = (state.get("application_instance") for state in self._states.values())
        return [task for task in running if task is not None and not task.done()]

    def has_channels(self) -> bool:
        """Whether any HTTP connection is open, be it idle."""
        return any(_is_connected(channel) for channel in list(self._channels))

    def close_idle_channels(self) -> None:
        """Close HTTP connections that wait for a request; the others are closed behind their answer."""
        for channel in list(self._channels):
            http = _http_of(channel)
            if http.transport is not None and not getattr(http, "requests", True):
                http.loseConnection()

    def tell_disconnect(self) -> None:
        """Tell the applications of all HTTP requests that their clients have gone."""
        for protocol in list(self._states):
            if isinstance(protocol, Request):
                protocol.tell_disconnect()

    def cancel_late(self, timeout: float) -> None:
        """Cancel applications that go on so many seconds after their clients have gone; forget those that ended."""
        now = time.time()
        for protocol, state in list(self._states.items()):
            task, gone = state.get("application_instance"), state.get("disconnected")
            if gone is None:
                continue
            if task is None:
                del self._states[protocol]
                self._cancelled.discard(protocol)
            elif now - gone > timeout and protocol not in self._cancelled:
                self._cancelled.add(protocol)
                logger.warning(
                    "Cancelling the application on %.200r: it goes on %g seconds after its client has gone",
                    mask_path(getattr(protocol, "path", "")),
                    timeout,
                )
                task.cancel()

    def check_timeouts(self) -> None:
        """Apply the timeouts of every connection."""
        for protocol in list(self._states):
            try:
                protocol.check_timeouts()
            except Exception:
                logger.exception("Could not check the time limits of %r", protocol)


def _http_of(channel: Any) -> Any:
    """The HTTP/1.1 or HTTP/2 channel behind Twisted's, which stands for either."""
    return getattr(channel, "_channel", channel)


def _is_connected(channel: Any) -> bool:
    tcp = tcp_below(_http_of(channel).transport)
    return tcp is not None and bool(tcp.connected)


def _is_flushing(channel: Any) -> bool:
    """Whether an HTTP connection holds bytes of an answer that its client has not taken."""
    return _is_connected(channel) and unsent_bytes(tcp_below(_http_of(channel).transport)) > 0
