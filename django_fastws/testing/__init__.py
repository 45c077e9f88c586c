"""Tests without a server: a client of sockets, one of live rooms, and a peer of outbound routes."""

from __future__ import annotations

from .client_handshake import HandshakeDenied
from .joined_room import JoinedRoom
from .live_client import LiveClient, live
from .memory import clear_histories
from .peer import Peer, peer
from .received_event import Left, ReceivedEvent
from .websocket import TestWebSocket, connect

__all__ = [
    "HandshakeDenied",
    "JoinedRoom",
    "Left",
    "LiveClient",
    "Peer",
    "ReceivedEvent",
    "TestWebSocket",
    "clear_histories",
    "connect",
    "live",
    "peer",
]
