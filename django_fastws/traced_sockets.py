"""Traced sockets: what a handler does, as units of work from one call for a message to the next.

There are none where nobody observes: a socket is an ``InboundWebSocket`` or an ``OutboundWebSocket`` then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from . import tracing
from .exceptions import WebSocketDisconnect
from .tracing import CONNECTION, DISCONNECT, HANDLER, HANDSHAKE, MESSAGE, Observed, Work, WorkKind
from .transports import ASGITransport, InboundTransport, OutboundTransport
from .types import Headers, Scope, UserT
from .websocket import InboundWebSocket, OutboundWebSocket, WebSocket, WebSocketMessage

__all__ = [
    "DENIED",
    "HANDSHAKE_TIME",
    "HandlerWebSocket",
    "SocketTrace",
    "TracedOutboundWebSocket",
    "TracedWebSocket",
    "observed",
]

#: Key of the scope under which the time of the handshake is, in the loop's time.
HANDSHAKE_TIME = "django_fastws.began"
#: Key of the scope under which there is why a handshake was denied: the reason and the HTTP status.
DENIED = "django_fastws.denied"


class SocketTrace:
    """What is observed of one socket, one unit of work after the other.

    Args:
        route: its path; of an outbound route, the name.
        first: the handshake, or what else has opened it.
        scope: of a socket that came in.

    Attributes:
        connection: the id of the socket; "" as long as it has none.
        opened_by: the traceparent of what has opened it.
    """

    __slots__ = ("_current", "_is_opening", "_route", "_scope", "_transport", "connection", "opened_by")

    def __init__(
        self, route: str, first: Observed, scope: Scope | None = None, transport: ASGITransport | None = None
    ) -> None:
        self._route = route
        self._scope = scope
        self._transport = transport
        self._current: Observed | None = first
        self._is_opening = True
        self.connection = ""
        self.opened_by = first.traceparent

    def _begin(self, kind: WorkKind, attributes: dict[str, Any] | None = None, *, parent: str = "") -> None:
        links = (self.opened_by,) if self.opened_by and not parent else ()
        self._current = tracing.begin(
            Work(
                kind,
                self._route,
                scope=self._scope,
                connection=self.connection,
                attributes=attributes or {},
                parent=parent,
                links=links,
            )
        )

    def opened(self, *, is_followed: bool = True) -> None:
        """The socket is open.

        Args:
            is_followed: what is done from now on are units of work of the handler; else there is one, as long as the
                socket is open, for those who make no span of that.
        """
        if self._is_opening:
            self._is_opening = False
            if self._transport is not None:
                self.next(http__response__status_code=101)
            self.next()
            self._begin(HANDLER if is_followed else CONNECTION, parent=self.opened_by if is_followed else "")

    def next(self, error: BaseException | None = None, code: str = "", **attributes: Any) -> None:
        """What was under way has ended."""
        if self._current is not None:
            current, self._current = self._current, None
            current.end(error, code, **attributes)

    def received(self, data: str | bytes) -> None:
        """A message is handed to the handler."""
        self._begin(MESSAGE, {"messaging.message.body.size": len(data)})

    def disconnected(self, code: int | None) -> None:
        """The handler is told that the connection has ended."""
        self._begin(DISCONNECT, {"fastws.close.code": 1006 if code is None else code})

    def failed(self, error: BaseException) -> None:
        """The handler has failed, which is logged next, as a part of what was under way."""
        if self._current is None:  # between two messages, such as after a call for one that was given up
            self._begin(HANDLER)
        if self._current is not None:
            attributes: dict[str, Any] = {"http__response__status_code": 500} if self._is_opening else {}
            self._current.end(error, is_left=False, **attributes)

    def end(self, *, is_left: bool = True) -> None:
        """The handler has ended; if the handshake was not accepted, it was denied.

        Args:
            is_left: False if the context is that of somebody else.
        """
        told: dict[str, Any] = {}
        code = ""
        if self._is_opening and self._transport is not None and self._transport.state.is_answered:
            reason, status = self._transport.scope.get(DENIED, ("", 403))
            code = str(status) if status >= 500 else ""
            told = {"http__response__status_code": status, "fastws__denial": reason}
        current, self._current = self._current, None
        if current is not None:
            found = {name: value for name, value in told.items() if value}
            current.end(code=code, is_left=is_left, **found)


async def observed(route: str, transport: ASGITransport, serve: Callable[..., Coroutine[Any, Any, None]]) -> None:
    """Serve a socket that came in, and that is observed.

    Args:
        route: its path.
        serve: is called with the transport and the trace.
    """
    trace = _begin_handshake(route, transport)
    try:
        await serve(transport, trace)
    except GeneratorExit:
        trace.end(is_left=False)
        raise
    except Exception as error:
        trace.failed(error)
        trace.end(is_left=False)  # the server, or what is around this, logs it
        raise
    except BaseException:
        trace.end()
        raise
    else:
        trace.end()


def _begin_handshake(route: str, transport: ASGITransport) -> SocketTrace:
    scope = transport.scope
    began, begun_ns = scope.get(HANDSHAKE_TIME), time.time_ns()
    if began is not None:
        begun_ns -= max(0, int((asyncio.get_running_loop().time() - began) * 1e9))
    attributes: dict[str, Any] = {"url.scheme": str(scope.get("scheme") or "ws"), "fastws.transport": transport.name}
    work = Work(HANDSHAKE, route, scope=scope, attributes=attributes, begun_ns=begun_ns)
    return SocketTrace(route, tracing.begin(work), scope, transport)


class TracedWebSocket(InboundWebSocket[UserT]):
    """Traced WebSocket that came in, of which the handshake alone is observed: others observe what is received.

    Args:
        trace: of the socket.
        options: of an InboundWebSocket.
    """

    __slots__ = ("trace",)

    trace: SocketTrace

    def __init__(self, transport: InboundTransport, trace: SocketTrace, **options: Any) -> None:
        super().__init__(transport, **options)
        self.trace = trace
        trace.connection = self.id

    async def accept(self, subprotocol: str | None = None, headers: Headers | Iterable[tuple[Any, Any]] = ()) -> None:
        await super().accept(subprotocol, headers)
        self.trace.opened(is_followed=False)


class TracedReading(WebSocket[UserT]):
    """Half of a socket that a handler reads: what it does from one message to the next is one unit of work."""

    __slots__ = ()

    trace: SocketTrace

    async def __anext__(self) -> WebSocketMessage:
        self.trace.next()
        try:
            message = await super().__anext__()
        except StopAsyncIteration:
            self.trace.disconnected(self.close_code)
            raise
        self.trace.received(message.data)
        return message

    async def receive_data(self, call: str) -> str | bytes:
        self.trace.next()
        try:
            data = await super().receive_data(call)
        except WebSocketDisconnect:
            self.trace.disconnected(self.close_code)
            raise
        self.trace.received(data)
        return data


class HandlerWebSocket(TracedReading[UserT], TracedWebSocket[UserT]):
    """Traced WebSocket that a handler reads: what it does from one message to the next is one unit of work."""

    __slots__ = ()

    async def accept(self, subprotocol: str | None = None, headers: Headers | Iterable[tuple[Any, Any]] = ()) -> None:
        await InboundWebSocket.accept(self, subprotocol, headers)
        self.trace.opened()


class TracedOutboundWebSocket(TracedReading[UserT], OutboundWebSocket[UserT]):
    """Traced WebSocket that went out: what its handler does from one message to the next is one unit of work.

    Args:
        trace: of the socket.
        options: of an OutboundWebSocket.
    """

    __slots__ = ("trace",)

    def __init__(self, transport: OutboundTransport, trace: SocketTrace, **options: Any) -> None:
        super().__init__(transport, **options)
        self.trace = trace
        trace.connection = self.id
