"""Connecting an outbound route: its options resolved, the handshake, and whether a failure is worth a retry."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from functools import partial
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

from .._core.backoff import RETRYABLE_WITH_NEW_CREDENTIALS, is_retryable_status, retry_after
from .._core.outbound_headers import handshake_headers
from .._core.outbound_urls import check_url, mask_secrets, mask_url
from ..log_fields import outbound_fields
from ..routing import OutboundRoute
from .decoding import DecodingConnection, DecodingTransport, is_possible
from .library import LibraryChoice, PicowsUnsupported, picows
from .options import resolve
from .outcomes import AttemptResult, Outcome
from .parser import ParsingConnection
from .redirects import connect
from .ssl_contexts import socket_context
from .websockets_transport import WebsocketsTransport

__all__ = ["Connected", "Connector"]

logger = logging.getLogger("django_fastws.clients")

# The library would log what the supervisor says already.
_library_logger = logging.getLogger("django_fastws.clients.library")
_library_logger.propagate = False
_library_logger.addHandler(logging.NullHandler())


class Connected(NamedTuple):
    """An open connection, and the URL that it was opened with."""

    connection: ClientConnection
    url: str

    @property
    def transport_class(self) -> type[WebsocketsTransport]:
        """The transport for it."""
        return DecodingTransport if isinstance(self.connection, DecodingConnection) else WebsocketsTransport


class Connector:
    """Connector of one route: opens its connections, one after the other."""

    def __init__(self, route: OutboundRoute) -> None:
        self._route = route
        self._choice = LibraryChoice(route)

    async def connect(self, on_url: Callable[[str], None]) -> Connected | AttemptResult:
        """Open a connection: one attempt.

        Args:
            on_url: called with the masked URL before the attempt.
        Returns:
            The connection, or the result of the attempt that failed.
        """
        route = self._route
        try:
            url = await resolve(route.url)
            headers = await resolve(route.options["headers"])
        except Exception as error:
            return self._not_resolved(error)
        try:
            check_url(url, ("ws", "wss"))
        except ValueError as error:
            on_url(route.shown_url)
            return AttemptResult(Outcome.PERMANENT_FAILURE, str(error))
        on_url(mask_url(url))
        try:
            pairs = handshake_headers(headers)
        except (TypeError, ValueError) as error:
            return AttemptResult(Outcome.PERMANENT_FAILURE, str(error))
        try:
            return Connected(await self.open(url, self._options(url, pairs)), url)
        except Exception as error:
            result = _failure(error, url, self._is_retryable)
            if result is None:
                fields = outbound_fields(route.key, url)
                logger.exception("%s: could not connect to %s", route.handler_name, fields["url"], extra=fields)
                return AttemptResult(Outcome.PERMANENT_FAILURE, type(error).__name__)
            return result

    def _not_resolved(self, error: Exception) -> AttemptResult:
        """A callable for the URL or headers has raised this; an OSError, such as of a database, may pass."""
        what = "the URL or headers could not be resolved"
        if isinstance(error, OSError):
            return AttemptResult(Outcome.TRANSIENT_FAILURE, mask_secrets(f"{what}: {error}"))
        logger.error(
            "%s: a callable for the URL or headers failed",
            self._route.handler_name,
            exc_info=error,
            extra=outbound_fields(self._route.key, self._route.shown_url),
        )
        return AttemptResult(Outcome.HANDLER_FAILED, f"{what}: {type(error).__name__}")

    async def open(self, url: str, options: dict[str, Any]) -> ClientConnection:
        """Open a connection, by the library of the settings; what it raises is its own.

        Args:
            options: of ``websockets.connect()``.
        """
        is_decoding = is_possible()
        if is_decoding and self._choice.is_picows(url):
            try:
                connection: ClientConnection = await picows.connect(url, options)
                return connection
            except (TimeoutError, InvalidMessage):
                # picows does not tell no answer from one that is none. websockets does: next time.
                self._choice.must_skip_picows = True
                raise
            except PicowsUnsupported as obstacle:
                self._choice.fall_back(url, str(obstacle))
        kind: Any = partial(ParsingConnection, max_size=options["max_size"]) if is_decoding else ClientConnection
        headers = options.pop("additional_headers")
        return await connect(url, headers, kind, **options)

    def _is_retryable(self, status: int) -> bool:
        """Whether a retry with a new URL and new headers may succeed after the server answered with this status."""
        again_on = self._route.retry_on_status
        if again_on is None:
            is_resolved_anew = callable(self._route.url) or callable(self._route.options["headers"])
            again_on = RETRYABLE_WITH_NEW_CREDENTIALS if is_resolved_anew else frozenset()
        return status in again_on

    def _options(self, url: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
        """Arguments of the library's ``connect`` besides the URL."""
        options = {key: value for key, value in self._route.options.items() if key not in ("headers", "ssl")}
        options["additional_headers"] = headers
        options["logger"] = _library_logger
        context = self._route.options["ssl"]
        if context is None and url[:4].lower() == "wss:":
            context = socket_context()
        if context is not None:
            options["ssl"] = context
        return options


def _failure(error: Exception, url: str, is_retryable: Callable[[int], bool]) -> AttemptResult | None:
    """The result of a failed attempt: transient or permanent; None for an unforeseen error.

    Args:
        is_retryable: says of the status of a server's answer whether the route wants a retry.
    """
    reason = mask_secrets(str(error), url) or type(error).__name__
    if isinstance(error, (InvalidStatus, InvalidProxyStatus)):
        response = error.response
        who = "proxy" if isinstance(error, InvalidProxyStatus) else "server"
        reason = mask_secrets(f"the {who} answered {response.status_code} {response.reason_phrase}".rstrip(), url)
        is_wanted = who == "server" and is_retryable(response.status_code)
        if not (is_retryable_status(response.status_code) or is_wanted):
            return AttemptResult(Outcome.PERMANENT_FAILURE, reason)
        return AttemptResult(
            Outcome.TRANSIENT_FAILURE, reason, retry_after(response.headers.get("Retry-After"), time.time())
        )
    if isinstance(error, InvalidHeader):  # its text repeats the value, which may be a token
        return AttemptResult(Outcome.PERMANENT_FAILURE, f"invalid {error.name} header")
    if isinstance(error, ssl.SSLCertVerificationError):
        return AttemptResult(Outcome.PERMANENT_FAILURE, f"bad certificate: {error.verify_message}")
    if isinstance(error, (OSError, TimeoutError)):
        return AttemptResult(Outcome.TRANSIENT_FAILURE, reason)
    if isinstance(error, (InvalidMessage, InvalidProxyMessage)) and isinstance(error.__cause__, (EOFError, OSError)):
        who = "proxy" if isinstance(error, InvalidProxyMessage) else "server"
        return AttemptResult(Outcome.TRANSIENT_FAILURE, f"the {who} closed the connection without an answer")
    if isinstance(error, (InvalidURI, InvalidProxy, InvalidHandshake, ValueError, ImportError)):
        return AttemptResult(Outcome.PERMANENT_FAILURE, reason)
    return None
