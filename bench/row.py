"""What a row of the table is: some work, whoever does it, and how often each is measured in turn."""

from __future__ import annotations

import gc
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

from .load import Disconnected, Lost, Refused
from .machine import Cores
from .programs import Program, Redis, cpu_seconds
from .sizes import Scale

__all__ = [
    "DETAILS",
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
    "quantile",
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
    """One measurement; None for what was not looked at.

    Attributes:
        value: in the row's unit.
        busy: the share of a core that the measured processes took meanwhile.
        load: that of the load generator and Redis together.
        p50: the median of the latencies that were measured, in milliseconds.
        p99: what 99 of 100 of them do not exceed.
        cpu: milliseconds that the measured processes spent on their core for 1,000 deliveries (or answers).
        pause: the longest pause of the measured event loop, in milliseconds.
    """

    value: float
    busy: float | None = None
    load: float | None = None
    p50: float | None = None
    p99: float | None = None
    cpu: float | None = None
    pause: float | None = None


#: What the results keep of samples besides their values: the median, the least and the most of all rounds.
DETAILS = ("p50", "p99", "cpu", "pause")


def quantile(ordered: Sequence[float], share: float) -> float:
    """What so much of a sorted sequence does not exceed: its value at the nearest rank."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


#: Measures once.
Measure = Callable[[], Sample]
#: Makes what measures, once all servers run: opens sockets, warms up. It may raise Skipped, or one of FAILURES.
Make = Callable[[], Measure]

#: What ends the measurement of a peer, and of no other.
FAILURES = (Lost, Refused, Disconnected, OSError, RuntimeError)


class Peer:
    """Whoever does the work, and what was measured.

    Args:
        lacks: what it does not do, of what this package does; empty where it does the same.

    Attributes:
        name: ours, Channels, ...; the table's.
        samples: what was measured.
        skipped: why it is left out.
        problem: why it was measured no further.
    """

    def __init__(self, name: str, make: Make, lacks: str = "") -> None:
        self.name = name
        self.lacks = lacks
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
        for key in ("lacks", "skipped", "problem"):
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
            for detail in DETAILS:
                values = [getattr(sample, detail) for sample in self.samples if getattr(sample, detail) is not None]
                if values:
                    found[detail] = {"median": statistics.median(values), "least": min(values), "most": max(values)}
        return found


class Row:
    """One row of the table. A subclass says what is done and by whom; each name of ``targets`` is a peer's.

    Attributes:
        name: for ``--only``.
        unit: of the figures.
        less_is_better: whether a small figure is a good one.
        targets: what the subject is to reach.
        rounds: how many, at most; None for what the scale says.
        slices: in how many shorter measurements each round is made, for a difference that is smaller than what the
            machine does meanwhile.
        digits: behind the point.
        lacks: what a peer does not do, of what this package does, by its name.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    less_is_better: ClassVar[bool] = False
    targets: ClassVar[tuple[Target, ...]] = ()
    rounds: ClassVar[int | None] = None
    slices: ClassVar[int] = 1
    digits: ClassVar[int] = 0
    lacks: ClassVar[Mapping[str, str]] = {}

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
                peers.append(Peer(name, make, self.lacks.get(name, "")))
            for turn in range(rounds * self.slices):
                for offset in range(len(peers)):  # each is the first one now and then
                    peer = peers[(turn + offset) % len(peers)]
                    self.say(f"round {turn // self.slices + 1} of {rounds}, {peer.name}")
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

    Attributes:
        seconds: that it took.
        busy: the share of a core that the measured processes took.
        load: that of the load generator and those who help it.
        spent: seconds that the measured processes spent on a core.

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
        self.spent = 0.0

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
        self.spent = busy

    def sample(
        self, value: float, *, deliveries: float = 0, latencies: Sequence[float] = (), pause: float | None = None
    ) -> Sample:
        """With what was seen meanwhile.

        Args:
            deliveries: messages that the measured processes have delivered or answered; 0 if nobody counted.
            latencies: in seconds, of each message that somebody looked at.
            pause: the longest of the measured event loop, in milliseconds.
        """
        ordered = sorted(latencies)
        return Sample(
            value,
            self.busy,
            self.load,
            p50=quantile(ordered, 0.5) * 1000 if ordered else None,
            p99=quantile(ordered, 0.99) * 1000 if ordered else None,
            cpu=self.spent * 1e6 / deliveries if deliveries else None,
            pause=pause,
        )


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
