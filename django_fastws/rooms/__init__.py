"""Rooms: members, broadcasts, and the subscriptions behind them."""

from __future__ import annotations

from .._core.history import History
from .._core.latest import Latest
from .._core.positions import Position
from .._core.present import Presence, Present
from .attendances import Attendance
from .broadcasts import RoomBroadcast, broadcast_all
from .database_history import database_of_histories
from .declared import DeclaredRoom, declarations, history_of, latest_of, pattern_of, presence_of
from .held_broadcasts import HeldBroadcasts, behind
from .histories_by_name import room_history
from .history_rows import Pruned, begin_anew, missing_tables, prune, rooms_with_rows
from .hub import current_hub, ids
from .latest_rooms import encode_values
from .listener import RoomEvent, RoomListener
from .local_room import LocalRoom, Member
from .on_commit import check_no_loop, publish_sync
from .page_position import page_position
from .presence_reading import presence_store
from .presence_reporter import current_presence, forget_presence, rest_presence
from .presence_rooms import PresenceRoom
from .resumption import Joined, count_joined, join_since, resume
from .room import Room
from .room_traces import begin_broadcast
from .stored import Stored
from .subscriptions import Subscriptions

__all__ = [
    "Attendance",
    "DeclaredRoom",
    "Joined",
    "Latest",
    "HeldBroadcasts",
    "History",
    "LocalRoom",
    "Member",
    "Position",
    "Presence",
    "PresenceRoom",
    "Present",
    "Pruned",
    "Room",
    "RoomBroadcast",
    "RoomEvent",
    "RoomListener",
    "Stored",
    "Subscriptions",
    "begin_broadcast",
    "behind",
    "begin_anew",
    "broadcast_all",
    "check_no_loop",
    "count_joined",
    "current_hub",
    "current_presence",
    "forget_presence",
    "database_of_histories",
    "declarations",
    "encode_values",
    "history_of",
    "join_since",
    "latest_of",
    "ids",
    "missing_tables",
    "page_position",
    "pattern_of",
    "presence_of",
    "presence_store",
    "prune",
    "publish_sync",
    "rest_presence",
    "resume",
    "room_history",
    "rooms_with_rows",
]
