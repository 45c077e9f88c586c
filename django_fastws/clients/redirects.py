"""Headers and redirects of WebSocket handshakes with the websockets library: no secret follows a redirect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as library_connect
from websockets.client import ClientProtocol
from websockets.http11 import USER_AGENT, Request
from websockets.uri import WebSocketURI, parse_uri

from .._core.outbound_headers import harmless_headers, merge_headers

__all__ = ["apply_headers", "connect"]

Pair = tuple[str, str]


def apply_headers(request: Request, own: list[Pair]) -> Request:
    """Put one's own headers into the request of a handshake; they replace the library's of the same name."""
    pairs = merge_headers(request.headers.raw_items(), own)
    request.headers.clear()
    request.headers.update(pairs)
    return request


async def connect(
    url: str, headers: list[Pair], kind: Callable[..., ClientConnection], **options: Any
) -> ClientConnection:
    """Open a connection with one's own headers, as the library's ``connect`` does with its options."""
    return await _Connecting(url, headers, kind, **options)


class _Connecting(library_connect):
    """The library's ``connect``, with one's own headers in the place of its own, and no secret to another origin.

    The library takes ``Authorization``, ``Cookie`` and ``Proxy-Authorization`` to no other origin. A key is a secret
    under any other name, too, so no header goes there but those that say nothing of who asks.

    Args:
        headers: one's own.
        kind: makes the connection of a protocol.
        options: for the library.
    """

    def __init__(self, url: str, headers: list[Pair], kind: Callable[..., ClientConnection], **options: Any) -> None:
        self._headers = headers
        self._kind = kind
        has_agent = any(name.lower() == "user-agent" for name, _ in headers)
        options["user_agent_header"] = None if has_agent else USER_AGENT
        super().__init__(url, create_connection=cast("Any", self._make), **options)

    def _make(self, protocol: ClientProtocol, **options: Any) -> ClientConnection:
        request_of, headers = protocol.connect, self._headers
        cast("Any", protocol).connect = lambda: apply_headers(request_of(), headers)
        return self._kind(protocol, **options)

    def process_redirect(self, exc: Exception) -> Exception | str:
        """The URL of a redirect that can be followed, else an exception."""
        before = parse_uri(self.uri)
        found = super().process_redirect(exc)
        if isinstance(found, str) and _origin(parse_uri(found)) != _origin(before):
            self._headers = harmless_headers(self._headers)
        return found


def _origin(uri: WebSocketURI) -> tuple[bool, str, int]:
    """Scheme, host and port (RFC 6454)."""
    return uri.secure, uri.host, uri.port
