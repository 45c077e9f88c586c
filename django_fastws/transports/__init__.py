"""Transports: what carries the events of a connection between a server and a WebSocket."""

from __future__ import annotations

from .addresses import address_of
from .asgi import ASGITransport
from .daphne_handshake import served_scope
from .daphne_reading import apply_mask, largest_message
from .deflating import shared_deflater
from .find import find_transport
from .inbox import Inbox
from .pings import Pongs
from .polling import POLL_SECONDS
from .progress import PingProgress, acknowledged_bytes
from .transport import InboundTransport, OutboundInbox, OutboundTransport, Transport
from .twisted import read_directly, release_senders, request_has_room, tcp_below, transport_has_room, unsent_bytes

__all__ = [
    "POLL_SECONDS",
    "ASGITransport",
    "Inbox",
    "InboundTransport",
    "OutboundInbox",
    "OutboundTransport",
    "PingProgress",
    "Pongs",
    "Transport",
    "acknowledged_bytes",
    "address_of",
    "apply_mask",
    "find_transport",
    "largest_message",
    "read_directly",
    "release_senders",
    "request_has_room",
    "served_scope",
    "shared_deflater",
    "tcp_below",
    "transport_has_room",
    "unsent_bytes",
]
