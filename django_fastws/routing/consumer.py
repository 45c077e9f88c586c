"""ASGI application of a Channels consumer: limits and access rules before it, closing from outside."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Iterable

from asgiref.sync import markcoroutinefunction

from .. import metrics, tracing
from .._core.messages import size_of
from ..limits import Admission, ConnectionDenied, LimitedConnection, record_own_denial
from ..log_fields import connection_fields
from ..slow_callbacks import describe_frames
from ..traced_sockets import SocketTrace, observed
from ..transports import ASGITransport, find_transport
from ..types import ASGIApp, Message, Receive, Scope, Send
from ..websocket import InboundWebSocket, current_sockets
from .activation import activated

__all__ = ["ConsumerEndpoint"]


class ConsumerEndpoint:
    """ASGI application of a Channels consumer.

    Args:
        application: what the consumer's ``as_asgi()`` has returned.
        admission: to the route.
        tags: of the route.

    Attributes:
        route: the path of the route, as metrics have it.
    """

    route = ""

    def __init__(self, application: ASGIApp, admission: Admission, tags: Iterable[str] = ()) -> None:
        self._application = application
        self._admission = admission
        self._tags = tuple(tags)
        functools.update_wrapper(self, application)  # for those who look at URL patterns

    @markcoroutinefunction
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "websocket":
            return self._application(scope, receive, send)
        transport = find_transport(scope, receive, send)
        serving = observed(self.route, transport, self._serve) if tracing.observers else self._serve(transport)
        return activated(transport.scope, serving)

    async def _serve(self, transport: ASGITransport, trace: SocketTrace | None = None) -> None:
        event = await transport.receive()
        if event["type"] != "websocket.connect":
            return  # gone before it was served
        transport.state.route = self.route
        metrics.handshakes.add(1, self.route)
        path_params = dict(transport.scope.get("url_route", {}).get("kwargs", {}))
        ws = InboundWebSocket(transport, path_params=path_params, tags=self._tags)
        try:
            connection = await self._admission.admit(ws, transport, functools.partial(_close, transport))
        except ConnectionDenied:
            return
        if trace is not None:
            trace.connection = ws.id
        metrics.connections.add(1, self.route, transport.name)
        current_sockets().add(ws, self.route)
        relay = _Relay(transport, connection, event, ws.traffic, trace)
        del event
        try:
            await self._application(transport.scope, relay.receive, relay.send)
        finally:
            metrics.connections.add(-1, self.route, transport.name)
            current_sockets().discard(ws)
            record_own_denial(transport, connection, f"the consumer at {self.route!r}")
            self._admission.leave(connection)


describe_frames(ConsumerEndpoint._serve, lambda found: connection_fields(found["transport"].scope))


async def _close(transport: ASGITransport, code: int, reason: str) -> None:
    await (transport.close(code, reason) if transport.state.is_answered else transport.deny())


class _Relay:
    """The ``receive`` and ``send`` of a consumer.

    Once the connection was closed from outside, the consumer is told that and nothing else, and what it still sends
    goes nowhere. So does what it sends to a client that is gone, on servers that raise an error then: consumers
    expect none, and their ``disconnect()`` is called for the end, which is the next event.
    """

    def __init__(
        self,
        transport: ASGITransport,
        connection: LimitedConnection | None,
        first: Message,
        traffic: metrics.Traffic,
        trace: SocketTrace | None = None,
    ) -> None:
        self._trace = trace
        self._transport = transport
        self._connection = connection
        self._first: Message | None = first
        self._traffic = traffic

    async def receive(self) -> Message:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        event = self._disconnect_event() or await self._transport.receive()
        event = self._disconnect_event() or event
        if event["type"] == "websocket.receive":
            self._traffic.messages_received += 1
            self._traffic.bytes_received += _size(event)
        return event

    async def send(self, message: Message) -> None:
        if self._disconnect_event() is None:
            try:
                await self._transport.send(message)
            except OSError as error:
                if error is not self._transport.state.send_error:
                    raise
                return
            if self._trace is not None and message["type"] == "websocket.accept":
                self._trace.opened(is_followed=False)
            if message["type"] == "websocket.send":
                self._traffic.messages_sent += 1
                self._traffic.bytes_sent += _size(message)

    def _disconnect_event(self) -> Message | None:
        return None if self._connection is None else self._connection.disconnect_event()


def _size(message: Message) -> int:
    return size_of(message.get("bytes") or message.get("text") or b"")
