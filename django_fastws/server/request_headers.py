"""Headers of a request: as they came, and as daphne and autobahn can read them."""

from __future__ import annotations

from typing import Any

__all__ = ["take_headers"]

#: By which any client could say under which path the application is served. Only ``--root-path`` says so.
_ROOT_PATH = b"daphne-root-path"
_SUBPROTOCOLS = b"sec-websocket-protocol"
#: A byte of UTF-8 as browsers send it in cookies, which is a line break of Latin-1: autobahn would break a header
#: there, and so daphne refuses it. RFC 9110 section 5.5 allows it.
_NEXT_LINE = b"\x85"


def take_headers(headers: Any) -> list[tuple[bytes, bytes]]:
    """Take the headers of a request for its scope, and leave what daphne and autobahn should see of them.

    Args:
        headers: Twisted's; they are changed.
    Returns:
        Pairs of lower-case name and value, without those that have an underscore in their name, which CGI would take
        for a hyphen (CVE-2015-0219), and without daphne's own.
    """
    headers.removeHeader(_ROOT_PATH)
    received: list[tuple[bytes, bytes]] = []
    for name, values in list(headers.getAllRawHeaders()):
        name = name.lower()
        if b"_" not in name:
            received += ((name, value) for value in values)
        if name == _SUBPROTOCOLS:
            _leave(headers, name, _without_empty(values))
        elif any(_NEXT_LINE in value for value in values):
            headers.setRawHeaders(name, [value.replace(_NEXT_LINE, b"?") for value in values])
    return received


def _without_empty(values: list[bytes]) -> list[bytes]:
    """A list without its empty elements, which say nothing (RFC 9110 section 5.6.1.2); autobahn counts them."""
    elements = (element.strip(b" \t") for value in values for element in value.split(b","))
    return list(filter(None, elements))


def _leave(headers: Any, name: bytes, values: list[bytes]) -> None:
    if values:
        headers.setRawHeaders(name, [b", ".join(values)])
    else:
        headers.removeHeader(name)
