"""Many rooms with two members each: what a broadcast costs, and whether the other rooms make it dearer."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache, partial

from ..load import Swarm
from ..messages import READY, client_frame, encoded, room_message, room_name, server_frame
from ..programs import ASGIServer, start
from ..row import Bench, Make, Measure, Row, Sample, Skipped, Target, Watch, calibrate
from ..sizes import Scale

__all__ = ["ManyRooms", "RoomsGrow"]

_HELLO = server_frame(READY.encode())
_HEARD_BYTES = len(server_frame(encoded(room_message(0))))
#: Ten rooms share five sockets, each of which is in four of them: so that 10,000 rooms of two need no more than 5,000
#: sockets, which most systems allow.
_BLOCK, _BLOCK_SOCKETS = 10, 5
#: Broadcasts under way at once, in as many rooms.
_WINDOW = 10


class _Rooms:
    """So many rooms on one server; a multiple of ten."""

    def __init__(self, server: ASGIServer, count: int, bench: Bench, stack: ExitStack) -> None:
        sockets = count * _BLOCK_SOCKETS // _BLOCK
        if sockets + 200 > bench.open_files:
            raise Skipped(
                f"needs {sockets + 200:,} open files, and {bench.open_files:,} are allowed: see `ulimit -n`"
            )
        self._watched = [server], [bench.redis]
        self._seconds = bench.scale.seconds
        self._swarm = stack.enter_context(Swarm())
        pairs = [_pair(number) for number in range(count)]
        rooms_of: list[list[str]] = [[] for _ in range(sockets)]
        for number, pair in enumerate(pairs):
            for socket in pair:
                rooms_of[socket].append(f"room={room_name(number)}")
        members = self._swarm.connect(server.listens, ["/rooms?" + "&".join(rooms) for rooms in rooms_of], _HELLO)
        self._turns = [
            (members[first], (members[first], members[second]), client_frame(encoded(room_message(number))))
            for number, (first, second) in enumerate(pairs)
        ]

    def measure(self, speaking: int | None = None, *, costs: bool = False) -> Measure:
        """What measures broadcasts in the first so many rooms by turns, or in all.

        Args:
            costs: what a broadcast costs the server, in microseconds of its core; else broadcasts in a second.
        """
        turns = itertools.cycle(self._turns[:speaking])

        def relay(broadcasts: int) -> Watch:
            some = list(itertools.islice(turns, broadcasts))
            with Watch(*self._watched) as watch:
                self._swarm.relay(some, _HEARD_BYTES, _WINDOW)
            return watch

        relay(len(self._turns[:speaking]))  # to warm up
        count = calibrate(lambda broadcasts: relay(broadcasts).seconds, self._seconds, _WINDOW)

        def measured() -> Sample:
            watch = relay(count)
            return watch.sample(watch.busy * watch.seconds * 1e6 / count if costs else count / watch.seconds)

        return measured


def _pair(number: int) -> tuple[int, int]:
    """The sockets that are in a room."""
    block, inside = divmod(number, _BLOCK)
    first = block * _BLOCK_SOCKETS
    return first + inside % _BLOCK_SOCKETS, first + (inside + 1) % _BLOCK_SOCKETS


class ManyRooms(Row):
    """Against Channels."""

    name = "rooms"
    unit = "broadcasts/s"
    targets = (Target("Channels", 5),)

    def work(self, scale: Scale) -> str:
        return f"{scale.rooms[-1]:,} rooms with two members each, broadcasts in all of them by turns; daphne"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        servers = {
            "ours": ASGIServer("daphne", "ours", bench.cores.server, bench.redis),
            "Channels": ASGIServer("daphne", "channels_peer", bench.cores.server, bench.redis),
        }
        start(stack, servers.values())
        count = bench.scale.rooms[-1]
        return {name: partial(self._opened, server, count, bench, stack) for name, server in servers.items()}

    @staticmethod
    def _opened(server: ASGIServer, count: int, bench: Bench, stack: ExitStack) -> Measure:
        return _Rooms(server, count, bench, stack).measure()


class RoomsGrow(Row):
    """Against itself with fewer rooms. The same ten rooms speak, and the others are only there."""

    name = "rooms-grow"
    unit = "µs/broadcast"
    less_is_better = True
    digits = 1

    def work(self, scale: Scale) -> str:
        first, last = scale.rooms[0], scale.rooms[-1]
        return (
            f"time of the server for one broadcast to a room of two, in ten rooms by turns, "
            f"as rooms grow from {first:,} to {last:,}; daphne"
        )

    def subject(self, scale: Scale) -> str:
        return _named(scale.rooms[-1])

    def targets_at(self, scale: Scale) -> tuple[Target, ...]:
        return tuple(Target(_named(count), 1.2, is_most=True) for count in scale.rooms[:-1])

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        counts = sorted(bench.scale.rooms, reverse=True)
        servers = {
            count: ASGIServer("daphne", "ours", bench.cores.server, bench.redis, cluster=str(count))
            for count in counts
        }
        start(stack, servers.values())
        opened = cache(lambda count: _Rooms(servers[count], count, bench, stack))
        makes: dict[str, Make] = {
            _named(count): lambda count=count: opened(count).measure(_BLOCK, costs=True)  # type: ignore[misc]
            for count in counts
        }
        makes["all of them speak"] = lambda: opened(counts[0]).measure(costs=True)
        return makes


def _named(count: int) -> str:
    return f"{count:,} rooms"
