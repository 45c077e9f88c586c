"""Metrics of this process: counters, gauges and histograms, in plain numbers that an exporter reads.

Every metric is one row of the table below: its name, unit, labels and meaning. Whoever counts imports this module and
calls ``add()``, ``observe()`` or ``read_from()`` on a row; whoever exports reads ``all_metrics()``.

What it costs: a lock and a dict for one ``add()`` or ``observe()``, so these are called once for each broadcast,
fan-out, handshake or connection, and never for each message or for each member of a room. Messages are counted in
``Traffic``, which is one addition for each.

Threads: all of it may be called from any thread; a ``Traffic`` belongs to the thread that asked for it.
Forks: a child begins with zeros.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from ._core.forks import after_fork_in_child

__all__ = [
    "Counter",
    "Gauge",
    "Histogram",
    "HistogramValue",
    "Labels",
    "Metric",
    "Traffic",
    "broadcast_drops",
    "broadcasts",
    "bytes_received",
    "bytes_sent",
    "closes",
    "connections",
    "denials",
    "all_metrics",
    "fan_out_seconds",
    "forced_closes",
    "joins",
    "message_drops",
    "messages_received",
    "messages_sent",
    "outage_seconds",
    "outages",
    "outbound_attempts",
    "outbound_connections",
    "reset",
    "subscription_cut_offs",
    "traffic",
    "users",
]

Labels = tuple[str, ...]
"""The values of a metric's labels, in the order in which the table names them."""

_metrics: dict[str, Metric] = {}


class Metric:
    """One row of the table.

    Args:
        name: unique, as Prometheus would have it, but without a prefix and without ``_total``.
        unit: of its values; what is counted.
        labels: what values are kept apart by. A label has few values: a reason or a close code may be one, an address
            or a user may not.
        meaning: one sentence for whoever reads a dashboard.
    Raises:
        ValueError: there is a metric of this name.
    """

    kind: ClassVar[str] = ""

    def __init__(self, name: str, unit: str, labels: Sequence[str], meaning: str) -> None:
        if name in _metrics:
            raise ValueError(f"there is a metric {name!r} already")
        self.name = name
        self.unit = unit
        self.labels = tuple(labels)
        self.meaning = meaning
        _metrics[name] = self
        self.reset()

    def reset(self) -> None:
        """Begin with zero, and with a lock of this process: another thread may have held the parent's at the fork."""
        # A signal handler may count while this thread does, and must not wait for it.
        self._lock = threading.RLock()


class Counter(Metric):
    """How often something has happened, or how much of it there was, since the process started."""

    kind: ClassVar[str] = "counter"

    def reset(self) -> None:
        super().reset()
        self._values: dict[Labels, float] = {}

    def add(self, amount: float = 1, *labels: str) -> None:
        """Count, under these values of the labels."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + amount

    @property
    def values(self) -> Mapping[Labels, float]:
        """The counts until now, by the values of the labels; it does not change any more."""
        with self._lock:
            return MappingProxyType(dict(self._values))

    @property
    def total(self) -> float:
        """All counts together."""
        return sum(self.values.values())

    def by(self, label: str) -> Mapping[str, int]:
        """The counts until now, by the values of one label; it does not change any more."""
        place, found = self.labels.index(label), dict[str, int]()
        for labels, value in self.values.items():
            found[labels[place]] = found.get(labels[place], 0) + int(value)
        return MappingProxyType(found)


class Gauge(Metric):
    """How many there are now: counted up and down, or read from whoever knows when it is asked for."""

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
    """How observations are distributed, under one set of labels.

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
        """How many observations there were."""
        return sum(self.counts)


class Histogram(Metric):
    """How large something was, each time.

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


class Traffic:
    """Messages and bytes of the connections that share their labels and their thread: plain ints, no lock.

    A connection asks for it once, and adds to it with every message: ``traffic.messages_received += 1``.
    """

    __slots__ = ("bytes_received", "bytes_sent", "messages_received", "messages_sent")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with zeros."""
        self.messages_received = self.bytes_received = self.messages_sent = self.bytes_sent = 0


# By thread, for an addition is not atomic. A thread that has ended gives its number, and these with it, to another.
_traffics: dict[tuple[int, Labels], Traffic] = {}


def traffic(transport: str) -> Traffic:
    """The traffic of this thread's connections over a transport, for these to count."""
    key = threading.get_ident(), (transport,)
    found = _traffics.get(key)
    if found is None:
        found = _traffics[key] = Traffic()
    return found


class _TrafficCounter(Counter):
    """One of the numbers of all ``Traffic``."""

    @property
    def values(self) -> Mapping[Labels, float]:
        found = dict(super().values)
        for (_, labels), counted in list(_traffics.items()):
            if value := getattr(counted, self.name):
                found[labels] = found.get(labels, 0) + value
        return MappingProxyType(found)


def all_metrics() -> list[Metric]:
    """The rows of the table, in its order."""
    return list(_metrics.values())


def reset() -> None:
    """Begin with zeros: what a forked child does, and a test may."""
    for counted in list(_traffics.values()):  # connections have it still
        counted.reset()
    for metric in all_metrics():
        metric.reset()


after_fork_in_child(reset)


# The table: name, unit, labels, meaning

# Connections that came in
connections = Gauge(
    "connections",
    "connections",
    (),
    "WebSockets that are being served, from the handshake to the end of the handler.",
)
users = Gauge("users", "users", (), "Users who are logged in on one of them.")
denials = Counter("denials", "handshakes", ("reason",), "Handshakes that were denied, by limit, rule or mistake.")
closes = Counter("closes", "connections", ("transport", "code"), "Accepted connections that have ended.")
forced_closes = Counter(
    "forced_closes",
    "connections",
    ("reason",),
    "Connections closed because of a limit, by disconnect(), or a log-out.",
)

# Messages, at both ends
_transport = ("transport",)
messages_received = _TrafficCounter("messages_received", "messages", _transport, "Messages that handlers received.")
bytes_received = _TrafficCounter("bytes_received", "bytes", _transport, "Bytes in those messages.")
messages_sent = _TrafficCounter("messages_sent", "messages", _transport, "Messages handed to the connections.")
bytes_sent = _TrafficCounter("bytes_sent", "bytes", _transport, "Bytes in those messages.")
message_drops = Counter(
    "message_drops", "messages", ("reason",), "Messages dropped because a client did not read fast enough."
)

# Rooms
joins = Counter("joins", "joins", (), "Sockets that have joined a room.")
broadcasts = Counter("broadcasts", "broadcasts", (), "Broadcasts that this process has published.")
fan_out_seconds = Histogram(
    "fan_out_seconds",
    "seconds",
    (),
    "How long it took to hand broadcasts to the members of a room in this process.",
    bounds=(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
)
broadcast_drops = Counter(
    "broadcast_drops", "broadcasts", (), "Broadcasts dropped because they came faster than this process could send."
)

# The channel layer
outages = Counter("outages", "outages", (), "How often the channel layer was lost.")
outage_seconds = Counter(
    "outage_seconds", "seconds", (), "How long the channel layer was lost, in outages that ended."
)
subscription_cut_offs = Counter(
    "subscription_cut_offs",
    "connections",
    (),
    "Subscribed connections that Redis closed, for they were read too slowly.",
)

# Connections that go out
outbound_connections = Gauge(
    "outbound_connections", "connections", (), "WebSockets of outbound routes that are open."
)
outbound_attempts = Counter(
    "outbound_attempts", "attempts", ("outcome",), "Attempts of outbound routes that have ended, by outcome."
)
