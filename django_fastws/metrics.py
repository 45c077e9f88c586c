"""Metrics of this process: counters, gauges and histograms, in plain numbers that an exporter reads.

Every metric is one row of the table below: its name, unit, labels and meaning. Code that counts imports this and
calls ``add()``, ``observe()`` or ``read_from()`` on a row; an exporter reads ``all_metrics()``.

What it costs: a lock and a dict for one ``add()`` or ``observe()``, so these are called once for each broadcast,
join, handshake or connection, and never for each message or for each member of a room. What is counted more often is
kept by each thread for itself, without a lock: messages in ``Traffic``, one addition for each; fan-outs by
``count_fan_out()``, once for however many members and messages.

Threads: all of it may be called from any thread; a ``Traffic`` belongs to the thread whose connections count in it.
Forks: a child begins with zeros.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from ._core.forks import after_fork_in_child
from ._core.instruments import Counter, Gauge, Histogram, HistogramValue, Labels, Metric

__all__ = [
    "Counter",
    "Gauge",
    "Histogram",
    "HistogramValue",
    "Labels",
    "Metric",
    "Traffic",
    "add_route",
    "broadcast_drops",
    "broadcasts",
    "bytes_received",
    "bytes_sent",
    "closes",
    "connections",
    "count_fan_out",
    "delivered_bytes",
    "deliveries",
    "denials",
    "all_metrics",
    "end_route",
    "fan_out_seconds",
    "forced_closes",
    "history_reads",
    "history_repairs",
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

M = TypeVar("M", bound=Metric)

_metrics: dict[str, Metric] = {}


def row(metric: M) -> M:
    """Add a row to the table.

    Raises:
        ValueError: there is one of this name.
    """
    if metric.name in _metrics:
        raise ValueError(f"there is a metric {metric.name!r} already")
    _metrics[metric.name] = metric
    return metric


class Traffic:
    """Messages and bytes of connections of one thread: plain ints, no lock.

    It is that of all connections which share their labels, or one route's own, for who wants to know of that route.
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
#: The traffic of each route that has its own.
_routes: dict[Traffic, str] = {}
_lock = threading.RLock()


def traffic(transport: str) -> Traffic:
    """The traffic of this thread's connections over a transport, for these to count."""
    key = threading.get_ident(), (transport,)
    found = _traffics.get(key)
    if found is None:
        found = _traffics[key] = Traffic()
    return found


def add_route(mine: Traffic, transport: str) -> None:
    """Count a route's own traffic with that of its transport, until ``end_route()``."""
    with _lock:
        _routes[mine] = transport


def end_route(mine: Traffic) -> None:
    """Keep what a route's own traffic came to, and let go of it; in the thread of its connections."""
    with _lock:  # so that nobody counts it twice, or not at all
        every = traffic(_routes.pop(mine))
        for name in Traffic.__slots__:
            setattr(every, name, getattr(every, name) + getattr(mine, name))


