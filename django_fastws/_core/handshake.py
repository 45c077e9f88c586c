"""Validation of a handshake on any server: what is malformed in its scope is denied with 400, before all else."""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from typing import Any

from .headers import is_token
from .query import QueryError, query_fields

__all__ = ["handshake_problem", "offered"]

_MAX_SUBPROTOCOLS = 100
# What HTTP calls invalid (RFC 9110 section 5.5), and browsers never send. What is escaped in a quoted cookie is that
# cookie's own affair: Django writes a line break as \012.
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def handshake_problem(scope: MutableMapping[str, Any], max_fields: int | None) -> str | None:
    """The problem of a malformed handshake, as a text for the client; None if nothing is wrong with it.

    Args:
        scope: the ASGI scope of a WebSocket.
        max_fields: the most parameters of a query string; None disables the limit.
    """
    try:
        query_fields(scope, max_fields)
    except QueryError as error:
        return str(error)
    for name, value in scope.get("headers") or ():
        if name == b"cookie" and _CONTROL.search(value):
            return "the Cookie header is malformed"
    subprotocols = list(scope.get("subprotocols") or ())
    if not subprotocols:
        return None
    names = offered(subprotocols)
    if len(subprotocols) > _MAX_SUBPROTOCOLS or not all(map(is_token, names)) or not names:
        return "the Sec-WebSocket-Protocol header is malformed"
    return None


def offered(subprotocols: Iterable[str] | None) -> list[str]:
    """The subprotocols that a client offered; empty elements of the list are none (RFC 9110 section 5.6.1.2)."""
    return [name for name in subprotocols or () if name]
