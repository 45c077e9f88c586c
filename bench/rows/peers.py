"""The same work for everybody whom users might pick instead, in one run."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import ClassVar

from ..load import Swarm
from ..peers import OURS, PEERS, Contestant, Dialect
from ..programs import Program
from ..row import FAILURES, Bench, Make, Measure, Row, Sample, Skipped, Target, Watch
from ..sizes import Scale
from .room import Room, joined_for_one

__all__ = ["EchoLatency", "PeerRoom", "PeersEcho", "PeersOneEcho", "PeersRoom"]

#: Of what a server can take, for latencies.
_LOAD = 0.5


class _PeersRow(Row):
    """Everybody who can do the work; whoever cannot be had is skipped, and the row says why."""

    unit = "messages/s"
    lacks: ClassVar[Mapping[str, str]] = {peer.name: peer.lacks for peer in PEERS}

    def subject(self, scale: Scale) -> str:
        return OURS[0].name

    def contestants(self) -> Iterable[Contestant]:
        """Those who can do it, the subject first."""
        return (*OURS, *PEERS)

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        programs: dict[str, Program] = {}
        makes: dict[str, Make] = {}
        for contestant in self.contestants():
            try:
                programs[contestant.name] = contestant.program(bench)
            except Skipped as skipped:
                makes[contestant.name] = partial(_skip, str(skipped))
            else:
                program = programs[contestant.name]
                makes[contestant.name] = partial(self.measured, contestant, program, bench, stack)
        for name, problem in _started(stack, programs).items():
            makes[name] = partial(_skip, problem)
        return makes

    def measured(self, contestant: Contestant, program: Program, bench: Bench, stack: ExitStack) -> Measure:
        """What measures one of them."""
        raise NotImplementedError


def _skip(why: str) -> Measure:
    raise Skipped(why)


def _started(stack: ExitStack, programs: Mapping[str, Program]) -> dict[str, str]:
    """Start all at once; returns why any of the others could not be started, which is no fault of this package."""

    def begin(name: str) -> str:
        stack.callback(programs[name].stop)
        try:
            programs[name].start()
        except FAILURES as error:
            if any(name == contestant.name for contestant in OURS):
                raise
            return f"it does not start: {str(error).strip().splitlines()[-1]}"
        return ""

    with ThreadPoolExecutor(len(programs)) as pool:
        return {name: problem for name, problem in zip(programs, pool.map(begin, programs), strict=True) if problem}


class PeerRoom(Room):
    """One room of whoever it is."""

    def __init__(self, contestant: Contestant, server: Program, bench: Bench, stack: ExitStack) -> None:
        super().__init__([server], [bench.redis], stack)
        assert contestant.room is not None
        self._dialect = contestant.room(server.listens)

    def _connect(self, server: Program, count: int) -> list[int]:
        return [self.swarm.converse(server.listens, self._dialect.steps) for _ in range(count)]

    def join(self, count: int) -> None:
        super().join(count)
        if self._dialect.unasked:
            self.swarm.collect(self.members, self._dialect.unasked)

    def _burst(self, broadcasts: int) -> bytes:
        return self._dialect.said * broadcasts

    def _heard(self, broadcasts: int) -> int:
        return self._dialect.heard * broadcasts


class PeersRoom(_PeersRow):
    """One broadcast at a time."""

    name = "peers-latency"
    unit = "ms"
    less_is_better = True
    digits = 2
    targets = (Target("Channels on daphne", 0.1, is_most=True),)

    def work(self, scale: Scale) -> str:
        return f"one broadcast to {scale.members:,} members, until the last has it"

    def contestants(self) -> Iterable[Contestant]:
        return (contestant for contestant in super().contestants() if contestant.room is not None)

    def measured(self, contestant: Contestant, program: Program, bench: Bench, stack: ExitStack) -> Measure:
        return joined_for_one(PeerRoom(contestant, program, bench, stack), bench.scale.members, bench.scale)


class _PeerEcho:
    """The sockets of an echo."""

    def __init__(self, dialect: Dialect, server: Program, sockets: int, stack: ExitStack) -> None:
        self._server = server
        self._dialect = dialect
        self._swarm = stack.enter_context(Swarm())
        self._members: Sequence[int] = [self._swarm.converse(server.listens, dialect.steps) for _ in range(sockets)]

    def messages(self, window: int, seconds: float) -> Sample:
        """Messages that come back in a second."""
        with Watch([self._server], []) as watch:
            rate = self._swarm.answer(self._members, self._dialect.said, self._dialect.heard, window, seconds)
        return watch.sample(rate, deliveries=rate * watch.seconds)

    def milliseconds(self, rate: float, seconds: float) -> Sample:
        """The median of what a message takes until it is back, at so many messages in a second."""
        with Watch([self._server], []) as watch:
            taken = self._swarm.pace(self._members, self._dialect.said, self._dialect.heard, rate, seconds)
        return watch.sample(statistics.median(taken) * 1000, deliveries=len(taken), latencies=taken)


class PeersEcho(_PeersRow):
    """JSON echo."""

    name = "peers-echo"
    window: ClassVar[int] = 4
    targets = (Target("Starlette on uvicorn", 1), Target("websockets", 1))

    def work(self, scale: Scale) -> str:
        messages = "message" if self.window == 1 else "messages"
        return f"JSON echo, {scale.echo_sockets} sockets with {self.window} {messages} under way on each"

    def contestants(self) -> Iterable[Contestant]:
        return (contestant for contestant in super().contestants() if contestant.echo is not None)

    def measured(self, contestant: Contestant, program: Program, bench: Bench, stack: ExitStack) -> Measure:
        echo = self.opened(contestant, program, bench, stack)
        echo.messages(self.window, bench.scale.seconds / 4)  # to warm up
        return partial(echo.messages, self.window, bench.scale.seconds)

    @staticmethod
    def opened(contestant: Contestant, program: Program, bench: Bench, stack: ExitStack) -> _PeerEcho:
        """Its sockets."""
        assert contestant.echo is not None
        return _PeerEcho(contestant.echo(program.listens), program, bench.scale.echo_sockets, stack)


class PeersOneEcho(PeersEcho):
    """As clients that wait for each answer."""

    name = "peers-echo-one"
    window = 1


class EchoLatency(PeersEcho):
    """What a client waits for an answer, while the server has half of what it can take."""

    name = "echo-latency"
    unit = "ms"
    less_is_better = True
    digits = 3
    targets = (Target("Channels on daphne", 1, is_most=True),)

    def work(self, scale: Scale) -> str:
        return (
            f"JSON echo, {scale.echo_sockets} sockets, half of the messages that each server can take, at random: "
            "until one is back, the median"
        )

    def measured(self, contestant: Contestant, program: Program, bench: Bench, stack: ExitStack) -> Measure:
        echo = self.opened(contestant, program, bench, stack)
        echo.messages(1, bench.scale.seconds / 4)  # to warm up
        rate = echo.messages(1, bench.scale.seconds / 2).value * _LOAD
        return partial(echo.milliseconds, rate, bench.scale.seconds)
