"""Opening the connections of an outbound route, and what it means when that fails."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection
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

from .._core.backoff import retry_after
from .._core.outgoing import handshake_headers
from .._core.retries import RENEWABLE, status_may_pass
from .._core.urls import check_url, mask, mask_in
from ..routing import OutboundRoute
from .decoding import DecodingConnection, DecodingTransport, is_possible
from .library import Choice, Unsuited, picows
from .options import asked
from .outbound import OutboundTransport
from .outcomes import Ending, How
from .parser import ParsingConnection
from .redirects import connect

__all__ = ["Opened", "Opener"]

logger = logging.getLogger("django_fastws.clients")

# The library would log what the supervisor says already.
_quiet = logging.getLogger("django_fastws.clients.library")
_quiet.propagate = False
_quiet.addHandler(logging.NullHandler())

_CONTEXT_SECONDS = 3600


class Opened(NamedTuple):
    """A connection that was opened."""

    connection: ClientConnection
    url: str

    @property
    def transport_class(self) -> type[OutboundTransport]:
        """The transport for it."""
        return DecodingTransport if isinstance(self.connection, DecodingConnection) else OutboundTransport


class Opener:
    """Opens the connections of one route, one after the other."""

    def __init__(self, route: OutboundRoute) -> None:
        self._route = route
        self._choice = Choice(route)

    async def open(self, on_url: Callable[[str], None]) -> Opened | Ending:
        """Open a connection.

        Args:
            on_url: called with the masked URL before the attempt.
        Returns:
            The connection, or how the attempt ended.
        """
        route = self._route
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
            pairs = handshake_headers(headers)
        except (TypeError, ValueError) as error:
            return Ending(How.IMPOSSIBLE, str(error))
        try:
            return Opened(await self._connect(url, self._options(url, pairs)), url)
        except Exception as error:
            ending = _refusal(error, url, self._may_pass)
            if ending is None:
                logger.exception("%s: could not connect to %s", route.handler_name, mask(url))
                return Ending(How.IMPOSSIBLE, type(error).__name__)
            return ending

    async def _connect(self, url: str, options: dict[str, Any]) -> ClientConnection:
        is_decoding = is_possible()
        if is_decoding and self._choice.is_picows(url):
            try:
                connection: ClientConnection = await picows.connect(url, options)
                return connection
            except (TimeoutError, InvalidMessage):
                # picows does not tell no answer from one that is none. websockets does: next time.
                self._choice.is_doubtful = True
                raise
            except Unsuited as obstacle:
                self._choice.leave_to_websockets(url, str(obstacle))
        kind: Any = partial(ParsingConnection, max_size=options["max_size"]) if is_decoding else ClientConnection
        headers = options.pop("additional_headers")
        return await connect(url, headers, kind, **options)

    def _may_pass(self, status: int) -> bool:
        """Whether a handshake that the server answered with this status may succeed with what is asked for anew."""
        again_on = self._route.retry_on_status
        if again_on is None:
            is_asked = callable(self._route.url) or callable(self._route.options["headers"])
            again_on = RENEWABLE if is_asked else frozenset()
        return status in again_on

    def _options(self, url: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
        """What the library's ``connect`` takes besides the URL."""
        options = {key: value for key, value in self._route.options.items() if key not in ("headers", "ssl")}
        options["additional_headers"] = headers
        options["logger"] = _quiet
        context = self._route.options["ssl"]
        if context is None and url[:4].lower() == "wss:":
            context = _default_context(int(time.monotonic() / _CONTEXT_SECONDS))
        if context is not None:
            options["ssl"] = context
        return options


@lru_cache(maxsize=1)
def _default_context(period: int) -> ssl.SSLContext:
    """One for all routes: it holds all authorities of the system, which takes tens of milliseconds and most of 1 MiB.

    Args:
        period: a new number makes a new one, for the system's authorities change.
    """
    return ssl.create_default_context()


def _refusal(error: Exception, url: str, may_pass: Callable[[int], bool]) -> Ending | None:
    """What a failed attempt means; None for an error that nobody foresaw.

    Args:
        may_pass: says of the status of a server's answer that another attempt may succeed for a reason of the route.
    """
    reason = mask_in(str(error), url) or type(error).__name__
    if isinstance(error, (InvalidStatus, InvalidProxyStatus)):
        response = error.response
        who = "proxy" if isinstance(error, InvalidProxyStatus) else "server"
        reason = mask_in(f"the {who} answered {response.status_code} {response.reason_phrase}".rstrip(), url)
        is_renewable = who == "server" and may_pass(response.status_code)
        if not (status_may_pass(response.status_code) or is_renewable):
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
