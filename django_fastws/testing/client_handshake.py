"""Handshakes of the test client: the scope of one, the application that gets it, and its denial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from channels.routing import get_default_application
from django.conf import settings

from .._core.headers import HeaderMap, encode_headers
from ..asgi import get_asgi_application
from ..exceptions import WebSocketConnectionError
from ..threads import TESTING
from ..types import ASGIApp, Headers

__all__ = ["HandshakeDenied", "default_application", "make_scope"]


class HandshakeDenied(WebSocketConnectionError):
    """Handshake that the application denied.

    Attributes:
        status: the HTTP status.
        headers: of the answer.
        text: the answer's body.
    """

    def __init__(self, status: int, headers: HeaderMap, text: str) -> None:
        # An OSError would take the arguments for its errno and strerror.
        super().__init__()
        self.status = status
        self.headers = headers
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.headers, self.text)

    def __str__(self) -> str:
        return f"the handshake was denied with {self.status} {self.text}".rstrip()


def default_application() -> ASGIApp:
    """The application of ``ASGI_APPLICATION``, else of all routes."""
    if getattr(settings, "ASGI_APPLICATION", None):
        application: ASGIApp = get_default_application()
        return application
    return get_asgi_application()


def make_scope(
    path: str,
    headers: Headers | Iterable[tuple[Any, Any]],
    cookies: Mapping[str, Any] | None,
    origin: str | None,
    subprotocols: Iterable[str],
) -> dict[str, Any]:
    """The scope of a handshake, as a server makes it."""
    parts = urlsplit(path)
    host = parts.netloc or "testserver"
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": parts.scheme or "ws",
        "path": unquote(parts.path),
        "raw_path": quote(unquote(parts.path), safe="/!$&'()*+,;=:@~").encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": _handshake_headers(host, headers, cookies, origin),
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "subprotocols": list(subprotocols),
        "state": {},
        "extensions": {"websocket.http.response": {}, TESTING: {}},
    }


def _handshake_headers(
    host: str,
    headers: Headers | Iterable[tuple[Any, Any]],
    cookies: Mapping[str, Any] | None,
    origin: str | None,
) -> list[tuple[bytes, bytes]]:
    """The headers of a handshake as a browser sends them; a Host that is given stays."""
    raw = encode_headers(headers)
    if b"host" not in {name for name, _ in raw}:
        raw.append((b"host", host.encode()))
    if origin is not None:
        raw.append((b"origin", origin.encode()))
    if cookies:
        jar: SimpleCookie = SimpleCookie()
        for name, value in cookies.items():
            jar[name] = getattr(value, "value", value)
        header = jar.output(header="", sep=";").strip()
        raw.append((b"cookie", header.encode("latin-1" if header.isascii() else "utf-8")))
    return raw
