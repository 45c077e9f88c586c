"""The rows of the table, in its order."""

from __future__ import annotations

from ..row import Row
from .curve import Curve
from .echo import EchoOnDaphne, EchoOnUvicorn
from .history import (
    HistoryLatency,
    HistoryOnDaphne,
    HistoryOnRunwsServer,
    HistoryOnUvicorn,
    Recovery,
    RecoveryReads,
    StoreFromLoop,
    StoreFromThreads,
)
from .live import CallOnDaphne, CallOnRunwsServer, CallOnUvicorn, LiveMemory, OneCallOnDaphne, OneCallOnUvicorn
from .memory import Memory
from .outbound import OutboundConnect, OutboundFlood, OutboundMemory, OutboundPicows
from .processes import TwoProcesses
from .room import Latency, RoomOnDaphne, RoomOnUvicorn
from .rooms import ManyRooms, RoomsGrow
from .sync import SyncBroadcast

__all__ = ["ROWS"]

#: By name.
ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        RoomOnDaphne(),
        RoomOnUvicorn(),
        Latency(),
        EchoOnDaphne(),
        EchoOnUvicorn(),
        CallOnDaphne(),
        CallOnRunwsServer(),
        CallOnUvicorn(),
        OneCallOnDaphne(),
        OneCallOnUvicorn(),
        Memory(),
        LiveMemory(),
        HistoryOnDaphne(),
        HistoryOnRunwsServer(),
        HistoryOnUvicorn(),
        HistoryLatency(),
        Recovery(),
        RecoveryReads(),
        StoreFromLoop(),
        StoreFromThreads(),
        SyncBroadcast(),
        ManyRooms(),
        RoomsGrow(),
        TwoProcesses(),
        OutboundFlood(),
        OutboundPicows(),
        OutboundConnect(),
        OutboundMemory(),
        Curve(),
    )
}
