"""Addresses of a connection's two ends, and the URL that was asked for."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ..types import Address, Scope

__all__ = ["address_of", "url_of"]


def address_of(pair: Any) -> Address | None:
    """The address that ASGI or a socket has as host, port and perhaps more; None where it is of another kind."""
    if not isinstance(pair, (tuple, list)) or len(pair) < 2:
        return None
    return Address(str(pair[0]), int(pair[1] or 0))


def _authority(address: Address | None) -> str:
    if address is None:
        return "localhost"
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}" if address.port else host


def url_of(scope: Scope, host: str | None) -> str:
    """The URL that a handshake asked for, as far as it is known.

    Args:
        host: of its Host header; None where there is none.
    """
    path = quote(scope.get("path", "/"), safe="/!$&'()*+,;=:@~")
    query = bytes(scope.get("query_string") or b"").decode("latin-1")
    host = host or _authority(address_of(scope.get("server")))
    return f"{scope.get('scheme', 'ws')}://{host}{path}{'?' + query if query else ''}"
