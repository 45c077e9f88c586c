"""Names for the shapes that the package passes around."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

__all__ = ["ASGIApp", "Address", "Data", "Headers", "Message", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# What send() and broadcast() take: str and bytes go out as text and binary frames, the rest as JSON.
Data = Any

# Header names and values as a caller may give them.
Headers = Mapping[Any, Any] | tuple[tuple[Any, Any], ...] | list[tuple[Any, Any]]


class Address(NamedTuple):
    """One end of a connection. The port is 0 where there is none (a Unix socket)."""

    host: str
    port: int
