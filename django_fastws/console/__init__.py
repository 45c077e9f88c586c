"""Console: what operators see of all processes, sockets, rooms and outbound routes, and what they do to them.

Pulled, not pushed: whoever wants to see something asks all processes over the channel layer, with a deadline
(``inspection.py``), and actions answer what was really done (``acting.py``).
"""

from __future__ import annotations

from .acting import close_sockets, drain_process, kick, restart_route
from .inspection import (
    read_busiest_rooms,
    read_processes,
    read_rooms,
    read_routes,
    read_socket,
    read_sockets,
)
from .room_inspection import read_room
from .route_topics import OutboundRoutes, outbound_routes
from .rows import (
    ORDERS,
    ActionResult,
    ProcessRow,
    RoomDetail,
    RoomRow,
    RouteRow,
    RowPage,
    SocketDetail,
    SocketRow,
    SocketSearch,
)
from .snapshot import Snapshot, cpu_shares, read_snapshot, totals_per_second

__all__ = [
    "ORDERS",
    "ActionResult",
    "OutboundRoutes",
    "RowPage",
    "ProcessRow",
    "RoomDetail",
    "RoomRow",
    "RouteRow",
    "Snapshot",
    "SocketDetail",
    "SocketRow",
    "SocketSearch",
    "close_sockets",
    "cpu_shares",
    "drain_process",
    "kick",
    "outbound_routes",
    "read_busiest_rooms",
    "read_processes",
    "read_room",
    "read_rooms",
    "read_routes",
    "read_snapshot",
    "read_socket",
    "read_sockets",
    "restart_route",
    "totals_per_second",
]
