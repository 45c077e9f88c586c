"""One connection of an outbound route: opened, handed to the handler, and closed; and how it ended."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidMessage,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
)
from websockets.http11 import USER_AGENT

from .._core.backoff import retry_after
from .._core.retries import status_may_pass
from .._core.urls import check_url, mask, mask_in
from ..exceptions import WebSocketDisconnect, WebSocketException
from ..routes import OutboundRoute
from ..websocket import WebSocket
from ..wires.outbound import OutboundWire
from .options import asked

__all__ = ["Ending", "How", "open_connection", "run_handler"]

logger = logging.getLogger("django_fastws.clients")

_CONTEXT_SECONDS = 3600


class How(Enum):
    """How an attempt ended."""

    DONE = "done"  # the handler returned while the connection was open
    CLOSED = "closed"  # the peer closed it
    LOST = "lost"  # it was cut, or the peer did not answer pings
    REFUSED = "refused"  # it was not opened, which may pass
    IMPOSSIBLE = "impossible"  # it was not opened, which cannot pass
    FAILED = "failed"  # the handler raised what is no connection error


class Ending(NamedTuple):
    """How an attempt ended.

    Attributes:
        how: the kind of ending.
        reason: in words, without secrets.
        wait: seconds that the peer asked for before another attempt, or None.
        up_seconds: how long the connection was open.
    """

    how: How
    reason: str = ""
    wait: float | None = None
    up_seconds: float = 0.0


class Opened(NamedTuple):
    """A connection that was opened."""

    connection: ClientConnection
    url: str


async def open_connection(route: OutboundRoute, on_url: Callable[[str], None]) -> Opened | Ending:
    """Open a connection.

    Args:
        on_url: called with the masked URL before the attempt.
    Returns:
        The connection, or how the attempt ended.
    """
    try:
        url = await asked(route.url)
        headers = await asked(route.options["headers"])
    except OSError as error:
        return Ending(How.REFUSED, mask_in(f"the URL or headers could not be asked for: {error}"))
    except Exception as error:
        logger.exception("%s: a callable for the URL or headers failed", route.handler_name)
        return Ending(How.FAILED, f"the URL or headers could not be asked for: {type(error).__name__}")
    try:
        check_url(url, ("ws", "wss"))
    except ValueError as error:
        on_url(route.shown_url)
        return Ending(How.IMPOSSIBLE, str(error))
    on_url(mask(url))
    try:
        return Opened(await _connect(route, url, headers), url)
    except Exception as error:
        ending = _refusal(error, url)
        if ending is None:
            logger.exception("%s: could not connect to %s", route.handler_name, mask(url))
            return Ending(How.IMPOSSIBLE, type(error).__name__)
        return ending


async def _connect(route: OutboundRoute, url: str, headers: Any) -> ClientConnection:
    options = {key: value for key, value in route.options.items() if key not in ("headers", "ssl")}
    context = route.options["ssl"]
    if context is None and url[:4].lower() == "wss:":
        context = _default_context(int(time.monotonic() / _CONTEXT_SECONDS))
    if context is not None:
        options["ssl"] = context
    pairs = list(headers.items() if hasattr(headers, "items") else headers or ())
    has_agent = any(str(name).lower() == "user-agent" for name, _ in pairs)
    return await connect(
        url,
        additional_headers=[(_text(name), _text(value)) for name, value in pairs],
        user_agent_header=None if has_agent else USER_AGENT,
        logger=_quiet,
        **options,
    )


@lru_cache(maxsize=1)
def _default_context(period: int) -> ssl.SSLContext:
    """One for all routes: it holds all authorities of the system, which takes tens of milliseconds and most of 1 MiB.

    Args:
        period: a new number makes a new one, for the system's authorities change.
    """
    return ssl.create_default_context()


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _refusal(error: Exception, url: str) -> Ending | None:
    """What a failed attempt means; None for an error that nobody foresaw."""
    reason = mask_in(str(error), url) or type(error).__name__
    if isinstance(error, (InvalidStatus, InvalidProxyStatus)):
        response = error.response
        who = "proxy" if isinstance(error, InvalidProxyStatus) else "server"
        reason = mask_in(f"the {who} answered {response.status_code} {response.reason_phrase}".rstrip(), url)
        if not status_may_pass(response.status_code):
            return Ending(How.IMPOSSIBLE, reason)
        return Ending(How.REFUSED, reason, retry_after(response.headers.get("Retry-After"), time.time()))
    if isinstance(error, InvalidHeader):  # its text repeats the value, which may be a token
        return Ending(How.IMPOSSIBLE, f"invalid {error.name} header")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Ending(How.IMPOSSIBLE, f"bad certificate: {error.verify_message}")
    if isinstance(error, (OSError, TimeoutError)):
        return Ending(How.REFUSED, reason)
    if isinstance(error, (InvalidMessage, InvalidProxyMessage)) and isinstance(error.__cause__, (EOFError, OSError)):
        who = "proxy" if isinstance(error, InvalidProxyMessage) else "server"
        return Ending(How.REFUSED, f"the {who} closed the connection without an answer")
    if isinstance(error, (InvalidURI, InvalidProxy, InvalidHandshake, ValueError, ImportError)):
        return Ending(How.IMPOSSIBLE, reason)
    return None


async def run_handler(route: OutboundRoute, wire: OutboundWire, sockets: set[WebSocket]) -> Ending:
    """Run the handler on an open connection, and see that it is closed afterwards.

    Args:
        sockets: where the socket is kept as long as the handler runs, for whoever wants to close it.
    """
    ws = WebSocket(wire, tags=route.tags)
    ws.subprotocol = wire.connection.subprotocol
    sockets.add(ws)
    opened = time.monotonic()
    try:
        how, why = await _call(route, ws, wire)
    finally:
        sockets.discard(ws)
        wire.abort()  # it is open only after a cancellation
        ws.release()
    reason = f"{wire.ending()}: {why}" if why else wire.ending()
    return Ending(how, mask_in(reason, wire.url), up_seconds=time.monotonic() - opened)


async def _call(route: OutboundRoute, ws: WebSocket, wire: OutboundWire) -> tuple[How, str]:
    """Call the handler, then close; how it ended, and why where codes do not tell."""
    how, why = How.DONE, ""
    try:
        await route.handler(ws)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Not the route was cancelled, but something that the handler has waited for.
        logger.exception("%s() failed on %s", route.handler_name, mask(wire.url))
        how, why = How.FAILED, "CancelledError"
    except Exception as raised:
        error = _significant(raised)
        if isinstance(error, WebSocketException):
            await ws.close(error.code, error.reason)
        elif not isinstance(error, ConnectionError):
            logger.error("%s() failed on %s", route.handler_name, mask(wire.url), exc_info=error)
            how, why = How.FAILED, f"{type(error).__name__}: {error}"
        elif wire.is_open or not isinstance(error, WebSocketDisconnect):
            # Of another connection that the handler uses, such as that of the channel layer.
            how, why = How.LOST if wire.is_open else How.DONE, f"{type(error).__name__}: {error}"
    if how is not How.DONE:
        await ws.close(1011, "internal error")
    was_open = wire.is_open
    await ws.close()
    await wire.close(1000, "")  # in case that the handler gave up closing
    if how is How.DONE and not was_open and wire.own_close is None:
        how = How.LOST if wire.lost() else How.CLOSED
    return how, why


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


# The library would log what the supervisor says already.
_quiet = logging.getLogger("django_fastws.clients.library")
_quiet.propagate = False
_quiet.addHandler(logging.NullHandler())
