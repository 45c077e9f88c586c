"""Target: the URL at which the installation is looked at from outside."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

__all__ = ["Target", "TargetError", "parse_target"]

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_PORTS = {"ws": 80, "wss": 443}


class TargetError(ValueError):
    """URL that is none of a WebSocket.

    Attributes:
        hint: what to write instead.
    """

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Target:
    """URL of a WebSocket, and what follows from it.

    Attributes:
        url: with the scheme "ws" or "wss", and a path.
        host: without brackets.
        port: the scheme's own where none is given.
        authority: host and port as they stand in the URL.
        has_path: whether a path was given.
        was_http: whether the scheme was one of HTTP.
    """

    url: str
    host: str
    port: int
    authority: str
    has_path: bool
    was_http: bool

    @property
    def is_secure(self) -> bool:
        """Whether it is over TLS."""
        return self.url.startswith("wss:")

    @property
    def site(self) -> str:
        """The origin of a page of the same site (RFC 6454), which is also where its HTTP is."""
        return f"{'https' if self.is_secure else 'http'}://{self.authority}"


def parse_target(url: str, live_path: str | None) -> Target:
    """Read a URL.

    Args:
        live_path: the path where none is given; None for "/".
    Raises:
        TargetError: it is none.
    """
    try:
        parts = urlsplit(url.strip())
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise TargetError(f"{url!r} is no URL: {error}", "Write --url wss://example.org/ws/live.") from None
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None or not host:
        what = "has no host" if scheme is not None else f"has the scheme {parts.scheme!r}"
        what = what if parts.scheme and "://" in url else "has no scheme"
        rest = url.partition("://")[2] if "://" in url else url
        raise TargetError(f"{url!r} {what}.", f"Write --url wss://{rest.lstrip('/') or 'example.org/ws/live'}.")
    if parts.username is not None or parts.fragment:
        raise TargetError(
            f"{url!r} has a user or a fragment, which browsers do not send.",
            "Leave out what is before @ or behind #.",
        )
    has_path = parts.path not in ("", "/")
    path = parts.path if has_path else live_path or "/"
    found = SplitResult(scheme, parts.netloc, path, parts.query, "")
    was_http = parts.scheme.lower() in ("http", "https")
    authority = _authority(parts.netloc, port, scheme)
    return Target(found.geturl(), host, port or _PORTS[scheme], authority, has_path, was_http)


def _authority(netloc: str, port: int | None, scheme: str) -> str:
    """Host and port as a browser has them in an origin: without the port of the scheme."""
    return netloc.rpartition(":")[0].lower() if port == _PORTS[scheme] else netloc.rstrip(":").lower()
