"""Instruments of metrics: counter, gauge and histogram, in plain numbers that any thread may add to."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from threading import get_ident
from types import MappingProxyType
from typing import ClassVar

__all__ = ["Counter", "Gauge", "Histogram", "HistogramValue", "Labels", "Metric"]

Labels = tuple[str, ...]
"""The values of a metric's labels, in the order in which the table names them."""


class Metric:
    """One row of the table.

    Args:
        name: unique, as Prometheus would have it, but without a prefix and without ``_total``.
        unit: of its values; what is counted.
        labels: what values are kept apart by. A label has few values: a reason or a close code may be one, an address
            or a user may not.
        meaning: one sentence for the reader of a dashboard.
    """

    kind: ClassVar[str] = ""

    def __init__(self, name: str, unit: str, labels: Sequence[str], meaning: str) -> None:
        self.name = name
        self.unit = unit
        self.labels = tuple(labels)
        self.meaning = meaning
        self.reset()

    def reset(self) -> None:
        """Begin with zero, and with a lock of this process: another thread may have held the parent's at the fork."""
        # A signal handler may count while this thread does, and must not wait for it.
        self._lock = threading.RLock()


class Counter(Metric):
    """Counter: how often something has happened, or how much of it there was, since the process started.

    Each thread counts for itself, which takes no lock. One that has ended gives its number to another.
    """

    kind: ClassVar[str] = "counter"

    def reset(self) -> None:
        super().reset()
        self._by_thread: dict[int, dict[Labels, float]] = {}

    def add(self, amount: float = 1, *labels: str) -> None:
        """Count, under these values of the labels."""
        thread = get_ident()
        counts = self._by_thread.get(thread)
        if counts is None:
            counts = self._by_thread[thread] = {}
        counts[labels] = counts.get(labels, 0) + amount

    @property
    def values(self) -> Mapping[Labels, float]:
        """The counts until now, by the values of the labels; it does not change any more."""
        found: dict[Labels, float] = {}
        for counts in list(self._by_thread.values()):
            for labels, count in list(counts.items()):
                found[labels] = found.get(labels, 0) + count
        return MappingProxyType(found)

    @property
    def total(self) -> float:
        """Sum of the counts under all labels."""
        return sum(self.values.values())

    def by(self, label: str) -> Mapping[str, int]:
        """The counts until now, by the values of one label; it does not change any more."""
        place, found = self.labels.index(label), dict[str, int]()
        for labels, value in self.values.items():
            found[labels[place]] = found.get(labels[place], 0) + int(value)
        return MappingProxyType(found)


class Gauge(Metric):
    """Gauge: how many there are now, counted up and down, or read from a function when it is asked for."""

    kind: ClassVar[str] = "gauge"
    _source: Callable[[], float] | None = None

    def reset(self) -> None:
        super().reset()
        self._value: float = 0

    def add(self, amount: float) -> None:
        """Count up, or down with a negative amount."""
        with self._lock:
            self._value += amount

    def read_from(self, source: Callable[[], float]) -> None:
        """Name the function that knows. The last one named is asked."""
        self._source = source

    @property
    def value(self) -> float:
        """The number now."""
        return self._value if self._source is None else self._source()

    @property
    def values(self) -> Mapping[Labels, float]:
        """The number now, as other metrics have it."""
        return MappingProxyType({(): self.value})


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


class Histogram(Metric):
    """Histogram: how large something was, each time.

    Args:
        bounds: the largest value of each bucket, ascending; values over the last have a bucket of their own.
    """

    kind: ClassVar[str] = "histogram"

    def __init__(self, name: str, unit: str, labels: Sequence[str], meaning: str, *, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        super().__init__(name, unit, labels, meaning)

    def reset(self) -> None:
        super().reset()
        self._values: dict[Labels, HistogramValue] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count one observation, under these values of the labels."""
        place = bisect_left(self.bounds, value)
        with self._lock:
            found = self._values.get(labels)
            if found is None:
                found = self._values[labels] = HistogramValue([0] * (len(self.bounds) + 1), 0.0)
            found.counts[place] += 1
            found.sum += value

    @property
    def values(self) -> Mapping[Labels, HistogramValue]:
        """The distributions until now, by the values of the labels; they do not change any more."""
        with self._lock:
            return MappingProxyType(
                {labels: HistogramValue(list(found.counts), found.sum) for labels, found in self._values.items()}
            )
