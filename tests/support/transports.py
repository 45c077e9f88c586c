"""The transport below a socket, which a handler never sees.

Which library or class has connected, how full its buffers are, and that a connection is over before its handler has
noticed: a socket tells none of that, and each is what some tests are about.
"""

from __future__ import annotations

from typing import Any

from django_fastws import WebSocket

__all__ = ["transport_of"]


def transport_of(ws: WebSocket) -> Any:
    """The transport of a socket; of an outbound one, its ``connection`` is the library's."""
    return ws._transport
