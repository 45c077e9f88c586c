"""Patterns of origins: which Origin headers are let in (RFC 6454 and RFC 6455 section 10.2)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import idna

from .authority import split_url

__all__ = ["Origin", "OriginPattern", "matches_any", "parse_origin", "parse_pattern", "same_host", "to_ascii"]

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
    if not value.isascii() or not value.isprintable() or " " in value:
        return None
    try:
        parts = split_url(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    host = (host or "").rstrip(".").lower()
    if not parts.scheme or not host or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    scheme = parts.scheme.lower()
    return Origin(scheme, host, _PORTS.get(scheme) if port is None else port)


class OriginPattern(NamedTuple):
    """Pattern of the origins that are let in.

    Attributes:
        scheme, port: of the origin; None where any fits.
        host: in ASCII; with a dot in front, the host and all below it.
    """

    scheme: str | None
    host: str
    port: int | None


def matches_any(origin: Origin, patterns: Iterable[str]) -> bool:
    """Whether an origin matches one of the patterns.

    A pattern is ``*``, a host (``example.com``), a domain with all below it (``.example.com`` or ``*.example.com``),
    or one of these with a scheme and perhaps a port (``https://*.example.com:8443``). Without a scheme it fits any
    scheme, and without a port and a scheme any port. A host may have letters that are not ASCII.
    """
    return any(_matches(origin, pattern) for pattern in patterns)


def _matches(origin: Origin, pattern: str) -> bool:
    if pattern == "*":
        return True
    parsed = parse_pattern(pattern)
    if parsed is None:
        return False
    scheme, host, port = parsed
    if (scheme is not None and scheme != origin.scheme) or (port is not None and port != origin.port):
        return False
    return origin.host == host.removeprefix(".") or (host.startswith(".") and origin.host.endswith(host))


@lru_cache(maxsize=1024)
def parse_pattern(pattern: str) -> OriginPattern | None:
    """Read a pattern other than ``*``; None for what is none and matches nothing."""
    scheme, separator, rest = pattern.lower().rpartition("://")
    if rest.startswith("*."):  # as in CSRF_TRUSTED_ORIGINS
        rest = rest[1:]
    try:
        parts = split_url(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or "@" in parts.netloc or (separator and not scheme):
        return None
    encoded = to_ascii(host.rstrip("."))
    if not encoded or any(char in encoded for char in "*, ") or encoded == ".":
        return None
    if separator and port is None:
        port = _PORTS.get(scheme)
    return OriginPattern(scheme if separator else None, encoded, port)


def to_ascii(host: str) -> str | None:
    """A host as browsers and DNS spell it: letters that are not ASCII in Punycode (UTS 46); None for no host.

    >>> to_ascii(".bücher.example")
    '.xn--bcher-kva.example'
    """
    if host.isascii():
        return host
    dot = "." if host.startswith(".") else ""
    try:
        return dot + idna.encode(host.removeprefix("."), uts46=True).decode()
    except idna.IDNAError:
        return None


def same_host(origin: Origin, host_header: str, *, secure: bool | None = None) -> bool:
    """Whether an origin is the host (and the port) that a Host header names.

    Args:
        host_header: the Host header: a host, perhaps with a port.
        secure: whether the connection is TLS, which gives the port where the header has none; None if unknown.
    """
    try:
        parts = split_url(f"//{host_header}")
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
