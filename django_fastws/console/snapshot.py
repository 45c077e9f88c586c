"""Snapshot: what is read of all processes at once, and the rates between two of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from .inspection import read_busiest_rooms, read_processes, read_routes
from .rows import ProcessRow, RoomRow, RouteRow, RowPage

__all__ = ["Snapshot", "cpu_shares", "read_snapshot", "totals_per_second"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read at one moment.

    Attributes:
        at: when, in seconds of a clock that only grows.
        time: when, in seconds since 1970.
        processes: all of them.
        rooms: those with most members.
        routes: outbound routes.
    """

    at: float
    time: float
    processes: RowPage[ProcessRow]
    rooms: RowPage[RoomRow]
    routes: RowPage[RouteRow]

    @property
    def sockets(self) -> int:
        """Sockets of all processes that have answered."""
        return sum(row.sockets for row in self.processes.rows)

    @property
    def users(self) -> int:
        """Users, each counted in every process where it is connected."""
        return sum(row.users for row in self.processes.rows)

    @property
    def sockets_by_route(self) -> list[tuple[str, int]]:
        """How many sockets each route has, the most first."""
        found: Counter[str] = Counter()
        for row in self.processes.rows:
            found.update(row.sockets_by_route)
        return sorted(found.items(), key=lambda item: (-item[1], item[0]))

    @property
    def errors(self) -> list[str]:
        """What is missing, one line each."""
        missing = max(self.processes.missing, self.rooms.missing, self.routes.missing)
        lines = [f"{missing} process{'' if missing == 1 else 'es'} did not answer in time"] if missing else []
        errors = {**self.routes.errors, **self.rooms.errors, **self.processes.errors}
        return lines + [f"{name}: {error}" for name, error in sorted(errors.items())]


async def read_snapshot(*, rooms: int = 50, seconds: float = 1.0) -> Snapshot:
    """Read what there is now.

    Args:
        rooms: how many of the busiest are wanted.
        seconds: the deadline of each part.
    Raises:
        WebSocketConnectionError: the channel layer cannot be reached in time.
    """
    processes, busiest, routes = await asyncio.gather(
        read_processes(seconds=seconds),
        read_busiest_rooms(rooms, seconds=seconds),
        read_routes(seconds=seconds),
    )
    return Snapshot(time.monotonic(), time.time(), processes, busiest, routes)


def totals_per_second(now: Snapshot, before: Snapshot | None) -> dict[str, float] | None:
    """By how much each counter has grown in a second, over the processes that are in both snapshots.

    Returns:
        The rates by the names of ``ProcessRow.counters``; None without a snapshot before.
    """
    if before is None or now.at <= before.at:
        return None
    earlier = {row.name: row.counters for row in before.processes.rows}
    rates: dict[str, float] = {}
    for row in now.processes.rows:
        if row.name in earlier:
            for name, value in row.counters.items():
                grown = max(0.0, value - earlier[row.name].get(name, 0.0))
                rates[name] = rates.get(name, 0.0) + grown / (now.at - before.at)
    return rates


def cpu_shares(now: Snapshot, before: Snapshot | None) -> dict[str, float]:
    """The share of one processor that each process has taken between two snapshots, by its name."""
    if before is None or now.at <= before.at:
        return {}
    earlier = {row.name: row.cpu_seconds for row in before.processes.rows}
    return {
        row.name: max(0.0, row.cpu_seconds - was) / (now.at - before.at)
        for row in now.processes.rows
        if row.cpu_seconds is not None and (was := earlier.get(row.name)) is not None
    }
