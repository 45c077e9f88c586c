"""One connection of an outbound route: opened, handed to the handler, and closed; and how it ended."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.http11 import USER_AGENT

from .._core.backoff import retry_after
from .._core.retries import status_may_pass
from .._core.urls import check_url, mask, mask_in
from ..exceptions import WebSocketException
from ..routes import OutboundRoute
from ..websocket import WebSocket
from ..wires.outbound import OutboundWire
from .options import asked

__all__ = ["Ending", "How", "open_connection", "run_handler"]

logger = logging.getLogger("django_fastws.clients")


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
        return Ending(How.REFUSED, f"the URL or headers could not be asked for: {error}")
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
    if route.options["ssl"] is not None:
        options["ssl"] = route.options["ssl"]
    pairs = list(headers.items() if hasattr(headers, "items") else headers or ())
    has_agent = any(str(name).lower() == "user-agent" for name, _ in pairs)
    return await connect(
        url,
        additional_headers=[(_text(name), _text(value)) for name, value in pairs],
        user_agent_header=None if has_agent else USER_AGENT,
        logger=_quiet,
        **options,
    )


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _refusal(error: Exception, url: str) -> Ending | None:
    """What a failed attempt means; None for an error that nobody foresaw."""
    reason = mask_in(str(error), url) or type(error).__name__
    if isinstance(error, InvalidStatus):
        response = error.response
        reason = f"the server answered {response.status_code} {response.reason_phrase}".rstrip()
        if not status_may_pass(response.status_code):
            return Ending(How.IMPOSSIBLE, reason)
        return Ending(How.REFUSED, reason, retry_after(response.headers.get("Retry-After"), time.time()))
    if isinstance(error, ssl.SSLCertVerificationError):
        return Ending(How.IMPOSSIBLE, f"bad certificate: {error.verify_message}")
    if isinstance(error, (OSError, TimeoutError)):
        return Ending(How.REFUSED, reason)
    if isinstance(error, InvalidMessage) and isinstance(error.__cause__, (EOFError, OSError)):
        return Ending(How.REFUSED, "the server closed the connection without an answer")
    if isinstance(error, (InvalidURI, InvalidHandshake, ValueError)):
        return Ending(How.IMPOSSIBLE, reason)
    return None


async def run_handler(route: OutboundRoute, wire: OutboundWire, sockets: set[WebSocket]) -> Ending:
    """Run the handler on an open connection, and see that it is closed afterwards.

    Args:
        sockets: where the socket is kept as long as the handler runs, for whoever wants to close it.
    """
    ws = WebSocket(wire, tags=route.tags)
    sockets.add(ws)
    opened = time.monotonic()
    try:
        how, reason = await _call(route, ws, wire)
    finally:
        sockets.discard(ws)
        if wire.is_open:  # only after a cancellation
            wire.connection.transport.abort()
        ws.release()
    return Ending(how, reason, up_seconds=time.monotonic() - opened)


async def _call(route: OutboundRoute, ws: WebSocket, wire: OutboundWire) -> tuple[How, str]:
    try:
        await route.handler(ws)
    except WebSocketException as error:
        await ws.close(error.code, error.reason)
    except ConnectionError as error:
        if wire.is_open:
            # Of another connection that the handler uses, such as that of the channel layer.
            await ws.close(1011, "internal error")
            return How.LOST, f"{type(error).__name__}: {error}"
    except Exception as error:
        logger.exception("%s() failed on %s", route.handler_name, mask(wire.url))
        await ws.close(1011, "internal error")
        return How.FAILED, f"{type(error).__name__}: {error}"
    was_open = wire.is_open
    await ws.close()
    await wire.connection.wait_closed()
    if was_open or wire.own_close is not None:
        return How.DONE, _shown(wire.own_close or wire.status())
    if not wire.lost():
        return How.CLOSED, _shown(wire.status())
    # What this end said before it gave up: 1009 to a message too big, 1011 to a peer that answers no pings.
    sent = wire.connection.protocol.close_sent
    return How.LOST, "1006" if sent is None else f"1006 ({_shown((sent.code, sent.reason))})"


def _shown(status: tuple[int, str]) -> str:
    return f"{status[0]} {status[1]}".rstrip()


# The library would log what the supervisor says already.
_quiet = logging.getLogger("django_fastws.clients.library")
_quiet.propagate = False
_quiet.addHandler(logging.NullHandler())
