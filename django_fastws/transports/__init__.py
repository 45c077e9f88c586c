"""Transports: what carries the events of a connection between a server and a WebSocket."""

from __future__ import annotations

from .addresses import address_of
from .asgi import ASGITransport
from .daphne_handshake import served_scope
from .find import find_transport
from .pings import Pongs
from .polling import POLL_SECONDS
from .progress import PingProgress, acknowledged_bytes
from .transport import InboundTransport, OutboundTransport, Transport
from .twisted import release_senders, request_has_room, tcp_below, transport_has_room, unsent_bytes

__all__ = [
    "POLL_SECONDS",
    "ASGITransport",
    "InboundTransport",
    "OutboundTransport",
    "PingProgress",
    "Pongs",
    "Transport",
    "acknowledged_bytes",
    "address_of",
    "find_transport",
    "release_senders",
    "request_has_room",
    "served_scope",
    "tcp_below",
    "transport_has_room",
    "unsent_bytes",
]
