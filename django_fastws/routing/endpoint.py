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

from .. import metrics
from .._core.close_codes import GOING_AWAY, INTERNAL_ERROR
from .._core.connection_state import ClientState
from .._core.exception_groups import significant
from .._core.parameters import ParameterError
from .._core.query import QueryError
from ..exceptions import WebSocketDisconnect, WebSocketException, mistake_in
from ..limits import Access, Admission, ConnectionDenied, Denial, LimitedConnection, Limits, record_denial
from ..masking import mask_path
from ..tasks import is_being_cancelled
from ..threads import threads
from ..transports import ASGITransport, find_transport
from ..types import Receive, Scope, Send
from ..websocket import InboundWebSocket, WebSocket
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
    """

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
        # No frame holds the scope while the connection is open.
        return activated(transport.scope, self._serve(transport))

    async def _serve(self, transport: ASGITransport) -> None:
        begun = await self._begin(transport)
        if begun is None:
            return
        ws, limited, arguments = begun
        del begun
        thread = threads.assigned(transport.scope)
        try:
            try:
                running = self.handler(ws, **arguments)
                del arguments
                await running
            except Exception as error:
                await self._failed(ws, transport, error)
            else:
                if ws.client_state is ClientState.CONNECTING and not transport.state.is_over:
                    await self._unanswered(transport)
                else:
                    await ws.close()
        except asyncio.CancelledError as error:
            if not is_being_cancelled():
                # Nobody cancelled the handler: it let the end of a task of its own pass.
                await self._failed(ws, transport, error)
                return
            # The server is stopping, or gave up on a connection that is gone.
            if ws.client_state is ClientState.CONNECTED:
                with contextlib.suppress(Exception):
                    await ws.close(*GOING_AWAY)
            raise
        finally:
            ws.release()
            self.admission.leave(limited)
            thread.release()

    async def _begin(
        self, transport: ASGITransport
    ) -> tuple[WebSocket, LimitedConnection | None, dict[str, Any]] | None:
        """The socket, its limits and the arguments of its handler; None if there is nothing to serve."""
        event = await transport.receive()
        if event["type"] != "websocket.connect":
            return None  # gone before it was served
        path_params = dict(transport.scope.get("url_route", {}).get("kwargs", {}))
        try:
            arguments = self.signature.bind(
                path_params, bytes(transport.scope.get("query_string") or b""), settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
            )
        except (ParameterError, QueryError) as error:
            await _deny(transport, Denial("malformed", 400, str(error)))
            return None
        path_params.update((name, arguments[name]) for name in path_params.keys() & arguments.keys())
        ws = InboundWebSocket(transport, path_params=path_params, tags=self.tags)
        try:
            return ws, await self.admission.admit(ws, transport, ws.close), arguments
        except ConnectionDenied:
            return None

    async def _unanswered(self, transport: ASGITransport) -> None:
        """Deny the handshake because the handler returned without ``accept()``, which may be a mistake."""
        why = f"{label_of(self.handler)}() returned without accept() or close()"
        await _deny(transport, Denial("not_accepted", 403, "Forbidden: it was not accepted", why))

    async def _failed(self, ws: WebSocket, transport: ASGITransport, error: BaseException) -> None:
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
            logger.info("%s() on %r: %s", label_of(self.handler), mask_path(ws.scope.get("path")), error)
            await ws.close(*mistake)
        else:
            logger.error(
                "%s() failed on %r",
                label_of(self.handler),
                mask_path(ws.scope.get("path")),
                exc_info=error,
                stack_info=False,
            )
            if ws.client_state is ClientState.CONNECTING:
                metrics.denials.add(1, "error")
                await transport.deny(500, "Internal Server Error")
            else:
                await ws.close(*INTERNAL_ERROR)

    def __repr__(self) -> str:
        return f"<Endpoint {label_of(self.handler)}>"


async def _deny(transport: ASGITransport, denial: Denial) -> None:
    record_denial(denial, transport.scope)
    await transport.deny(denial.status, denial.text, denial.headers)


def _is_asked_for(error: BaseException) -> bool:
    """Whether an exception says itself how the socket is closed."""
    return isinstance(error, WebSocketException) or mistake_in(error) is not None
