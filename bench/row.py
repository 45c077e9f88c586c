"""What a row of the table is: some work, whoever does it, and how often each is measured in turn."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

from .load import Disconnected, Lost, Refused
from .machine import Cores
from .programs import Program, Redis, cpu_seconds
from .scale import Scale

__all__ = [
    "FAILURES",
    "Bench",
    "Make",
    "Measure",
    "Peer",
    "Row",
    "Sample",
    "Skipped",
    "Target",
    "Watch",
    "calibrate",
    "told",
]

_MOST_MESSAGES = 10_000_000


class Skipped(Exception):
    """A row or a peer cannot be measured here; the text says why, and what to do."""


@dataclass(frozen=True)
class Bench:
    """Where rows run.

    Attributes:
        scale: how much they do.
        cores: where they do it.
        redis: one for all.
        open_files: how many a process may have.
    """

    scale: Scale
    cores: Cores
    redis: Redis
    open_files: int


@dataclass(frozen=True)
class Target:
    """What is to be reached.

    Attributes:
        peer: against whom.
        ratio: of the row's subject to that peer, of their medians.
        is_most: the ratio is the most that it may be, not the least.
    """

    peer: str
    ratio: float
    is_most: bool = False

    def __str__(self) -> str:
        return f"{'≤' if self.is_most else '≥'} {self.ratio:g}"

    def is_met(self, ratio: float) -> bool:
        return ratio <= self.ratio if self.is_most else ratio >= self.ratio


@dataclass(frozen=True)
class Sample:
    """One measurement.

    Attributes:
        value: in the row's unit.
        busy: the share of a core that the measured processes took meanwhile; None where it was not looked at.
        load: that of the load generator and Redis together.
    """

    value: float
    busy: float | None = None
    load: float | None = None


#: Measures once.
Measure = Callable[[], Sample]
#: Makes what measures, once all servers run: opens sockets, warms up. It may raise Skipped, or one of FAILURES.
Make = Callable[[], Measure]

#: What ends the measurement of a peer, and of no other.
FAILURES = (Lost, Refused, Disconnected, OSError, RuntimeError)


class Peer:
    """Whoever does the work, and what was measured.

    Attributes:
        name: ours, Channels, ...; the table's.
        samples: what was measured.
        skipped: why it is left out.
        problem: why it was measured no further.
    """

    def __init__(self, name: str, make: Make) -> None:
        self.name = name
        self.samples: list[Sample] = []
        self.skipped: str | None = None
        self.problem: str | None = None
        self._measure: Measure | None = None
        try:
            self._measure = make()
        except Skipped as skipped:
            self.skipped = str(skipped)
        except FAILURES as error:
            self.problem = told(error)

    def measure(self) -> None:
        """Measure once, unless it has failed before."""
        if self._measure is None or self.problem:
            return
        gc.collect()
        gc.disable()  # the load generator must not pause
        try:
            self.samples.append(self._measure())
        except FAILURES as error:
            self.problem = told(error)
        finally:
            gc.enable()

    def as_dict(self) -> dict[str, Any]:
        """For the results."""
        found: dict[str, Any] = {"name": self.name}
        for key in ("skipped", "problem"):
            if reason := getattr(self, key):
                found[key] = reason
        if self.samples:
            values = [sample.value for sample in self.samples]
            found |= {"median": statistics.median(values), "least": min(values), "most": max(values)}
            found["samples"] = values
            for share in ("busy", "load"):
                shares = [getattr(sample, share) for sample in self.samples if getattr(sample, share) is not None]
                if shares:
                    found[share] = statistics.median(shares)
        return found


class Row:
    """One row of the table. A subclass says what is done and by whom; each name of ``targets`` is a peer's.

    Attributes:
        name: for ``--only``.
        unit: of the figures.
        less_is_better: whether a small figure is a good one.
        targets: what the subject is to reach.
        rounds: how many, at most; None for what the scale says.
        digits: behind the point.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    less_is_better: ClassVar[bool] = False
    targets: ClassVar[tuple[Target, ...]] = ()
    rounds: ClassVar[int | None] = None
    digits: ClassVar[int] = 0

    def work(self, scale: Scale) -> str:
        """What is done, for the table."""
        raise NotImplementedError

    def subject(self, scale: Scale) -> str:
        """The peer that is compared with the others."""
        return "ours"

    def targets_at(self, scale: Scale) -> tuple[Target, ...]:
        """What the subject is to reach."""
        return self.targets

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        """Start what is needed, to be stopped by the stack.

        Returns:
            What makes the measures of each peer, the subject first.
        """
        raise NotImplementedError

    def rounds_at(self, scale: Scale) -> int:
        """How often each peer is measured."""
        return min(filter(None, (scale.rounds, self.rounds)))

    def run(self, bench: Bench) -> dict[str, Any]:
        """Measure all peers in turn.

        Returns:
            The row of the results.
        """
        started = time.monotonic()
        rounds = self.rounds_at(bench.scale)
        result = self.about(bench.scale) | {"rounds": rounds}
        with ExitStack() as stack:
            try:
                makes = self.prepare(bench, stack)
            except FAILURES as error:
                return result | {"problem": told(error), "peers": []}
            peers = []
            for name, make in makes.items():
                self.say(f"{name} begins")
                peers.append(Peer(name, make))
            for turn in range(rounds):
                for offset in range(len(peers)):  # each is the first one now and then
                    peer = peers[(turn + offset) % len(peers)]
                    self.say(f"round {turn + 1} of {rounds}, {peer.name}")
                    peer.measure()
        return result | {"seconds": time.monotonic() - started, "peers": [peer.as_dict() for peer in peers]}

    def say(self, what: str) -> None:
        """Show on a terminal what goes on."""
        if sys.stderr.isatty():
            print(f"\r\033[K{self.name}: {what}", end="\r", file=sys.stderr, flush=True)

    def about(self, scale: Scale) -> dict[str, Any]:
        """What the results say of the row itself."""
        return {
            "name": self.name,
            "work": self.work(scale),
            "unit": self.unit,
            "less_is_better": self.less_is_better,
            "digits": self.digits,
            "subject": self.subject(scale),
            "targets": [
                {"peer": target.peer, "ratio": target.ratio, "is_most": target.is_most}
                for target in self.targets_at(scale)
            ],
        }


