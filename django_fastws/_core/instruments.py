"""Instruments of metrics: counter, gauge and histogram, in plain numbers that any thread may add to.

Each thread counts for itself, which takes no lock. One that has ended gives its number, and what it has counted with
it, to another.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import get_ident
from types import MappingProxyType
from typing import ClassVar

__all__ = [
    "MOST_SERIES",
    "OTHER",
    "PREFIX",
    "Counter",
    "Gauge",
    "Histogram",
    "HistogramCell",
    "HistogramValue",
    "Labels",
    "Metric",
]

Labels = tuple[str, ...]
"""The values of a metric's labels, in the order in which the table names them."""

PREFIX = "fastws_"

#: How many values of labels one thread keeps apart in one metric; what is counted under further ones is ``OTHER``.
MOST_SERIES = 1000
OTHER = "other"


class Metric:
    """One row of the table.

    Args:
        name: unique, as Prometheus would have it, but without the prefix and without ``_total``.
        unit: of its values; what is counted.
        labels: what values are kept apart by. A label has few values: a reason, a route or the pattern of a room may
            be one; a room, an address or a user may not.
        meaning: one sentence for the reader of a dashboard.
    """

    kind: ClassVar[str] = ""

    def __init__(self, name: str, unit: str, labels: Sequence[str], meaning: str) -> None:
        self.name = name
        self.unit = unit
        self.labels = tuple(labels)
        self.meaning = meaning
        self.reset()

    @property
    def exposed(self) -> str:
        """The name under which Prometheus has it."""
        return f"{PREFIX}{self.name}_total" if self.kind == "counter" else PREFIX + self.name

    def reset(self) -> None:
        """Begin with zero."""

    def _kept_apart(self, labels: Labels, count: int) -> Labels:
        """The labels under which new ones are counted, where there are so many already.

        Raises:
            TypeError: they are not as many as the table says.
        """
        if len(labels) != len(self.labels):
            raise TypeError(f"{self.name} has the labels {self.labels}, and was counted under {labels}")
        return labels if count < MOST_SERIES else (OTHER,) * len(labels)


class _Sum(Metric):
    """Sum of what the threads have added, under each of the values of the labels."""

    def reset(self) -> None:
        self._by_thread: dict[int, dict[Labels, float]] = {}

    def add(self, amount: float = 1, *labels: str) -> None:
        """Add, under these values of the labels."""
        thread = get_ident()
        sums = self._by_thread.get(thread)
        if sums is None:
            sums = self._by_thread[thread] = {}
        before = sums.get(labels)
        if before is None:
            labels = self._kept_apart(labels, len(sums))
            before = sums.get(labels, 0)
        sums[labels] = before + amount

    def _added(self) -> dict[Labels, float]:
        found: dict[Labels, float] = {}
        for sums in list(self._by_thread.values()):
            for labels, amount in list(sums.items()):
                found[labels] = found.get(labels, 0) + amount
        return found

    @property
    def values(self) -> Mapping[Labels, float]:
        """The numbers now, by the values of the labels; they do not change any more."""
        return MappingProxyType(self._added())

    @property
    def total(self) -> float:
        """Sum of the numbers under all labels."""
        return sum(self.values.values())

    def by(self, label: str) -> Mapping[str, int]:
        """The numbers now, by the values of one label; they do not change any more."""
        place, found = self.labels.index(label), dict[str, int]()
        for labels, value in self.values.items():
            found[labels[place]] = found.get(labels[place], 0) + int(value)
        return MappingProxyType(found)


class Counter(_Sum):
    """Counter: how often something has happened, or how much of it there was, since the process started."""

    kind: ClassVar[str] = "counter"
    _sources: tuple[Callable[[], Iterable[tuple[Labels, float]]], ...] = ()

    def read_also(self, source: Callable[[], Iterable[tuple[Labels, float]]]) -> None:
        """Name a function that knows of more, which is counted elsewhere; it is asked when values are read."""
        self._sources += (source,)

    @property
    def values(self) -> Mapping[Labels, float]:
        """The counts until now, by the values of the labels; they do not change any more."""
        found = self._added()
        for source in self._sources:
            for labels, count in source():
                if count:
                    found[labels] = found.get(labels, 0) + count
        return MappingProxyType(found)


class Gauge(_Sum):
    """Gauge: how many there are now, counted up and down, or read from a function when it is asked for."""

    kind: ClassVar[str] = "gauge"
    _source: Callable[[], float | Mapping[Labels, float]] | None = None

    def read_from(self, source: Callable[[], float | Mapping[Labels, float]]) -> None:
        """Name the function that knows: a number, or several by the values of the labels.

        The last one named is asked.
        """
        self._source = source

    @property
    def values(self) -> Mapping[Labels, float]:
        """The numbers now, by the values of the labels; they do not change any more."""
        if self._source is None:
            return MappingProxyType(self._added() or ({} if self.labels else {(): 0}))
        found = self._source()
        return MappingProxyType(dict(found) if isinstance(found, Mapping) else {(): found})

    @property
    def value(self) -> float:
        """The number now, under all labels together."""
        return self.total


class HistogramValue:
    """Value of a histogram under one set of labels: observations by buckets, with their sum.

    Attributes:
        counts: how many observations were in each bucket, not cumulated; the last is of those over every bound.
        sum: of all observations.
    """

    __slots__ = ("counts", "sum")

    def __init__(self, counts: list[int], total: float) -> None:
        self.counts = counts
        self.sum = total

    @property
    def count(self) -> int:
        """Number of observations."""
        return sum(self.counts)


class HistogramCell(HistogramValue):
    """Observations of one thread under one set of labels, for who observes often: no label is looked up."""

    __slots__ = ("_bounds",)

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        super().__init__([0] * (len(bounds) + 1), 0.0)

    def observe(self, value: float) -> None:
        """Count one observation; in the thread of the cell."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def reset(self) -> None:
        """Begin with zero."""
        self.counts, self.sum = [0] * (len(self._bounds) + 1), 0.0


class Histogram(Metric):
    """Histogram: how large something was, each time.

    Args:
        bounds: the largest value of each bucket, ascending; values over the last have a bucket of their own.
    """

    kind: ClassVar[str] = "histogram"

    def __init__(self, name: str, unit: str, labels: Sequence[str], meaning: str, *, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self._cells: dict[tuple[int, Labels], HistogramCell] = {}
        super().__init__(name, unit, labels, meaning)

    def reset(self) -> None:
        for cell in list(self._cells.values()):  # somebody has them still
            cell.reset()

    def cell(self, *labels: str) -> HistogramCell:
        """The observations of this thread under these values of the labels; it stays the same."""
        thread = get_ident()
        found = self._cells.get((thread, labels))
        if found is None:
            labels = self._kept_apart(labels, len(self._cells))
            found = self._cells.setdefault((thread, labels), HistogramCell(self.bounds))
        return found

    def observe(self, value: float, *labels: str) -> None:
        """Count one observation, under these values of the labels."""
        self.cell(*labels).observe(value)

    @property
    def values(self) -> Mapping[Labels, HistogramValue]:
        """The distributions until now, by the values of the labels; they do not change any more."""
        found: dict[Labels, HistogramValue] = {}
        for (_, labels), cell in list(self._cells.items()):
            counts, total = list(cell.counts), cell.sum
            if (before := found.get(labels)) is not None:
                counts = [one + other for one, other in zip(before.counts, counts, strict=True)]
                total += before.sum
            found[labels] = HistogramValue(counts, total)
        return MappingProxyType({labels: value for labels, value in found.items() if any(value.counts)})
