"""WebSocket: what a handler holds, whether the connection came in or went out, and the errors of it."""

from __future__ import annotations

from .._core.connection_state import ClientState
from .._core.messages import WebSocketMessage
from ..exceptions import (
    InvalidMessage,
    LiveError,
    MessageTooBig,
    WebSocketConnectionError,
    WebSocketDisconnect,
    WebSocketError,
    WebSocketException,
    WebSocketStateError,
)
from .base import WebSocket
from .inbound import InboundWebSocket
from .open_sockets import current_sockets as current_sockets  # for this package
from .outbound import OutboundWebSocket

__all__ = [
    "ClientState",
    "InboundWebSocket",
    "InvalidMessage",
    "LiveError",
    "MessageTooBig",
    "OutboundWebSocket",
    "WebSocket",
    "WebSocketConnectionError",
    "WebSocketDisconnect",
    "WebSocketError",
    "WebSocketException",
    "WebSocketMessage",
    "WebSocketStateError",
]
