"""One broadcast to a room of so many, against the bare loop; and broadcasts at a steady rate."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import ClassVar

from tests.support.processes import free_port

from ..messages import MESSAGE, READY, encoded, server_frame
from ..peers import OURS, PEERS, Contestant, Dialect
from ..programs import ASGIServer, Program, PythonProgram
from ..row import Bench, Measure, Sample, Target, Watch
from ..sizes import Scale
from .peers import PeerRoom, PeersRoom

__all__ = ["FanOutOfTen", "FanOutOfThousand", "PacedFanOut"]

_PEERS = {"Channels on daphne", "Channels on uvicorn", "websockets"}


def _bare(bench: Bench) -> Program:
    port = free_port()
    return PythonProgram(["bench.sites.bare", str(port)], bench.cores.server, port=port)


def _bare_dialect(port: int) -> Dialect:
    """No handshake: whoever is accepted is told so, and says how many messages all get."""
    hello = re.compile(re.escape(server_frame(READY.encode())), re.DOTALL)
    return Dialect(((b"", hello),), b"1\n", len(server_frame(encoded(MESSAGE))))


def _without_redis(kind: str, bench: Bench) -> Program:
    server = ASGIServer(kind, "ours", bench.cores.server, bench.redis)
    server.environment["BENCH_LAYER"] = "null"
    return server


_BARE = Contestant(
    "bare loop", _bare, _bare_dialect, None, lacks="no WebSockets, no JSON, nothing but the system's calls"
)
_ALONE = tuple(
    replace(one, name=f"{one.name}, no Redis", program=partial(_without_redis, one.name.removeprefix("ours on ")))
    for one in OURS
)


class FanOutOfThousand(PeersRoom):
    """One broadcast at a time to many."""

    name = "fanout-1000"
    unit = "µs"
    digits = 0
    targets = (Target("bare loop", 1.2, is_most=True), Target("websockets", 1, is_most=True))
    lacks: ClassVar[Mapping[str, str]] = {**PeersRoom.lacks, "bare loop": _BARE.lacks}

    @staticmethod
    def members(scale: Scale) -> int:
        """How many there are in the room."""
        return scale.members

    def work(self, scale: Scale) -> str:
        return f"one broadcast to {self.members(scale):,} members, until the last has it"

    def contestants(self) -> Iterable[Contestant]:
        return (*OURS, _BARE, *[peer for peer in PEERS if peer.name in _PEERS])

    def measured(self, contestant: Contestant, program: Program, bench: Bench, stack: ExitStack) -> Measure:
        room = PeerRoom(contestant, program, bench, stack)
        room.join(self.members(bench.scale))
        once = room.milliseconds(3).value / 1000
        times = max(3, min(2_000, round(bench.scale.seconds / once)))

        def measure() -> Sample:
            sample = room.milliseconds(times)
            return replace(sample, value=sample.value * 1000)

        return measure


class FanOutOfTen(FanOutOfThousand):
    """One broadcast at a time to few: the way to the room is most of it. Those without Redis are compared."""

    name = "fanout-10"
    targets = (Target("bare loop", 2, is_most=True),)

    @staticmethod
    def members(scale: Scale) -> int:
        return min(10, scale.members)

    def subject(self, scale: Scale) -> str:
        return _ALONE[0].name

    def contestants(self) -> Iterable[Contestant]:
        return (*_ALONE, *super().contestants())


class PacedFanOut(FanOutOfThousand):
    """Broadcasts at a steady rate, which no server can choose."""

    name = "fanout-paced"
    unit = "ms"
    digits = 1
    rate: ClassVar[float] = 200
    targets = (Target("Channels on daphne", 0.1, is_most=True),)

    def work(self, scale: Scale) -> str:
        return (
            f"{self.rate:g} broadcasts in a second to {self.members(scale):,} members, at a steady rate: until the "
            "last has one, the median"
        )

    def contestants(self) -> Iterable[Contestant]:
        return [one for one in super().contestants() if one is not _BARE]

    def measured(self, contestant: Contestant, program: Program, bench: Bench, stack: ExitStack) -> Measure:
        room = _PacedRoom(contestant, program, bench, stack)
        room.join(self.members(bench.scale))
        room.milliseconds(3)
        return partial(room.paced, self.rate, bench.scale.seconds)


class _PacedRoom(PeerRoom):
    """A room in which somebody speaks at a steady rate."""

    def paced(self, rate: float, seconds: float) -> Sample:
        """What a broadcast takes until the last member has it: the median."""
        with Watch(*self._watched) as watch:
            taken = self.swarm.pace_room(self.members, self._burst(1), self._heard(1), rate, seconds)
        count = len(taken) * len(self.members)
        return watch.sample(statistics.median(taken) * 1000, deliveries=count, latencies=taken)
