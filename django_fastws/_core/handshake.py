"""What is refused before anything else looks at a handshake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .query import QueryError, parse_query

__all__ = ["refusal"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_MAX_SUBPROTOCOLS = 100
# A quoted cookie may hold escapes such as \000, which databases refuse with an error of their own.
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|\\0[0-3][0-7]|\\177")


def refusal(scope: Mapping[str, Any], max_fields: int | None) -> str | None:
    """Why a handshake is refused with 400, or None if nothing is wrong with it.

    Args:
        scope: the ASGI scope of a WebSocket.
        max_fields: the most parameters of a query string; None disables the limit.
    """
    try:
        parse_query(bytes(scope.get("query_string") or b""), max_fields)
    except QueryError as error:
        return str(error)
    for name, value in scope.get("headers") or ():
        if name == b"cookie" and _CONTROL.search(value):
            return "the Cookie header is malformed"
    subprotocols = list(scope.get("subprotocols") or ())
    if len(subprotocols) > _MAX_SUBPROTOCOLS or not all(map(_TOKEN.fullmatch, subprotocols)):
        return "the Sec-WebSocket-Protocol header is malformed"
    return None
