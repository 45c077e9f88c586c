"""Rooms: members, broadcasts, and the subscriptions behind them."""

from __future__ import annotations

from .declared import DeclaredRoom, declarations
from .hub import current_hub, ids
from .listener import RoomEvent, RoomListener
from .on_commit import check_no_loop, publish_sync
from .room import Room
from .subscriptions import Subscriptions

__all__ = [
    "DeclaredRoom",
    "Room",
    "RoomEvent",
    "RoomListener",
    "Subscriptions",
    "check_no_loop",
    "current_hub",
    "declarations",
    "ids",
    "publish_sync",
]
