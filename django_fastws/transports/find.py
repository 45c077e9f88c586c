"""What carries frames. A wire knows one server; the plain one knows none and works with all."""

from __future__ import annotations

from typing import Any

from ..types import Receive, Scope, Send
from .asgi import Outbound, Wire
from .daphne import DaphneWire, served_scope
from .uvicorn import UvicornWire

__all__ = ["Outbound", "Wire", "find_wire", "served_scope"]

_KNOWN: tuple[Any, ...] = (DaphneWire, UvicornWire)


def find_wire(scope: Scope, receive: Receive, send: Send) -> Wire:
    """The wire for a connection.

    Looks through Channels' session middleware, which wraps ``send`` and leaves WebSocket events alone. Any other
    middleware that wraps ``send`` or ``receive`` keeps its place: then the wire is the plain one, on top of it.
    """
    bare = _unwrap(send)
    sender, receiver = getattr(bare, "__self__", None), getattr(receive, "__self__", None)
    is_whole = receiver is sender
    if isinstance(sender, Wire) and is_whole:
        sender.scope = scope
        return sender
    base = sender if isinstance(sender, Wire) else receiver
    if isinstance(base, Wire):
        return Wire(scope, receive, send, base)
    for known in _KNOWN:
        found = known.find(scope, receive, bare)
        if found is not None:
            result: Wire = found
            return result
    return Wire(scope, receive, send)


def _unwrap(send: Any) -> Any:
    while True:
        wrapper: Any = getattr(send, "__self__", None)
        if type(wrapper).__name__ != "InstanceSessionWrapper" or not hasattr(wrapper, "real_send"):
            return send
        send = wrapper.real_send
