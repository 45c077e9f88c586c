"""Choice of the transport of a connection: each knows one server; the plain one knows none and works with all."""

from __future__ import annotations

from typing import Any, cast

from ..log_fields import keep_state
from ..types import CallScope, Receive, Scope, Send
from .asgi import ASGITransport
from .daphne import DaphneTransport
from .uvicorn import UvicornTransport

__all__ = ["ASGITransport", "find_transport"]

_KNOWN: tuple[Any, ...] = (DaphneTransport, UvicornTransport)


def find_transport(called: CallScope, receive: Receive, send: Send) -> ASGITransport:
    """The transport for a connection.

    Looks through Channels' session middleware, which wraps ``send`` and leaves WebSocket events alone. Any other
    middleware that wraps ``send`` or ``receive`` keeps its place: then the transport is the plain one, on top of it.
    """
    scope = cast("Scope", called)  # a dict, whatever type it has elsewhere
    bare, sender, receiver = send, getattr(send, "__self__", None), getattr(receive, "__self__", None)
    if not isinstance(sender, ASGITransport):
        bare = _unwrap(send)
        sender = getattr(bare, "__self__", None)
    is_whole = receiver is sender
    if isinstance(sender, ASGITransport) and is_whole:
        keep_state(scope, sender.state)  # middleware may have made a scope of its own
        sender.scope = scope
        return sender
    base = sender if isinstance(sender, ASGITransport) else receiver
    if isinstance(base, ASGITransport):
        return ASGITransport(scope, receive, send, base)
    for known in _KNOWN:
        found = known.find(scope, receive, bare)
        if found is not None:
            result: ASGITransport = found
            return result
    return ASGITransport(scope, receive, send)


def _unwrap(send: Any) -> Any:
    while True:
        wrapper: Any = getattr(send, "__self__", None)
        if type(wrapper).__name__ != "InstanceSessionWrapper" or not hasattr(wrapper, "real_send"):
            return send
        send = wrapper.real_send
