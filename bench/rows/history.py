"""Rooms with history, next to the same without: what storing costs, and how long it takes all to come back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, ClassVar

from websockets.sync.client import connect

from tests.support.processes import HOST

from ..load import Lost
from ..messages import COUNTS, PASSED, SAID, STORED, TASKS, THREADS, client_frame, encoded, server_frame
from ..programs import ASGIServer, Program, PythonProgram, site_environment, start
from ..returning import ReturningClients
from ..row import Bench, Make, Measure, Row, Sample, Target, Watch, calibrate
from ..sizes import Scale
from .live import join_live
from .room import Room, joined, joined_for_one

__all__ = [
    "HistoryLatency",
    "HistoryOnDaphne",
    "HistoryOnRunwsServer",
    "HistoryOnUvicorn",
    "Recovery",
    "RecoveryReads",
    "StoreFromLoop",
    "StoreFromThreads",
]

_WITHOUT = "without history"
_ROOMS = {"ours": STORED, _WITHOUT: PASSED}
_MISSED = 100  # events, of clients that are away
_PAUSE = 0.02  # seconds between events while they come back
_PATIENCE = 10.0
_SERVERS = 2


class _LiveRoom(Room):
    """Live members of one room; the first of them sends events that all get. Their positions grow longer."""

    def __init__(self, name: str, servers: Sequence[Program], helpers: Sequence[Program], stack: ExitStack) -> None:
        super().__init__(servers, helpers, stack)
        self._name = name
        self._at = _newest(servers[0].listens, name)
        self._event = client_frame(encoded({"room": name, "event": "say", "data": SAID}))
        self._sizes: dict[int, int] = {}

    def _connect(self, server: Program, count: int) -> list[int]:
        return join_live(self.swarm, server.listens, count, self._name, self._at)

    def _burst(self, broadcasts: int) -> bytes:
        return self._event * broadcasts

    def _heard(self, broadcasts: int) -> int:
        if self._at is None:
            return broadcasts * self._size("")
        epoch, _, offset = self._at.partition(":")
        last = int(offset) + broadcasts
        self._at = f"{epoch}:{last}"
        return sum([self._size(f"{epoch}:{number}") for number in range(int(offset) + 1, last + 1)])

    def _size(self, at: str) -> int:
        size = self._sizes.get(len(at))
        if size is None:
            event = {"room": self._name, "event": "said", "data": SAID} | ({"at": at} if at else {})
            size = self._sizes[len(at)] = len(server_frame(encoded(event)))
        return size


def _ask(port: int, *frames: dict[str, Any]) -> Any:
    """What a server answers to the last of some frames."""
    answer = None
    with connect(f"ws://{HOST}:{port}/ws/live", compression=None) as client:
        for frame in frames:
            client.send(encoded(frame | {"id": 1}), text=True)
            answer = json.loads(client.recv())["ok"]
    return answer


def _newest(port: int, room: str) -> str | None:
    """The newest position of a room; None without a history."""
    at: str | None = _ask(port, {"join": room}).get("at")
    return at


def _reads(servers: Sequence[ASGIServer]) -> int:
    """How often these have read a history for members that came back."""
    frames = {"join": COUNTS}, {"room": COUNTS, "event": "reads", "data": {}}
    return sum([_ask(server.listens, *frames) for server in servers])


def _server(kind: str, bench: Bench) -> ASGIServer:
    return ASGIServer(kind, "ours", bench.cores.server, bench.redis, consumers="history")


class _WithAndWithout(Row):
    """Two rooms on one server."""

    kind: ClassVar[str] = "daphne"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        server = _server(self.kind, bench)
        start(stack, [server])
        return {peer: partial(self._made, room, server, bench, stack) for peer, room in _ROOMS.items()}

    def _made(self, name: str, server: ASGIServer, bench: Bench, stack: ExitStack) -> Measure:
        room = _LiveRoom(name, [server], [bench.redis], stack)
        return self._measure(room, bench.scale)

    def _measure(self, room: Room, scale: Scale) -> Measure:
        raise NotImplementedError


class HistoryOnDaphne(_WithAndWithout):
    """A burst, on stock daphne."""

    name = "history-daphne"
    unit = "deliveries/s"
    targets = (Target(_WITHOUT, 0.5),)

    def work(self, scale: Scale) -> str:
        return (
            f"one live room with history, {scale.members:,} members, a burst of events by one of them, "
            f"which are broadcast; {self.kind}"
        )

    def _measure(self, room: Room, scale: Scale) -> Measure:
        return joined(room, scale.members, scale)


class HistoryOnRunwsServer(HistoryOnDaphne):
    """On the hardened daphne."""

    name = "history-runws"
    kind = "runws_server"


class HistoryOnUvicorn(HistoryOnDaphne):
    """On stock uvicorn."""

    name = "history-uvicorn"
    kind = "uvicorn"


class HistoryLatency(_WithAndWithout):
    """One broadcast at a time."""

    name = "history-latency"
    unit = "ms"
    less_is_better = True
    digits = 1
    targets = (Target(_WITHOUT, 1.3, is_most=True),)

    def work(self, scale: Scale) -> str:
        return (
            f"one broadcast to {scale.members:,} live members of a room with history, until the last has it; daphne"
        )

    def _measure(self, room: Room, scale: Scale) -> Measure:
        return joined_for_one(room, scale.members, scale)


class _Outage:
    """Clients of a room on two servers, which lose their connections and come back while somebody speaks."""

    def __init__(
        self, room: str, servers: Sequence[ASGIServer], speaker: PythonProgram, bench: Bench, stack: ExitStack
    ) -> None:
        self._servers, self._redis, self._speaker = servers, bench.redis, speaker
        self._has_history = room == STORED
        self._clients = stack.enter_context(
            closing(
                ReturningClients(
                    [server.listens for server in servers],
                    bench.scale.members_each,
                    room,
                    keeps_position=self._has_history,
                    patience=_PATIENCE,
                )
            )
        )
        self._clients.come()
        self.recover()  # to warm up

    def _ask(self, line: str) -> str:
        self._speaker.tell(line)
        return self._speaker.hear()

    def recover(self) -> tuple[Watch, int]:
        """Cut all, and wait until they are live again; also returns how often events were read from the history."""
        reads = _reads(self._servers)
        positions = self._clients.cut()
        self._ask(str(_MISSED))
        self._speaker.tell(f"on {_PAUSE}")
        with Watch(self._servers, [self._redis, self._speaker]) as watch:
            self._clients.come(positions)
            last = self._ask("stop")
            if self._has_history:
                self._clients.hear(last)
            watch.stop_at(self._clients.live_at())
        if self._has_history:
            self._clients.check()
        reads = _reads(self._servers) - reads
        if self._has_history and not reads:
            raise Lost("they have recovered, and nobody has read the history")
        return watch, reads


class _Outages(Row):
    """Two servers, which share a core, and for each room somebody who speaks there."""

    peers: ClassVar[Mapping[str, str]]
    limit: ClassVar[float]
    less_is_better = True
    digits = 2

    def work(self, scale: Scale) -> str:
        return (
            f"{_SERVERS * scale.members_each:,} members of a live room on two servers lose their connections at "
            f"once, and come back {_MISSED} events later while others follow, each with its position"
        )

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        servers = [_server("daphne", bench) for _ in range(_SERVERS)]
        environment = site_environment("ours", bench.redis) | {"BENCH_CONSUMERS": "history"}
        speakers = {
            peer: PythonProgram(
                ["bench.sites.speaker", "threads", room], bench.cores.load, environment=environment, talks=True
            )
            for peer, room in self.peers.items()
        }
        start(stack, [*servers, *speakers.values()])
        for speaker in speakers.values():
            speaker.hear()
        makes = {
            peer: partial(self._made, room, servers, speakers[peer], bench, stack)
            for peer, room in self.peers.items()
        }
        return makes | {target.peer: partial(_limit, self.limit) for target in self.targets}

    def _made(
        self, room: str, servers: Sequence[ASGIServer], speaker: PythonProgram, bench: Bench, stack: ExitStack
    ) -> Measure:
        return partial(self._measure, _Outage(room, servers, speaker, bench, stack))

    def _measure(self, outage: _Outage) -> Sample:
        raise NotImplementedError


def _limit(value: float) -> Measure:
    """What is not measured, but demanded."""
    return lambda: Sample(value)


class Recovery(_Outages):
    """From the first handshake until the last client has what it had missed."""

    name = "recovery"
    unit = "s"
    peers = _ROOMS
    limit = 2.0
    targets = (Target("at most", 1, is_most=True),)

    def work(self, scale: Scale) -> str:
        return f"{super().work(scale)}: time until the last of them is live; daphne"

    def _measure(self, outage: _Outage) -> Sample:
        watch, _ = outage.recover()
        return watch.sample(watch.seconds)


class RecoveryReads(_Outages):
    """How many reads of the history serve them all."""

    name = "recovery-reads"
    unit = "reads/process"
    peers: ClassVar[Mapping[str, str]] = {"ours": STORED}
    limit = 1.0
    rounds = 3
    targets = (Target("at most", 1, is_most=True),)

    def work(self, scale: Scale) -> str:
        return f"{super().work(scale)}: how often each server reads events from the history; daphne"

    def _measure(self, outage: _Outage) -> Sample:
        watch, reads = outage.recover()
        return watch.sample(reads / _SERVERS)


class _Stores(Row):
    """A process that speaks to nobody."""

    way: ClassVar[str]
    unit = "messages/s"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        environment = site_environment("ours", bench.redis) | {"BENCH_CONSUMERS": "history"}
        speakers = {
            peer: PythonProgram(
                ["bench.sites.speaker", self.way, room], bench.cores.server, environment=environment, talks=True
            )
            for peer, room in _ROOMS.items()
        }
        start(stack, speakers.values())
        return {peer: partial(self._made, speaker, bench) for peer, speaker in speakers.items()}

    @staticmethod
    def _made(speaker: PythonProgram, bench: Bench) -> Measure:
        speaker.hear()

        def speak(count: int) -> Watch:
            with Watch([speaker], [bench.redis]) as watch:
                speaker.tell(str(count))
                speaker.hear()
            return watch

        count = calibrate(lambda number: speak(number).seconds, bench.scale.seconds, 100)

        def measure() -> Sample:
            watch = speak(count)
            return watch.sample(count / watch.seconds)

        return measure


class StoreFromLoop(_Stores):
    """Tasks of one event loop."""

    name = "store-loop"
    way = "loop"

    def work(self, scale: Scale) -> str:
        return f"broadcasts to a live room with history by {TASKS} tasks of one event loop, stored and published"


class StoreFromThreads(_Stores):
    """Threads of one process."""

    name = "store-threads"
    way = "threads"

    def work(self, scale: Scale) -> str:
        return f"broadcasts to a live room with history by {THREADS} threads, stored and published"
