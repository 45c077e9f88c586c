"""Which Origin headers are let in (RFC 6454 and RFC 6455 section 10.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["Origin", "matches_any", "parse_origin", "same_host"]

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class Origin(NamedTuple):
    """An origin: the port is that of the scheme where none was written, None for a scheme without one."""

    scheme: str
    host: str
    port: int | None


def parse_origin(value: str) -> Origin | None:
    """Read an Origin header.

    >>> parse_origin("https://Example.com")
    Origin(scheme='https', host='example.com', port=443)

    Returns:
        The origin, or None for what is none: ``null``, a path, a bad port, an unbalanced bracket, control characters.
    """
    if not value.isascii() or any(char.isspace() or not char.isprintable() for char in value):
        return None
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    host = (host or "").rstrip(".").lower()
    if not parts.scheme or not host or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    scheme = parts.scheme.lower()
    return Origin(scheme, host, _PORTS.get(scheme) if port is None else port)


def matches_any(origin: Origin, patterns: Iterable[str]) -> bool:
    """Whether an origin matches one of the patterns.

    A pattern is ``*``, a host (``example.com``), a domain with all below it (``.example.com``), or one of these
    with a scheme and perhaps a port (``https://example.com:8443``). Without a scheme it fits any scheme, and
    without a port and a scheme any port.
    """
    return any(_matches(origin, pattern.lower()) for pattern in patterns)


def _matches(origin: Origin, pattern: str) -> bool:
    if pattern == "*":
        return True
    scheme, separator, rest = pattern.rpartition("://")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host:
        return False
    if separator:
        port = _PORTS.get(scheme) if port is None else port
        if scheme != origin.scheme:
            return False
    if port is not None and port != origin.port:
        return False
    host = host.rstrip(".")
    if host.startswith("."):
        return origin.host == host[1:] or origin.host.endswith(host)
    return origin.host == host


def same_host(origin: Origin, host_header: str, *, secure: bool | None = None) -> bool:
    """Whether an origin is the host (and the port) that a Host header names.

    Args:
        host_header: the Host header: a host, perhaps with a port.
        secure: whether the connection is TLS, which gives the port where the header has none; None if unknown.
    """
    try:
        parts = urlsplit(f"//{host_header}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or host.rstrip(".").lower() != origin.host:
        return False
    if port is not None:
        return port == origin.port
    if secure is None:
        # Behind a proxy that ends TLS the server does not know the scheme, only that no port was written.
        return origin.port in (80, 443)
    return origin.port == (443 if secure else 80)
