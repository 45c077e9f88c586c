"""How much each row does: sizes and times, in full, in short, or as little as shows that it works."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "TINY", "Scale"]


@dataclass(frozen=True)
class Scale:
    """Sizes and times.

    Attributes:
        name: for the results.
        rounds: how often each peer is measured, one after the other in each round.
        seconds: what one measurement of one peer is to take; the number of messages is chosen so that it does.
        members: of the room.
        members_each: of the room in each of two processes.
        echo_sockets: that echo at once.
        idle_sockets: whose memory is measured.
        rooms: numbers of rooms, multiples of ten; the last one is measured against Channels.
        routes: outbound routes in one process.
        curve: numbers of members of the room, for the plot.
    """

    name: str
    rounds: int
    seconds: float
    members: int
    members_each: int
    echo_sockets: int
    idle_sockets: int
    rooms: tuple[int, ...]
    routes: int
    curve: tuple[int, ...]


FULL = Scale(
    name="full",
    rounds=5,
    seconds=1.0,
    members=1_000,
    members_each=500,
    echo_sockets=64,
    idle_sockets=2_000,
    rooms=(10, 100, 1_000, 10_000),
    routes=500,
    curve=(10, 30, 100, 300, 1_000, 3_000, 10_000),
)
QUICK = Scale(
    name="quick",
    rounds=3,
    seconds=0.2,
    members=1_000,
    members_each=500,
    echo_sockets=64,
    idle_sockets=400,
    rooms=(10, 100, 1_000),
    routes=100,
    curve=(10, 300),
)
TINY = Scale(
    name="tiny",
    rounds=1,
    seconds=0.02,
    members=8,
    members_each=4,
    echo_sockets=4,
    idle_sockets=10,
    rooms=(10, 20),
    routes=5,
    curve=(2, 4),
)