class _FanOuts:
    """Fan-outs of one thread."""

    __slots__ = ("delivered_bytes", "deliveries", "seconds")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with zeros."""
        self.seconds = HistogramValue([0] * (len(fan_out_seconds.bounds) + 1), 0.0)
        self.deliveries = self.delivered_bytes = 0


_fan_outs: dict[int, _FanOuts] = {}


def count_fan_out(seconds: float, deliveries: int, size: int) -> None:
    """Count one fan-out: broadcasts to one room that were handed to its members in this thread's event loop.

    Args:
        seconds: that it took.
        deliveries: how many messages it came to, over all members.
        size: of their frames, in bytes.
    """
    thread = threading.get_ident()
    mine = _fan_outs.get(thread)
    if mine is None:
        mine = _fan_outs[thread] = _FanOuts()
    mine.seconds.counts[bisect_left(fan_out_seconds.bounds, seconds)] += 1
    mine.seconds.sum += seconds
    mine.deliveries += deliveries
    mine.delivered_bytes += size


class _FanOutCounter(Counter):
    """Counter of one of the numbers of all fan-outs."""

    @property
    def values(self) -> Mapping[Labels, float]:
        return MappingProxyType({(): sum(getattr(one, self.name) for one in list(_fan_outs.values()))})


class _FanOutHistogram(Histogram):
    """Histogram of the duration of all fan-outs."""

    @property
    def values(self) -> Mapping[Labels, HistogramValue]:
        every = [one.seconds for one in list(_fan_outs.values())]
        counts = [sum(column) for column in zip(*(one.counts for one in every), strict=True)]
        return MappingProxyType({(): HistogramValue(counts, sum(one.sum for one in every))} if every else {})


class _TrafficCounter(Counter):
    """Counter of one of the numbers of all ``Traffic``."""

    @property
    def values(self) -> Mapping[Labels, float]:
        found = dict(super().values)
        with _lock:
            every = [(labels, one) for (_, labels), one in list(_traffics.items())]
            every += [((transport,), one) for one, transport in _routes.items()]
            values = [(labels, getattr(one, self.name)) for labels, one in every]
        for labels, value in values:
            if value:
                found[labels] = found.get(labels, 0) + value
        return MappingProxyType(found)


def all_metrics() -> list[Metric]:
    """The rows of the table, in its order."""
    return list(_metrics.values())


def reset() -> None:
    """Begin with zeros: what a forked child does, and a test may."""
    global _lock
    _lock = threading.RLock()  # another thread may have held the parent's
    every: list[Traffic | _FanOuts] = [*_traffics.values(), *_routes, *_fan_outs.values()]
    for one in every:  # connections and loops have them still
        one.reset()
    for metric in all_metrics():
        metric.reset()


after_fork_in_child(reset)


_FAN_OUT_BOUNDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)

# The table: name, unit, labels, meaning

# Connections that came in
connections = row(Gauge("connections", "connections", (), "WebSockets that are being served."))
users = row(Gauge("users", "users", (), "Users who are logged in on one of them."))
denials = row(Counter("denials", "handshakes", ("reason",), "Handshakes denied, by limit, rule or mistake."))
forced_closes = row(
    Counter("forced_closes", "connections", ("reason",), "Closed by a limit, disconnect() or log-out.")
)

# Connections at both ends
_transport = ("transport",)
closes = row(Counter("closes", "connections", ("transport", "code"), "Open connections that have ended."))
messages_received = row(
    _TrafficCounter("messages_received", "messages", _transport, "Messages that handlers received.")
)
bytes_received = row(_TrafficCounter("bytes_received", "bytes", _transport, "Bytes in them; of text, characters."))
messages_sent = row(_TrafficCounter("messages_sent", "messages", _transport, "Messages that handlers sent."))
bytes_sent = row(_TrafficCounter("bytes_sent", "bytes", _transport, "Bytes in those messages."))

# Rooms
joins = row(Counter("joins", "joins", (), "Sockets that have joined a room."))
broadcasts = row(Counter("broadcasts", "broadcasts", (), "Broadcasts of this process, also those rolled back."))
deliveries = row(_FanOutCounter("deliveries", "messages", (), "Messages handed to members of rooms here."))
delivered_bytes = row(_FanOutCounter("delivered_bytes", "bytes", (), "Bytes in the frames of those messages."))
fan_out_seconds = row(
    _FanOutHistogram("fan_out_seconds", "seconds", (), "Time of one fan-out.", bounds=_FAN_OUT_BOUNDS)
)
message_drops = row(Counter("message_drops", "messages", ("policy",), "Deliveries dropped for slow clients."))
broadcast_drops = row(
    Counter("broadcast_drops", "broadcasts", (), "Broadcasts dropped because this process was slow.")
)
history_reads = row(
    Counter("history_reads", "reads", (), "How often a room's history was read for members here that came back.")
)
history_repairs = row(
    Counter("history_repairs", "repairs", (), "How often what a room had missed here was read from its history.")
)

# The channel layer
outages = row(Counter("outages", "outages", (), "How often the channel layer was lost."))
outage_seconds = row(Counter("outage_seconds", "seconds", (), "How long it was lost, in outages that have ended."))
subscription_cut_offs = row(
    Counter(
        "subscription_cut_offs", "connections", (), "Subscriptions that Redis cut off: they were read too slowly."
    )
)

# Connections that go out
outbound_connections = row(Gauge("outbound_connections", "connections", (), "Open WebSockets of outbound routes."))
outbound_attempts = row(Counter("outbound_attempts", "attempts", ("outcome",), "Attempts that ended, by outcome."))
