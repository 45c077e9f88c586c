"""ASGI application of one handler: parameters and admission before it, close code or denial after it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404

from .. import metrics, tracing
from .._core.close_codes import GOING_AWAY, INTERNAL_ERROR
from .._core.connection_state import ClientState
from .._core.exception_groups import significant
from .._core.parameters import ParameterError
from .._core.query import QueryError, query_fields
from ..exceptions import WebSocketDisconnect, WebSocketException, mistake_in
from ..limits import (
    Access,
    Admission,
    ConnectionDenied,
    Denial,
    LimitedConnection,
    Limits,
    record_denial,
    record_own_denial,
)
from ..log_fields import connection_fields
from ..masking import mask_path
from ..slow_callbacks import describe_frames
from ..tasks import is_being_cancelled
from ..threads import threads
from ..traced_sockets import HandlerWebSocket, SocketTrace, TracedWebSocket, observed
from ..transports import ASGITransport, find_transport
from ..types import Receive, Scope, Send
from ..websocket import InboundWebSocket, current_sockets
from .activation import activated
from .signatures import Signature, label_of

__all__ = ["Endpoint"]

logger = logging.getLogger("django_fastws.handlers")


class Endpoint:
    """ASGI application of a handler.

    Returning closes with 1000 (before ``accept()``: denies with 403); ``WebSocketException`` closes with its code
    (before ``accept()``: denies with 403); ``WebSocketDisconnect`` ends quietly; what ``receive*()`` raised for the
    client's mistake closes with 1003, 1007 or 1008 and says which; any other exception closes with 1011, its
    traceback in the log (before ``accept()``: denies with 500). ``Http404`` and ``PermissionDenied`` before
    ``accept()`` deny with 404 and 403. Rooms are left in every case.

    Args:
        admission: to the route; without one, everybody is let in.

    Attributes:
        route: the path of the route, as metrics have it.
        traces_messages: whether what the handler does with each message is observed, by whoever traces.
    """

    route = ""
    traces_messages = True

    def __init__(
        self, handler: Any, signature: Signature, tags: Iterable[str] = (), admission: Admission | None = None
    ) -> None:
        self.handler = handler
        self.signature = signature
        self.admission = admission or Admission(Limits(), Access())
        self.tags = tuple(tags)
        functools.update_wrapper(self, handler, updated=())  # for those who look at URL patterns

    @markcoroutinefunction
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        if scope["type"] != "websocket":
            raise ValueError(f"{label_of(self.handler)} serves WebSockets, not {scope['type']!r}")
        transport = find_transport(scope, receive, send)
        serving = observed(self.route, transport, self._serve) if tracing.observers else self._serve(transport)
        # No frame holds the scope while the connection is open.
        return activated(transport.scope, serving)

    async def _serve(self, transport: ASGITransport, trace: SocketTrace | None = None) -> None:
        begun = await self._begin(transport, trace)
        if begun is None:
            return
        ws, limited, arguments = begun
        del begun
        thread = threads.assigned(transport.scope)
        metrics.connections.add(1, self.route, transport.name)
        current_sockets().add(ws, self.route)
        try:
            try:
                running = self.handler(ws, **arguments)
                del arguments
                await running
            except Exception as error:
                record_own_denial(transport, limited, f"{label_of(self.handler)}()")
                await self._failed(ws, transport, error, trace)
            else:
                record_own_denial(transport, limited, f"{label_of(self.handler)}()")
                if ws.client_state is ClientState.CONNECTING and not transport.state.is_over:
                    await self._unanswered(transport)
                elif transport.state.client_state is not ClientState.DISCONNECTED:
                    await ws.close()
        except asyncio.CancelledError as error:
            if not is_being_cancelled():
                # Nobody cancelled the handler: it let the end of a task of its own pass.
                await self._failed(ws, transport, error, trace)
                return
            # The server is stopping, or gave up on a connection that is gone.
            if ws.client_state is ClientState.CONNECTED:
                with contextlib.suppress(Exception):
                    await ws.close(*GOING_AWAY)
            raise
        finally:
            metrics.connections.add(-1, self.route, transport.name)
            current_sockets().discard(ws)
            ws.release()
            self.admission.leave(limited)
            thread.release()

    async def _begin(
        self, transport: ASGITransport, trace: SocketTrace | None
    ) -> tuple[InboundWebSocket[Any], LimitedConnection | None, dict[str, Any]] | None:
        """The socket, its limits and the arguments of its handler; None if there is nothing to serve."""
        event = await transport.receive()
        if event["type"] != "websocket.connect":
            return None  # gone before it was served
        transport.state.route = self.route
        metrics.handshakes.add(1, self.route)
        path_params = dict(transport.scope.get("url_route", {}).get("kwargs", {}))
        try:
            fields = query_fields(transport.scope, settings.DATA_UPLOAD_MAX_NUMBER_FIELDS)
            arguments = self.signature.bind(path_params, fields)
        except (ParameterError, QueryError) as error:
            await _deny(transport, Denial("malformed", 400, str(error)))
            return None
        path_params.update((name, arguments[name]) for name in path_params.keys() & arguments.keys())
        ws: InboundWebSocket[Any]
        if trace is None:
            ws = InboundWebSocket(transport, path_params=path_params, tags=self.tags)
        else:
            kind = HandlerWebSocket if self.traces_messages else TracedWebSocket
            ws = kind(transport, trace, path_params=path_params, tags=self.tags)
        try:
            return ws, await self.admission.admit(ws, transport, ws.close), arguments
        except ConnectionDenied:
            return None

    async def _unanswered(self, transport: ASGITransport) -> None:
        """Deny the handshake because the handler returned without ``accept()``, which may be a mistake."""
        why = f"{label_of(self.handler)}() returned without accept() or close()"
        await _deny(transport, Denial("not_accepted", 403, "Forbidden: it was not accepted", why))

    async def _failed(
        self, ws: InboundWebSocket[Any], transport: ASGITransport, error: BaseException, trace: SocketTrace | None
    ) -> None:
        error = significant(error, WebSocketDisconnect, _is_asked_for)
        if isinstance(error, WebSocketDisconnect):
            await ws.close()
        elif isinstance(error, (Http404, PermissionDenied)) and ws.client_state is ClientState.CONNECTING:
            # As a view may raise them; get_object_or_404() does.
            status = 404 if isinstance(error, Http404) else 403
            why = f"{label_of(self.handler)}(): {error}"
            await _deny(transport, Denial("handler", status, str(error), why))
        elif isinstance(error, WebSocketException):
            if ws.client_state is ClientState.CONNECTING:
                why = f"{label_of(self.handler)}(): {error}"
                await _deny(transport, Denial("handler", 403, error.reason, why))
            else:
                await ws.close(error.code, error.reason)
        elif mistake := mistake_in(error):
            fields = connection_fields(transport.scope, code=mistake[0])
            logger.info("%s() on %r: %s", label_of(self.handler), fields["path"], error, extra=fields)
            await ws.close(*mistake)
        else:
            if trace is not None:
                trace.failed(error)
            is_denied = ws.client_state is ClientState.CONNECTING
            logger.error(
                "%s() failed on %r",
                label_of(self.handler),
                mask_path(ws.scope.get("path")),
                exc_info=error,
                stack_info=False,
                extra=connection_fields(transport.scope, code=500 if is_denied else INTERNAL_ERROR[0]),
            )
            if is_denied:
                metrics.denials.add(1, "error")
                await transport.deny(500, "Internal Server Error")
            else:
                await ws.close(*INTERNAL_ERROR)

    def __repr__(self) -> str:
        return f"<Endpoint {label_of(self.handler)}>"


describe_frames(Endpoint._serve, lambda found: connection_fields(found["transport"].scope))


async def _deny(transport: ASGITransport, denial: Denial) -> None:
    record_denial(denial, transport.scope)
    await transport.deny(denial.status, denial.text, denial.headers)


def _is_asked_for(error: BaseException) -> bool:
    """Whether an exception says itself how the socket is closed."""
    return isinstance(error, WebSocketException) or mistake_in(error) is not None
