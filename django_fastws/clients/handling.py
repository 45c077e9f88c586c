"""The handler of an outbound route on an open connection: run, and the connection closed behind it."""

from __future__ import annotations

import asyncio
import logging
import time

from .._core.urls import mask, mask_in
from ..exceptions import Reconnect, WebSocketDisconnect, WebSocketException
from ..routing import OutboundRoute
from ..tasks import is_being_cancelled
from ..websocket import WebSocket
from .outbound import OutboundTransport
from .outcomes import Ending, How

__all__ = ["run_handler"]

logger = logging.getLogger("django_fastws.clients")


async def run_handler(route: OutboundRoute, transport: OutboundTransport, sockets: set[WebSocket]) -> Ending:
    """Run the handler on an open connection, and see that it is closed afterwards.

    Args:
        sockets: where the socket is kept as long as the handler runs, for whoever wants to close it.
    """
    ws = WebSocket(transport, tags=route.tags)
    ws.subprotocol = transport.connection.subprotocol
    sockets.add(ws)
    opened = time.monotonic()
    try:
        how, why, wait = await _call(route, ws, transport)
    finally:
        sockets.discard(ws)
        transport.abort()  # it is open only after a cancellation
        ws.release()
    reason = f"{transport.ending()}: {why}" if why else transport.ending()
    return Ending(how, mask_in(reason, transport.url), wait, up_seconds=time.monotonic() - opened)


async def _call(route: OutboundRoute, ws: WebSocket, transport: OutboundTransport) -> tuple[How, str, float | None]:
    """Call the handler, then close; how it ended, why where codes do not tell, and the wait that it asked for."""
    how, why, wait = How.DONE, "", None
    try:
        await route.handler(ws)
    except asyncio.CancelledError:
        if is_being_cancelled():
            raise
        # Not the route was cancelled, but something that the handler has waited for.
        logger.exception("%s() failed on %s", route.handler_name, mask(transport.url))
        how, why = How.FAILED, "CancelledError"
    except Exception as raised:
        error = _significant(raised)
        if isinstance(error, WebSocketException):
            await ws.close(error.code, error.reason)
            if isinstance(error, Reconnect):
                how, wait = How.PLANNED, error.delay
        elif not isinstance(error, ConnectionError):
            logger.error("%s() failed on %s", route.handler_name, mask(transport.url), exc_info=error)
            how, why = How.FAILED, f"{type(error).__name__}: {error}"
        elif transport.is_open or not isinstance(error, WebSocketDisconnect):
            # Of another connection that the handler uses, such as that of the channel layer.
            how, why = How.LOST if transport.is_open else How.DONE, f"{type(error).__name__}: {error}"
    if how not in (How.DONE, How.PLANNED):
        await ws.close(1011, "internal error")
    was_open = transport.is_open
    await ws.close()
    await transport.close(1000, "")  # in case that the handler gave up closing
    if how is How.DONE and not was_open:
        how = How.LEFT if transport.own_close is not None else How.LOST if transport.lost() else How.CLOSED
    return how, why, wait


def _significant(error: Exception) -> Exception:
    """What an exception group of a handler's tasks comes to: what is no mere connection error, if there is any."""
    if not isinstance(error, ExceptionGroup):
        return error
    lost, rest = error.split(ConnectionError)
    asked, others = rest.split(WebSocketException) if rest is not None else (None, None)
    if others is not None:
        return others
    first: Exception = asked or lost or error
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first
