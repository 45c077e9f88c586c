"""Transports: what carries the events of a connection between a server and a WebSocket."""

from __future__ import annotations

from .addresses import address_of
from .asgi import ASGITransport
from .daphne import served_scope
from .find import find_transport
from .pongs import Pongs
from .progress import PingProgress, acknowledged_bytes
from .transport import OutboundTransport, Transport
from .twisted import SharedProducer, unsent_bytes, until_drained

__all__ = [
    "ASGITransport",
    "OutboundTransport",
    "PingProgress",
    "Pongs",
    "SharedProducer",
    "Transport",
    "acknowledged_bytes",
    "address_of",
    "find_transport",
    "served_scope",
    "unsent_bytes",
    "until_drained",
]