def told(error: Exception) -> str:
    """What went wrong, in a line; the log that comes with it goes to the standard error stream."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if len(lines) > 1:
        print(error, file=sys.stderr)
        return f"{lines[0]} {lines[-1].strip()}"
    return lines[0]


class Watch:
    """A stopwatch, that also tells how busy the cores were; use it in a ``with`` block.

    Args:
        measured: the processes that are measured.
        load: those that help the load generator, which is this process.
    """

    def __init__(self, measured: Iterable[Program], load: Iterable[Program]) -> None:
        self._measured = list(measured)
        self._load = list(load)
        self._before = 0.0, 0.0
        self._started = 0.0
        self._ended: float | None = None
        self.seconds = 0.0
        self.busy = 0.0
        self.load = 0.0

    def _spent(self) -> tuple[float, float]:
        return cpu_seconds(self._measured), time.process_time() + cpu_seconds(self._load)

    def __enter__(self) -> Watch:
        self._ended = None
        self._before = self._spent()
        self._started = time.perf_counter()
        return self

    def stop_at(self, moment: float) -> None:
        """The end was at a moment (of ``time.perf_counter``) before the end of the block."""
        self._ended = moment

    def __exit__(self, *exc_info: object) -> None:
        now = time.perf_counter()
        self.seconds = (self._ended or now) - self._started
        busy, load = (after - before for after, before in zip(self._spent(), self._before, strict=True))
        self.busy, self.load = busy / (now - self._started), load / (now - self._started)

    def sample(self, value: float) -> Sample:
        """With what was seen meanwhile."""
        return Sample(value, self.busy, self.load)


def calibrate(take: Callable[[int], float], seconds: float, first: int, most: int = _MOST_MESSAGES) -> int:
    """How many messages take about so long.

    Args:
        take: sends so many, and returns how long it took, in seconds.
        first: how many to begin with, and the least that is returned.
    """
    count = first
    while (took := take(count)) < seconds / 4 and count < most:
        count = min(most, count * 4)
    return max(first, min(most, round(count * seconds / took)))
