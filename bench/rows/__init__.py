"""The rows of the table, in its order."""

from __future__ import annotations

from ..row import Row
from .capacity import Capacity
from .console import Console
from .counting import EchoCounted, RoomCounted
from .curve import Curve
from .deflate import DeflateEcho, DeflateFanOut
from .echo import (
    EchoOnDaphne,
    EchoOnRunwsServer,
    EchoOnUvicorn,
    OneEchoOnDaphne,
    OneEchoOnRunwsServer,
    OneEchoOnUvicorn,
)
from .fanout import FanOutOfTen, FanOutOfThousand, PacedFanOut
from .handshakes import (
    AnonymousOnDaphne,
    AnonymousOnRunwsServer,
    AnonymousOnUvicorn,
    UsersOnDaphne,
    UsersOnRunwsServer,
    UsersOnUvicorn,
)
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
from .memory import Memory, MemoryOfUsers
from .outbound import OutboundConnect, OutboundFlood, OutboundMemory, OutboundPicows
from .pauses import StallConnect, StallIdle
from .peers import EchoLatency, PeersEcho, PeersOneEcho, PeersRoom
from .presence import PresenceCommands
from .processes import TwoProcesses
from .room import Latency, RoomOnDaphne, RoomOnUvicorn
from .rooms import ManyRooms, RoomsGrow
from .sync import SyncBroadcast
from .tls import TLSEcho, TLSFanOut

__all__ = ["ROWS"]

#: By name.
ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        RoomOnDaphne(),
        RoomOnUvicorn(),
        Latency(),
        FanOutOfThousand(),
        FanOutOfTen(),
        PacedFanOut(),
        EchoOnDaphne(),
        EchoOnRunwsServer(),
        EchoOnUvicorn(),
        OneEchoOnDaphne(),
        OneEchoOnRunwsServer(),
        OneEchoOnUvicorn(),
        CallOnDaphne(),
        CallOnRunwsServer(),
        CallOnUvicorn(),
        OneCallOnDaphne(),
        OneCallOnUvicorn(),
        EchoCounted(),
        RoomCounted(),
        UsersOnDaphne(),
        UsersOnRunwsServer(),
        UsersOnUvicorn(),
        AnonymousOnDaphne(),
        AnonymousOnRunwsServer(),
        AnonymousOnUvicorn(),
        Memory(),
        MemoryOfUsers(),
        LiveMemory(),
        StallConnect(),
        StallIdle(),
        HistoryOnDaphne(),
        HistoryOnRunwsServer(),
        HistoryOnUvicorn(),
        HistoryLatency(),
        Recovery(),
        RecoveryReads(),
        StoreFromLoop(),
        StoreFromThreads(),
        PresenceCommands(),
        Console(),
        SyncBroadcast(),
        TLSEcho(),
        TLSFanOut(),
        DeflateEcho(),
        DeflateFanOut(),
        ManyRooms(),
        RoomsGrow(),
        TwoProcesses(),
        OutboundFlood(),
        OutboundPicows(),
        OutboundConnect(),
        OutboundMemory(),
        PeersRoom(),
        PeersEcho(),
        PeersOneEcho(),
        EchoLatency(),
        Capacity(),
        Curve(),
    )
}
