"""One room: a member says something, and all members get it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import ClassVar

from tests.support.processes import free_port

from ..load import Swarm
from ..messages import MESSAGE, READY, ROOM, client_frame, encoded, server_frame
from ..programs import ASGIServer, Program, PythonProgram, start
from ..row import Bench, Make, Measure, Row, Sample, Target, Watch, calibrate
from ..sizes import Scale

__all__ = ["Latency", "Room", "RoomOnDaphne", "RoomOnUvicorn", "joined", "joined_for_one"]

_SAID = client_frame(encoded(MESSAGE))
_HEARD_BYTES = len(server_frame(encoded(MESSAGE)))
_HELLO = server_frame(READY.encode())
_PATH = f"/room/{ROOM}"
_MOST_BROADCASTS = 2_000
_EVERY = 0.0002  # seconds


class Room:
    """The members of one room, the first of whom speaks.

    Args:
        servers: that the members are spread over.
        helpers: of the load generator, whose share of a core counts as its own.
        swarm: opens their sockets; None for plain ones.
    """

    def __init__(
        self, servers: Sequence[Program], helpers: Sequence[Program], stack: ExitStack, swarm: Swarm | None = None
    ) -> None:
        self._watched = servers, helpers
        self.swarm = stack.enter_context(Swarm()) if swarm is None else swarm
        self.members: list[int] = []
        self.broadcasts = 0  # of a burst

    def join(self, count: int) -> None:
        """Let so many more join on each server."""
        for server in self._watched[0]:
            self.members += self._connect(server, count)

    def _connect(self, server: Program, count: int) -> list[int]:
        return self.swarm.connect(server.listens, [_PATH] * count, _HELLO)

    def _burst(self, broadcasts: int) -> bytes:
        """What the speaker sends for so many broadcasts."""
        return _SAID * broadcasts

    def _heard(self, broadcasts: int) -> int:
        """The bytes that each member gets for the next so many; called once before they are said."""
        return _HEARD_BYTES * broadcasts

    def say(self, broadcasts: int) -> Watch:
        """Say so many things at once, and wait until every member has got every one of them."""
        burst, heard = self._burst(broadcasts), self._heard(broadcasts)
        with Watch(*self._watched) as watch:
            self.swarm.send(self.members[0], burst)
            watch.stop_at(self.swarm.collect(self.members, heard, _EVERY))
        return watch

    def calibrate(self, seconds: float, least: int = 5) -> None:
        """Find out how many broadcasts take about so long."""
        self.say(1)
        self.broadcasts = calibrate(lambda count: self.say(count).seconds, seconds, least, _MOST_BROADCASTS)

    def deliveries(self) -> Sample:
        """Deliveries in a second, of a burst."""
        watch = self.say(self.broadcasts)
        count = self.broadcasts * len(self.members)
        return watch.sample(count / watch.seconds, deliveries=count)

    def milliseconds(self, times: int) -> Sample:
        """How long one broadcast takes until the last member has it: the median of so many, one after the other."""
        taken = []
        with Watch(*self._watched) as watch:
            for _ in range(times):
                said, heard = self._burst(1), self._heard(1)
                started = time.perf_counter()
                self.swarm.send(self.members[0], said)
                taken.append(self.swarm.collect(self.members, heard) - started)
        return watch.sample(statistics.median(taken) * 1000, deliveries=times * len(self.members), latencies=taken)

    def processor_microseconds(self, times: int) -> Sample:
        """How long the servers' processors work for one broadcast: the mean of so many, one after the other."""
        with Watch(*self._watched) as watch:
            for _ in range(times):
                said, heard = self._burst(1), self._heard(1)
                self.swarm.send(self.members[0], said)
                self.swarm.collect(self.members, heard)
        return watch.sample(watch.busy * watch.seconds / times * 1e6)


def joined(room: Room, count: int, scale: Scale) -> Measure:
    """Let so many join on each server; returns what measures their deliveries."""
    room.join(count)
    room.calibrate(scale.seconds)
    return room.deliveries


def joined_for_one(room: Room, count: int, scale: Scale) -> Measure:
    """Let so many join on each server; returns what measures how long one broadcast takes."""
    room.join(count)
    once = room.milliseconds(3).value / 1000
    times = max(3, min(200, round(scale.seconds / once)))
    return partial(room.milliseconds, times)


class _BareRoom(Room):
    """Plain sockets, to which a loop sends."""

    def _connect(self, server: Program, count: int) -> list[int]:
        members = self.swarm.dial(server.listens, count)
        self.swarm.collect(members, len(_HELLO))  # it has accepted them all
        return members

    def _burst(self, broadcasts: int) -> bytes:
        return b"%d\n" % broadcasts


class _Broadcasts(Row):
    """A burst, and the machine's own limit."""

    kind: ClassVar[str]
    unit = "deliveries/s"

    def work(self, scale: Scale) -> str:
        return f"one room, {scale.members:,} members, a burst of broadcasts by one of them; {self.kind}"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        ours, channels = (
            ASGIServer(self.kind, site, bench.cores.server, bench.redis) for site in ("ours", "channels_peer")
        )
        port = free_port()
        bare = PythonProgram(["bench.sites.bare", str(port)], bench.cores.server, port=port)
        start(stack, [ours, channels, bare])
        rooms = {
            "ours": Room([ours], [bench.redis], stack),
            "Channels": Room([channels], [bench.redis], stack),
            "bare loop": _BareRoom([bare], [], stack),
        }
        return {name: partial(joined, room, bench.scale.members, bench.scale) for name, room in rooms.items()}


class RoomOnDaphne(_Broadcasts):
    """On stock daphne."""

    name = "room-daphne"
    kind = "daphne"
    targets = (Target("Channels", 30), Target("bare loop", 0.2))


class RoomOnUvicorn(_Broadcasts):
    """On stock uvicorn."""

    name = "room-uvicorn"
    kind = "uvicorn"
    targets = (Target("Channels", 25),)


class Latency(Row):
    """One broadcast at a time."""

    name = "latency"
    unit = "ms"
    less_is_better = True
    digits = 1
    targets = (Target("Channels", round(1 / 15, 3), is_most=True),)

    def work(self, scale: Scale) -> str:
        return f"one broadcast to {scale.members:,} members, until the last has it; daphne"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        servers = {
            "ours": ASGIServer("daphne", "ours", bench.cores.server, bench.redis),
            "Channels": ASGIServer("daphne", "channels_peer", bench.cores.server, bench.redis),
        }
        start(stack, servers.values())
        return {name: partial(self._joined, bench, server, stack) for name, server in servers.items()}

    @staticmethod
    def _joined(bench: Bench, server: Program, stack: ExitStack) -> Measure:
        room = Room([server], [bench.redis], stack)
        return joined_for_one(room, bench.scale.members, bench.scale)
