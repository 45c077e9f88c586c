"""Head of a WebSocket handshake (RFC 6455 section 4.2.1), read in one go if it is as nearly all of them are."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["RequestHead", "read_request_head"]

#: Bytes of a head, and headers in it; Twisted has the same limits.
_MOST_BYTES, _MOST_HEADERS = 16_384, 500

# Nothing here backtracks (possessive quantifiers), so no head takes long. A target that is a whole URL, that begins
# with two slashes, or that has a fragment or what RFC 3986 does not allow, is not read here; nor is a name with an
# underscore.
_HEAD = re.compile(
    rb"GET (/(?!/)[!$-;=?-\[\]_a-z~]*+) HTTP/1\.1"
    rb"((?:\r\n[!#$%&'*+\-.^`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+)++)"
)
_KEY = re.compile(rb"[+/0-9A-Za-z]{22}==")
_HOST = re.compile(rb"(?:[0-9A-Za-z.\-]++|\[[0-9A-Fa-f:.]++\])(?::[0-9]{1,5}+)?+")
_ORIGIN = re.compile(rb"https?://[0-9A-Za-z.\-]++(?::(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?")
_TOKENS = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++(?:, ?+[!#$%&'*+\-.^_`|~0-9A-Za-z]++)*+")

#: Headers that say something of a body, or to the server.
_UNUSUAL = frozenset({b"content-length", b"daphne-root-path", b"expect", b"transfer-encoding"})
#: Headers of which there may be one.
_SINGLE = frozenset(
    {
        b"connection",
        b"host",
        b"origin",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
        b"upgrade",
    }
)

# What all clients send is kept once, not for each connection.
_COMMON_NAMES = (
    *(
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"authorization",
        b"cache-control",
        b"connection",
        b"cookie",
    ),
    *(b"dnt", b"forwarded", b"host", b"origin", b"pragma", b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site"),
    *(b"sec-gpc", b"sec-websocket-extensions", b"sec-websocket-key", b"sec-websocket-protocol", b"user-agent"),
    *(b"sec-websocket-version", b"traceparent", b"upgrade", b"via", b"x-forwarded-for", b"x-forwarded-host"),
    *(b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip", b"x-request-id"),
)
_NAMES = {spelt: name for name in _COMMON_NAMES for spelt in (name, name.title())}
_NAMES |= {
    b"Sec-WebSocket-" + name[14:].title(): name for name in _COMMON_NAMES if name.startswith(b"sec-websocket-")
}
_COMMON_VALUES = (b"websocket", b"WebSocket", b"Upgrade", b"upgrade", b"keep-alive, Upgrade", b"13", b"no-cache")
_VALUES = {value: value for value in _COMMON_VALUES}


class RequestHead(NamedTuple):
    """Head of a handshake that has all that it needs.

    Attributes:
        target: path and query string, as they were asked for.
        headers: pairs of lower-case name and value, in their order.
        host: the value of the Host header.
        key: that of Sec-WebSocket-Key.
        subprotocols: those that the client offers, each once.
        extensions: the value of Sec-WebSocket-Extensions; empty where there is none.
        size: its bytes, with the empty line behind it.
    """

    target: str
    headers: list[tuple[bytes, bytes]]
    host: str
    key: bytes
    subprotocols: list[str]
    extensions: str
    size: int


def read_request_head(data: bytes) -> RequestHead | None:
    """Read the head with which data begins, if it is a handshake without anything unusual.

    Whatever is malformed, incomplete, has a body or is of another version is not read, and None is returned: another
    reader then sees all of the data, and finds out what to say of it.
    """
    end = data.find(b"\r\n\r\n", 0, _MOST_BYTES)
    found = _HEAD.fullmatch(data, 0, end) if end > 0 else None
    if found is None:
        return None
    headers, single = _headers(found[2])
    get = single.get
    host, key, subprotocols = get(b"host", b""), get(b"sec-websocket-key", b""), get(b"sec-websocket-protocol")
    extensions, origin = get(b"sec-websocket-extensions", b""), get(b"origin")
    if (
        len(headers) > _MOST_HEADERS
        or _KEY.fullmatch(key) is None
        or _HOST.fullmatch(host) is None
        or get(b"sec-websocket-version") != b"13"
        or get(b"upgrade", b"").lower() != b"websocket"
        or not _has_upgrade(get(b"connection", b""))
        or (origin is not None and _ORIGIN.fullmatch(origin) is None)
        or not extensions.isascii()
    ):
        return None
    offered: list[str] = []
    if subprotocols is not None:
        if _TOKENS.fullmatch(subprotocols) is None:
            return None
        offered = subprotocols.decode().replace(" ", "").split(",")
        if len(set(offered)) != len(offered):
            return None
    return RequestHead(found[1].decode(), headers, host.decode(), key, offered, extensions.decode(), end + 4)


def _headers(lines: bytes) -> tuple[list[tuple[bytes, bytes]], dict[bytes, bytes]]:
    """The headers; and those of which there may be one, which are none at all if anything is unusual."""
    headers: list[tuple[bytes, bytes]] = []
    single: dict[bytes, bytes] = {}
    names, values = _NAMES, _VALUES
    for line in lines[2:].split(b"\r\n"):
        spelt, _, value = line.partition(b":")
        name = names.get(spelt) or spelt.lower()
        value = value.strip(b" \t")
        value = values.get(value, value)
        headers.append((name, value))
        if name in _SINGLE:
            if name in single:
                return [], {}
            single[name] = value
        elif name in _UNUSUAL:
            return [], {}
    return headers, single


def _has_upgrade(connection: bytes) -> bool:
    return connection == b"Upgrade" or b"upgrade" in [token.strip() for token in connection.lower().split(b",")]
