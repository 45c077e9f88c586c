"""HTTP headers: those of a handshake that came in, and those of its answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["HANDSHAKE_HEADERS", "MESSAGE_HEADERS", "HeaderMap", "encode_headers", "header_pairs", "is_token"]

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BREAK = re.compile(rb"[\0\r\n]")  # what RFC 9110 section 5.5 calls invalid and dangerous
#: How a message is framed, and what becomes of its connection (RFC 9110 section 7.6.1, RFC 9112 section 6).
MESSAGE_HEADERS = frozenset(
    {b"connection", b"content-length", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding"}
)
# RFC 6455 section 4.2.2: these belong to the server; subprotocol= is the way to the last of them.
HANDSHAKE_HEADERS = MESSAGE_HEADERS | {
    b"upgrade",
    b"sec-websocket-accept",
    b"sec-websocket-extensions",
    b"sec-websocket-protocol",
}


class HeaderMap(Mapping[str, str]):
    """The headers of a request, found whatever their case.

    Args:
        raw: pairs of lower-case name and value, as ASGI has them.
    """

    __slots__ = ("_values", "raw")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.raw = [(bytes(name), bytes(value)) for name, value in raw]
        self._values: dict[str, list[str]] = {}
        for name, value in self.raw:
            self._values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

    def __getitem__(self, name: str) -> str:
        """The value; several of one name are joined by commas, cookies by semicolons (RFC 9110 section 5.3)."""
        if not isinstance(name, str):
            raise KeyError(name)
        key = name.lower()
        return ("; " if key == "cookie" else ", ").join(self._values[key])

    def getlist(self, name: str) -> list[str]:
        """Every value of one name, in order."""
        return list(self._values.get(name.lower(), ()))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"HeaderMap({dict(self)!r})"


def encode_headers(
    headers: Mapping[Any, Any] | Iterable[tuple[Any, Any]],
    forbidden: frozenset[bytes] = frozenset(),
    *,
    allows_controls: bool = False,
) -> list[tuple[bytes, bytes]]:
    """Check and encode headers.

    Args:
        headers: a mapping or pairs; names and values are str (latin-1) or bytes. None means no headers.
        forbidden: lower-case names that may not be among them.
        allows_controls: whether values may hold control characters other than NUL, CR and LF.
    Returns:
        Pairs of lower-case name and value, as ASGI wants them.
    Raises:
        TypeError: a name or value is neither str nor bytes.
        ValueError: a name is no token, a value holds control characters, or a name is forbidden.
    """
    if type(headers) in (list, tuple) and not headers:  # as nearly always, for each handshake
        return []
    if isinstance(headers, (str, bytes)) or not isinstance(headers or (), Iterable):
        raise TypeError(f"headers are a mapping or pairs of name and value, not {type(headers).__name__}")
    encoded = []
    for pair in headers.items() if isinstance(headers, Mapping) else headers or ():
        try:
            if isinstance(pair, (str, bytes)):  # of two characters, it would be taken apart
                raise TypeError
            name, value = pair
        except (TypeError, ValueError):
            raise TypeError(f"headers are pairs of name and value, not {pair!r}") from None
        # Spaces around a value are no part of it (RFC 9110 section 5.5); a line break there is a mistake like any.
        encoded.append((_encode(name, "name").lower(), _encode(value, "value").strip(b" \t")))
    bad_value = _BREAK if allows_controls else _BAD_VALUE
    for name, value in encoded:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is not a header name")
        if bad_value.search(value):
            raise ValueError(f"the value of header {name.decode()!r} holds control characters")
        if name in forbidden:
            raise ValueError(
                f"header {name.decode()!r} is the server's to set"
                + ("; use accept(subprotocol=...)" if name == b"sec-websocket-protocol" else "")
            )
    return encoded


def _encode(value: Any, what: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError(f"header {what} {value!r} has characters outside latin-1") from None
    raise TypeError(f"a header {what} is str or bytes, not {type(value).__name__}")


def is_token(value: object) -> bool:
    """Whether it is a token, as the names of headers and subprotocols are."""
    return isinstance(value, str) and value.isascii() and bool(_TOKEN.fullmatch(value.encode()))


def header_pairs(headers: Any) -> list[tuple[str, str]]:
    """Check the headers of a request that goes out.

    Args:
        headers: a mapping or pairs; names are str or bytes, values too or int. None means no headers.
    Returns:
        Pairs of name and value, both latin-1.
    Raises:
        TypeError, ValueError: they cannot be sent; the text does not repeat a value, which may be a token.
    """
    if headers is None:
        return []
    if isinstance(headers, (str, bytes)) or not isinstance(headers, Iterable):
        raise TypeError(f"headers are a mapping or pairs of name and value, not {type(headers).__name__}")
    checked = []
    for pair in headers.items() if isinstance(headers, Mapping) else headers:
        if isinstance(pair, (str, bytes)) or not isinstance(pair, Iterable) or len(pair := tuple(pair)) != 2:
            raise TypeError("headers are a mapping or pairs of name and value")
        name, value = pair
        if not isinstance(name, (str, bytes)):
            raise TypeError(f"the name of a header is a str, not {type(name).__name__}")
        text = name if isinstance(name, str) else name.decode("latin-1")
        if not is_token(text):
            raise ValueError(f"{text!r} is not a header name")
        checked.append((text, _header_value(text, value)))
    return checked


def _header_value(name: str, value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise TypeError(f"the value of header {name!r} is a str, not {type(value).__name__}")
    text = str(value)
    try:
        encoded = text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"the value of header {name!r} has characters outside latin-1") from None
    if _BAD_VALUE.search(encoded):
        raise ValueError(f"the value of header {name!r} holds control characters, such as a line break at its end")
    return text
