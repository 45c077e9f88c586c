"""Handler of an outbound route: run on an open connection, which is closed afterwards."""

from __future__ import annotations

import asyncio
import logging
import time

from .. import metrics
from .._core.close_codes import INTERNAL_ERROR
from .._core.exception_groups import significant
from .._core.outbound_urls import mask_secrets
from ..exceptions import Reconnect, WebSocketDisconnect, WebSocketException, mistake_in
from ..log_fields import outbound_fields
from ..routing import OutboundRoute
from ..slow_callbacks import describe_frames
from ..tasks import is_being_cancelled
from ..traced_sockets import SocketTrace, TracedOutboundWebSocket
from ..websocket import OutboundWebSocket, WebSocket
from .outcomes import AttemptResult, Outcome
from .websockets_transport import WebsocketsTransport

__all__ = ["run_handler"]

logger = logging.getLogger("django_fastws.clients")


async def run_handler(
    route: OutboundRoute,
    transport: WebsocketsTransport,
    sockets: set[WebSocket],
    trace: SocketTrace | None = None,
) -> AttemptResult:
    """Run the handler on an open connection, and see that it is closed afterwards.

    Args:
        sockets: where the socket is kept as long as the handler runs, for the supervisor, which may close it.
        trace: of the connection; None if nobody observes.
    """
    ws: OutboundWebSocket
    if trace is None:
        ws = OutboundWebSocket(transport, tags=route.tags)
    else:
        ws = TracedOutboundWebSocket(transport, trace, tags=route.tags)
        trace.opened()
    ws.subprotocol = transport.connection.subprotocol
    sockets.add(ws)
    opened = time.monotonic()
    try:
        outcome, why, retry_after = await _call(route, ws, transport, trace)
    finally:
        sockets.discard(ws)
        transport.abort()  # it is open only after a cancellation
        ws.release()
        by = "client" if transport.state.closed_here else "server"
        metrics.count_close(metrics.outbound_closes, ws.close_code, by)
    reason = f"{transport.ending()}: {why}" if why else transport.ending()
    return AttemptResult(
        outcome, mask_secrets(reason, transport.url), retry_after, up_seconds=time.monotonic() - opened
    )


async def _call(
    route: OutboundRoute, ws: WebSocket, transport: WebsocketsTransport, trace: SocketTrace | None
) -> tuple[Outcome, str, float | None]:
    """Call the handler, then close; returns the outcome, why where codes do not tell, and the delay it asked for."""
    outcome, why, retry_after = Outcome.RETURNED, "", None
    failure: tuple[int, str] = INTERNAL_ERROR
    try:
        await route.handler(ws)
    except asyncio.CancelledError as cancelled:
        if is_being_cancelled():
            raise
        if trace is not None:
            trace.failed(cancelled)
        # Not the route was cancelled, but something that the handler has waited for.
        _log_failure(route, transport, cancelled)
        outcome, why = Outcome.HANDLER_FAILED, "CancelledError"
    except Exception as raised:
        error = significant(raised, ConnectionError, _is_asked_for)
        if isinstance(error, WebSocketException):
            await ws.close(error.code, error.reason)
            if isinstance(error, Reconnect):
                outcome, retry_after = Outcome.RECONNECT, error.delay
        elif not isinstance(error, ConnectionError):
            if trace is not None:
                trace.failed(error)
            _log_failure(route, transport, error)
            outcome, why = Outcome.HANDLER_FAILED, f"{type(error).__name__}: {error}"
            failure = mistake_in(significant(error, ConnectionError, _is_peers_mistake)) or INTERNAL_ERROR
        elif transport.is_open or not isinstance(error, WebSocketDisconnect):
            # Of another connection that the handler uses, such as that of the channel layer.
            outcome, why = Outcome.LOST if transport.is_open else Outcome.RETURNED, f"{type(error).__name__}: {error}"
    if outcome not in (Outcome.RETURNED, Outcome.RECONNECT):
        await ws.close(*failure)
    was_open = transport.is_open
    await ws.close()
    await transport.close(1000, "")  # in case that the handler gave up closing
    if outcome is Outcome.RETURNED and not was_open:
        outcome = Outcome.LOST if transport.lost() else Outcome.CLOSED_BY_PEER
        if transport.state.closed_here:
            outcome = Outcome.CLOSED_HERE
    return outcome, why, retry_after


describe_frames(
    _call,
    lambda found: outbound_fields(found["route"].key, found["transport"].url, found["transport"].state),
)


def _log_failure(route: OutboundRoute, transport: WebsocketsTransport, error: BaseException) -> None:
    fields = outbound_fields(route.key, transport.url, transport.state, attempt=transport.attempt)
    logger.error("%s() failed on %s", route.handler_name, fields["url"], exc_info=error, extra=fields)


def _is_asked_for(error: BaseException) -> bool:
    """Whether an exception says itself how the connection is closed."""
    return isinstance(error, WebSocketException)


def _is_peers_mistake(error: BaseException) -> bool:
    """Whether the peer has sent what the handler does not take; that fails the route, as any error does."""
    return mistake_in(error) is not None
