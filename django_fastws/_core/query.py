"""Query strings, read strictly."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

__all__ = ["QueryError", "parse_query", "query_fields"]

_FIELDS = "django_fastws.query"  # of an ASGI scope: a query string, and its fields


class QueryError(ValueError):
    """A query string that is malformed; the text says why."""


def parse_query(raw: bytes, max_fields: int | None = 1000) -> list[tuple[str, str]]:
    """Take a query string apart.

    >>> parse_query(b"q=caf%C3%A9+noir&tag=a&tag=b&empty=")
    [('q', 'café noir'), ('tag', 'a'), ('tag', 'b'), ('empty', '')]

    Args:
        raw: what stands behind the question mark, percent-encoded UTF-8.
        max_fields: the most fields that are read; None disables the limit.
    Raises:
        QueryError: too many fields, or bytes that are not UTF-8.
    """
    if not raw:
        return []
    if max_fields is not None and raw.count(b"&") >= max_fields:
        raise QueryError(f"the query string has more than {max_fields} parameters")
    fields = []
    for number, field in enumerate(raw.split(b"&"), 1):
        if field:
            name, _, value = field.partition(b"=")
            fields.append((_decode(name, number), _decode(value, number)))
    return fields


def query_fields(scope: MutableMapping[str, Any], max_fields: int | None) -> list[tuple[str, str]]:
    """The fields of a scope's query string, which is parsed once: the scope keeps them.

    Args:
        scope: the ASGI scope of a WebSocket.
        max_fields: as for ``parse_query``, which raises the same.
    """
    raw = bytes(scope.get("query_string") or b"")
    if not raw:
        return []
    known: tuple[bytes, list[tuple[str, str]]] | None = scope.get(_FIELDS)
    if known is None or known[0] != raw:  # middleware may have changed it
        known = scope[_FIELDS] = raw, parse_query(raw, max_fields)
    return known[1]


def _decode(raw: bytes, number: int) -> str:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise QueryError(f"query parameter number {number} is not UTF-8") from None
