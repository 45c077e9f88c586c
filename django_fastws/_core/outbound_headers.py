"""Headers of outbound requests: merging, those that a handshake sets itself, and those that follow a redirect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .headers import header_pairs

__all__ = ["harmless_headers", "handshake_headers", "merge_headers", "request_headers"]

Pair = tuple[str, str]

# What says where the body of a request ends (RFC 9112 section 6). It must fit the body, and be there once.
_FRAMING = {"content-length": "", "transfer-encoding": ""}
# What makes a request a handshake (RFC 6455 section 4.1).
_OWNED = {
    **_FRAMING,
    "connection": "",
    "sec-websocket-accept": "",
    "sec-websocket-extensions": ": use compression=",
    "sec-websocket-key": "",
    "sec-websocket-protocol": ": use subprotocols=",
    "sec-websocket-version": "",
    "upgrade": "",
}
# A request has each of them once (RFC 9110 sections 7.2, 8.3, 10.1.5, 11.6.2; RFC 6454 section 7.3).
_SINGLE = frozenset({"authorization", "content-type", "host", "origin", "user-agent"})
# What says nothing of who asks. Everything else may be a secret, whatever it is called.
_HARMLESS = frozenset(
    {
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-length",
        "content-type",
        "origin",
        "pragma",
        "transfer-encoding",
        "user-agent",
    }
)


def handshake_headers(headers: Any) -> list[Pair]:
    """Check the headers of a WebSocket handshake that goes out, as ``header_pairs`` does.

    Raises:
        TypeError, ValueError: they cannot be sent, or the handshake sets one of them itself.
    """
    return _without(_OWNED, header_pairs(headers), "handshake")


def request_headers(headers: Any) -> list[Pair]:
    """Check the headers of an HTTP request that goes out, as ``header_pairs`` does.

    Returns:
        Pairs of name and value; of those that a request has once, the last.
    Raises:
        TypeError, ValueError: they cannot be sent, or the request sets one of them itself.
    """
    return merge_headers((), _without(_FRAMING, header_pairs(headers), "request"))


def _without(owned: Mapping[str, str], pairs: list[Pair], owner: str) -> list[Pair]:
    for name, _ in pairs:
        hint = owned.get(name.lower())
        if hint is not None:
            raise ValueError(f"the header {name!r} is the {owner}'s to set{hint}")
    return pairs


def merge_headers(library: Iterable[Pair], own: Iterable[Pair]) -> list[Pair]:
    """Merge the headers of a request: the user's own replace those of the library that have the same name.

    >>> merge_headers([("Host", "a"), ("Origin", "b")], [("X-One", "1"), ("host", "c")])
    [('Host', 'c'), ('Origin', 'b'), ('X-One', '1')]
    """
    theirs, own = list(library), list(own)
    last = {name.lower(): value for name, value in own}
    result = [(name, last.get(name.lower(), value)) for name, value in theirs]
    done = {name.lower() for name, _ in theirs}
    for name, value in own:
        key = name.lower()
        if key in done:
            continue
        if key in _SINGLE:
            done.add(key)
            value = last[key]
        result.append((name, value))
    return result


def harmless_headers(headers: Iterable[Pair]) -> list[Pair]:
    """The headers that may follow a redirect to another origin (RFC 6454): what cannot be a secret.

    >>> harmless_headers([("User-Agent", "feed"), ("X-Api-Key", "opensesame")])
    [('User-Agent', 'feed')]
    """
    return [(name, value) for name, value in headers if name.lower() in _HARMLESS]
