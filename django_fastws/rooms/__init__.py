"""Rooms: members, broadcasts, and the subscriptions behind them."""

from __future__ import annotations

from .hub import current_hub, ids
from .on_commit import check_no_loop, publish_sync
from .room import Room
from .subscriptions import Subscriptions

__all__ = [
    "Room",
    "Subscriptions",
    "check_no_loop",
    "current_hub",
    "ids",
    "publish_sync",
]
