"""URLs of outbound routes: validation, and masking of secrets for the log."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from .authority import split_url

__all__ = ["check_url", "mask_url", "mask_secrets"]

_ANY_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)
_SHORTEST_SECRET = 4  # characters; what is shorter is too likely to be found in ordinary words


def check_url(url: object, schemes: tuple[str, ...]) -> str:
    """Check the URL of an outbound route.

    Raises:
        ValueError: it is no URL of one of these schemes with a host; the text does not repeat what may be secret.
    """
    if not isinstance(url, str):
        raise ValueError(f"a URL is a str such as {schemes[-1]}://example.com/, not {type(url).__name__}")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError("the URL holds spaces or control characters")
    try:
        parts = split_url(url)
    except ValueError:
        # The original error may repeat a part of a password.
        raise ValueError(
            f"{mask_url(url)!r} is malformed: check host and port, and percent-encode special characters in a user "
            "name or password"
        ) from None
    if parts.scheme.lower() not in schemes:
        wanted = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ValueError(f"{mask_url(url)!r} must start with {wanted}")
    if not parts.hostname:
        raise ValueError(f"{mask_url(url)!r} has no host")
    if parts.scheme.lower() in ("ws", "wss") and parts.fragment:
        raise ValueError(f"{mask_url(url)!r} has a fragment, which a WebSocket URL may not (RFC 6455 section 3)")
    return url


def mask_url(url: str) -> str:
    """Mask a URL for a log: without what may be secret.

    >>> mask_url("wss://me:secret@example.com/feed?token=123")
    'wss://***@example.com/feed?***'
    """
    head, question, _ = url.partition("#")[0].partition("?")
    scheme, separator, rest = head.partition("://")
    if not separator:  # no URL, but there may be a password in it
        rest, scheme = scheme, ""
        authority, slash, path = rest.rpartition("@")[2], "", ""
        masked = rest != authority
    else:
        authority, slash, path = rest.partition("/")
        _, at, host = authority.rpartition("@")
        if not _is_port(host.rpartition("]")[2].partition(":")[2]):
            # A password with a "/", "?" or "#" that is not percent-encoded ends up here.
            return f"{scheme}://***"
        authority, masked = host, bool(at)
    return f"{scheme}{separator}{'***@' if masked else ''}{authority}{slash}{path}{'?***' if question else ''}"


def mask_secrets(text: str, url: str = "") -> str:
    """Mask a text for a log: one line, without what may be secret.

    Args:
        text: may repeat the URL or parts of it, or hold others, or what a peer wrote.
        url: whose query, user name and password are masked wherever they are; those of other URLs are masked where
            the whole URL is.
    """
    masked = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    if url:
        masked = masked.replace(url, mask_url(url))
    masked = _ANY_URL.sub(lambda match: mask_url(match[0]), masked)
    for secret in sorted(_secrets(url), key=len, reverse=True):
        masked = masked.replace(secret, "***")
    return masked


def _is_port(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit())


def _secrets(url: str) -> set[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return set()
    found = {part for part in (parts.query, parts.username, parts.password) if part}
    found |= {unquote(part) for part in found}
    return {part for part in found if len(part) >= _SHORTEST_SECRET}
