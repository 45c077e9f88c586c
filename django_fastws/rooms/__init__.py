"""Rooms: members, broadcasts, and the subscriptions behind them."""

from __future__ import annotations

from .._core.history import History
from .._core.latest import Latest
from .._core.positions import Position
from .database_history import database_of_histories
from .declared import DeclaredRoom, declarations, history_of
from .held_broadcasts import HeldBroadcasts, behind
from .history_rows import Pruned, begin_anew, missing_tables, prune, rooms_with_rows
from .hub import current_hub, ids
from .latest_rooms import encode_values
from .listener import RoomEvent, RoomListener
from .on_commit import check_no_loop, publish_sync
from .page_position import page_position
from .resumption import Joined, join_since, resume
from .room import Room
from .stored import Stored
from .subscriptions import Subscriptions

__all__ = [
    "DeclaredRoom",
    "Joined",
    "Latest",
    "HeldBroadcasts",
    "History",
    "Position",
    "Pruned",
    "Room",
    "RoomEvent",
    "RoomListener",
    "Stored",
    "Subscriptions",
    "behind",
    "begin_anew",
    "check_no_loop",
    "current_hub",
    "database_of_histories",
    "declarations",
    "encode_values",
    "history_of",
    "join_since",
    "ids",
    "missing_tables",
    "page_position",
    "prune",
    "publish_sync",
    "resume",
    "rooms_with_rows",
]
