"""Live rooms: rooms that are declared, with typed events and answers, over one socket of a client."""

from __future__ import annotations

from .conflicts import Conflict, conflicts
from .declaration import RoomPermission, declare_room
from .event import RESERVED, Event
from .event_handler import RELAYED, EventHandler
from .hooks import Hook, StateHook
from .live_room import LiveRoom
from .live_route import LIVE_ROUTE, live_routes
from .once import once_calls_ended
from .published_events import published_event
from .room_registry import find, live_rooms
from .socket import LiveSocket

__all__ = [
    "LIVE_ROUTE",
    "RELAYED",
    "RESERVED",
    "Conflict",
    "Event",
    "EventHandler",
    "Hook",
    "LiveRoom",
    "LiveSocket",
    "RoomPermission",
    "StateHook",
    "conflicts",
    "declare_room",
    "find",
    "live_rooms",
    "live_routes",
    "once_calls_ended",
    "published_event",
]
