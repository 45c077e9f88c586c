"""What was sent, who was there, and who must have heard it.

A broadcast is **acknowledged** when its sender has received the server's "ok" with its number, which the handler
sends after ``ws.broadcast()`` has returned. A connection is **owed** a broadcast to its room if it had joined before
that was sent, and

- stood to the end, and the broadcast was acknowledged at all; or
- ended after its server was told to stop, and the broadcast had been acknowledged before that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["NEVER", "Broadcast", "Owed", "Stay", "disordered", "owed"]

NEVER = float("inf")


@dataclass
class Broadcast:
    """One broadcast. The sender is a connection, and its numbers grow by one."""

    room: str
    sender: int
    number: int
    sent_at: float
    acknowledged_at: float = NEVER


@dataclass
class Stay:
    """The time of one connection in a room.

    Attributes:
        pid: the process that serves it.
        joined_at: when the server said that it had joined; ``time.monotonic()``, as all times here.
        ended_at: when the close frame came, or the connection was lost.
        heard: the numbers that came, by sender, in their order.
    """

    room: str
    pid: int
    joined_at: float
    ended_at: float = NEVER
    heard: dict[int, list[int]] = field(default_factory=dict)


class Owed(NamedTuple):
    """How many times anybody was owed a broadcast, and those that did not come."""

    count: int
    missing: list[tuple[Broadcast, Stay]]


def owed(broadcasts: Iterable[Broadcast], stays: Iterable[Stay], stops: Mapping[int, float]) -> Owed:
    """Compare what was sent with what came.

    Args:
        stops: when each process that was stopped was about to be told so, by its pid.
    """
    rooms: defaultdict[str, list[Broadcast]] = defaultdict(list)
    for broadcast in broadcasts:
        rooms[broadcast.room].append(broadcast)
    count, missing = 0, []
    for stay in stays:
        # Until then it is certain that the connection stood, whatever was under way when it ended.
        until = NEVER if stay.ended_at == NEVER else stops.get(stay.pid, 0.0)
        heard = {(sender, number) for sender, numbers in stay.heard.items() for number in numbers}
        for broadcast in rooms[stay.room]:
            if stay.joined_at <= broadcast.sent_at and broadcast.acknowledged_at < until <= stay.ended_at:
                count += 1
                if (broadcast.sender, broadcast.number) not in heard:
                    missing.append((broadcast, stay))
    return Owed(count, missing)


def disordered(stays: Iterable[Stay]) -> list[Stay]:
    """The connections that heard a sender's broadcasts twice, or in another order than that of their numbers."""
    return [stay for stay in stays if any(numbers != sorted(set(numbers)) for numbers in stay.heard.values())]
