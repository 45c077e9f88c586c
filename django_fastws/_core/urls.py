"""URLs of outbound routes: which are taken, and how they look in a log."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["check_url", "mask", "mask_in"]


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
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"the URL is malformed: {error}") from None
    if parts.scheme.lower() not in schemes:
        wanted = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ValueError(f"{mask(url)!r} must start with {wanted}")
    if not host:
        raise ValueError(f"{mask(url)!r} has no host")
    if parts.scheme.lower() in ("ws", "wss") and parts.fragment:
        raise ValueError(f"{mask(url)!r} has a fragment, which a WebSocket URL may not (RFC 6455 section 3)")
    return url


def mask(url: str) -> str:
    """A URL for a log: without what may be secret.

    >>> mask("wss://me:secret@example.com/feed?token=123")
    'wss://***@example.com/feed?***'
    """
    head, question, _ = url.partition("#")[0].partition("?")
    scheme, separator, rest = head.partition("://")
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        authority = "***@" + authority.rpartition("@")[2]
    return f"{scheme}{separator}{authority}{slash}{path}{'?***' if question else ''}"


def mask_in(text: str, url: str) -> str:
    """A text for a log in which a library may have repeated the URL."""
    masked = text.replace(url, mask(url))
    for secret in (urlsplit(url).query, urlsplit(url).password):
        if secret and len(secret) > 3:
            masked = masked.replace(secret, "***")
    return masked
