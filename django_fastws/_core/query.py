"""Query strings, read strictly."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

__all__ = ["QueryError", "parse_query"]


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


def _decode(raw: bytes, number: int) -> str:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise QueryError(f"query parameter number {number} is not UTF-8") from None
