"""Tests without a server: a client of sockets, one of live rooms, and a peer of outbound routes."""

from __future__ import annotations

from .client_handshake import HandshakeDenied
from .joined_room import JoinedRoom
from .live_client import LiveClient, live
from .memory import clear_histories
from .peer import Peer, peer
from .received_event import Left, ReceivedEvent
from .seen_presence import PresentOne, ReceivedPresence
from .virtual_time import VirtualTime, virtual_time
from .websocket import TestWebSocket, connect

__all__ = [
    "HandshakeDenied",
    "JoinedRoom",
    "Left",
    "LiveClient",
    "Peer",
    "PresentOne",
    "ReceivedEvent",
    "ReceivedPresence",
    "TestWebSocket",
    "VirtualTime",
    "clear_histories",
    "connect",
    "live",
    "peer",
    "virtual_time",
]
