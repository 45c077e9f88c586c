"""Metrics of this process: counters, gauges and histograms, in plain numbers that an exporter reads.

Every metric is one row of the table below: its name, unit, labels and meaning. Code that counts imports this and
calls ``add()``, ``observe()`` or ``read_from()`` on a row; an exporter reads ``all_metrics()``.

What it costs: a few dicts for one ``add()`` or ``observe()``, without a lock, so these are called once for each
broadcast, join, handshake or connection, and never for each message or for each member of a room. What is counted
more often has a tally of each thread: messages in ``Traffic``, one addition for each; fan-outs by
``count_fan_out()``, once for however many members and messages; calls by ``count_call()``.

Labels are routes, patterns of rooms, names of events, and words of this package: never rooms, users or addresses. So
the number of series is that of what the project declares, however much of it there is.

Threads: all of it may be called from any thread; a ``Traffic`` belongs to the thread whose connections count in it.
Forks: a child begins with zeros.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from operator import attrgetter
from threading import get_ident
from typing import TypeVar

from ._core.forks import after_fork_in_child
from ._core.instruments import (
    MOST_SERIES,
    OTHER,
    Counter,
    Gauge,
    Histogram,
    HistogramCell,
    HistogramValue,
    Labels,
    Metric,
)
from ._core.tallies import CallTally, FanOutTally, Traffic

__all__ = [
    "MOST_SERIES",
    "Counter",
    "Gauge",
    "Histogram",
    "HistogramCell",
    "HistogramValue",
    "Labels",
    "Metric",
    "Traffic",
    "add_traffic",
    "all_metrics",
    "count_call",
    "count_close",
    "count_connection",
    "count_fan_out",
    "end_traffic",
    "on_connection_end",
    "reset",
    "row",
    "traffic",
    # Rows of the table
    "broadcasts",
    "call_seconds",
    "calls",
    "closes",
    "connection_seconds",
    "connections",
    "delivered_bytes",
    "deliveries",
    "denials",
    "draining",
    "dropped_broadcasts",
    "dropped_messages",
    "fanout_seconds",
    "forced_closes",
    "handshakes",
    "history_reads",
    "history_repairs",
    "joins",
    "layer_lag_seconds",
    "layer_outage_seconds",
    "layer_outages",
    "outbound_attempts",
    "outbound_closes",
    "outbound_connections",
    "outbound_outcomes",
    "outbound_routes",
    "policy_drops",
    "presence_keys",
    "received_bytes",
    "received_messages",
    "sent_bytes",
    "sent_messages",
    "slow_callbacks",
    "subscription_cut_offs",
    "threads_busy",
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


def all_metrics() -> list[Metric]:
    """The rows of the table, in its order."""
    return list(_metrics.values())


# The table: name, unit, labels, meaning

_SHORT = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_LONGER = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_OF_CONNECTIONS = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)

# Connections that came in
_route = ("route",)
connections = row(
    Gauge("connections", "connections", ("route", "transport"), "WebSockets that handlers serve, by path and server.")
)
users = row(Gauge("users", "users", (), "Users who are logged in on one of them."))
handshakes = row(Counter("handshakes", "handshakes", _route, "Handshakes for a route, whatever became of them."))
denials = row(Counter("denials", "handshakes", ("reason",), "Handshakes denied, by limit, rule or mistake."))
closes = row(
    Counter("closes", "connections", ("code", "by"), "Open connections that have ended: by the client or the server.")
)
forced_closes = row(
    Counter("forced_closes", "connections", ("reason",), "Closed by a limit, disconnect(), a kick or a log-out.")
)
connection_seconds = row(
    Histogram("connection_seconds", "seconds", (), "How long connections were open.", bounds=_OF_CONNECTIONS)
)

# Messages of sockets, at either end
received_messages = row(Counter("received_messages", "messages", (), "Messages that handlers received."))
received_bytes = row(Counter("received_bytes", "bytes", (), "Bytes in those messages."))
sent_messages = row(
    Counter("sent_messages", "messages", (), "Messages that handlers sent; what broadcasts came to is deliveries.")
)
sent_bytes = row(Counter("sent_bytes", "bytes", (), "Bytes in those messages."))

# Rooms
_room = ("room",)
broadcasts = row(
    Counter("broadcasts", "broadcasts", _room, "Broadcasts of this process, by pattern, also those rolled back.")
)
deliveries = row(Counter("deliveries", "messages", (), "Messages handed to members of rooms here."))
delivered_bytes = row(Counter("delivered_bytes", "bytes", (), "Bytes in the frames of those messages."))
fanout_seconds = row(
    Histogram("fanout_seconds", "seconds", (), "How long it took to hand broadcasts to all members.", bounds=_SHORT)
)
dropped_messages = row(Counter("dropped_messages", "messages", (), "Deliveries dropped for slow clients."))
policy_drops = row(Counter("policy_drops", "messages", ("policy",), "The same, by the policy that has dropped them."))
dropped_broadcasts = row(
    Counter("dropped_broadcasts", "broadcasts", (), "Broadcasts dropped because this process was slow.")
)
joins = row(
    Counter("joins", "joins", ("room", "recovered"), "Joins, by pattern, and whether what was missed was sent.")
)
history_reads = row(
    Counter("history_reads", "reads", (), "How often a room's history was read for members here that came back.")
)
history_repairs = row(
    Counter("history_repairs", "repairs", (), "How often what a room had missed here was read from its history.")
)
presence_keys = row(
    Gauge("presence_keys", "keys", _room, "Who is present in rooms by a connection of this process, by pattern.")
)

# Calls of live rooms
calls = row(
    Counter("calls", "calls", ("room", "event", "code"), "Events of clients, by pattern, and ok or the error's code.")
)
call_seconds = row(
    Histogram("call_seconds", "seconds", ("room", "event"), "How long their handlers took.", bounds=_LONGER)
)

# The channel layer
layer_lag_seconds = row(
    Histogram(
        "layer_lag_seconds", "seconds", (), "From the publishing of a broadcast to its arrival here.", bounds=_LONGER
    )
)
layer_outages = row(Counter("layer_outages", "outages", (), "How often the channel layer was lost."))
layer_outage_seconds = row(Counter("layer_outage_seconds", "seconds", (), "How long it was lost, until now."))
subscription_cut_offs = row(
    Counter(
        "subscription_cut_offs", "connections", (), "Subscriptions that Redis cut off: they were read too slowly."
    )
)

# Connections that go out
outbound_routes = row(Gauge("outbound_routes", "routes", ("state",), "Outbound routes that run, by their state."))
outbound_connections = row(Gauge("outbound_connections", "connections", (), "Open WebSockets of outbound routes."))
outbound_attempts = row(Counter("outbound_attempts", "attempts", _route, "Attempts to connect, by route."))
outbound_outcomes = row(Counter("outbound_outcomes", "attempts", ("outcome",), "Attempts that ended, by outcome."))
outbound_closes = row(
    Counter("outbound_closes", "connections", ("code", "by"), "Open connections that have ended: by us or the peer.")
)

# The process
threads_busy = row(Gauge("threads_busy", "threads", (), "Threads for sync code that have something to do."))
slow_callbacks = row(
    Counter(
        "slow_callbacks", "callbacks", _route, "Callbacks that blocked the event loop too long, by what they served."
    )
)
draining = row(Gauge("draining", "processes", (), "1 while the process stops in order, else 0."))


# What each thread counts for itself, for an addition is not atomic. One that has ended gives its number, and what
# it has counted with it, to another.
_traffics: dict[int, Traffic] = {}
_fan_outs: dict[int, FanOutTally] = {}
_calls: dict[tuple[int, str, str], CallTally] = {}
#: The traffic of each socket, and of each route, that has its own. A dict: a set takes twice as much memory.
_own: dict[Traffic, None] = {}
_lock = threading.RLock()


def traffic() -> Traffic:
    """The traffic of this thread's connections, for these to count."""
    thread = get_ident()
    found = _traffics.get(thread)
    if found is None:
        found = _traffics[thread] = Traffic()
    return found


def add_traffic(mine: Traffic) -> None:
    """Count the own traffic of a socket or route with that of all others, until ``end_traffic()``."""
    with _lock:
        _own[mine] = None


def end_traffic(mine: Traffic) -> None:
    """Keep what such traffic came to, and let go of it; in the thread of its connections."""
    with _lock:  # so that nobody counts it twice, or not at all
        every = traffic()
        del _own[mine]
        for name in Traffic.__slots__:
            setattr(every, name, getattr(every, name) + getattr(mine, name))


def _in_traffic(name: str) -> Callable[[], Iterable[tuple[Labels, float]]]:
    get = attrgetter(name)

    def read() -> Iterable[tuple[Labels, float]]:
        with _lock:
            return [((), sum(map(get, _traffics.values())) + sum(map(get, _own)))]

    return read


received_messages.read_also(_in_traffic("messages_received"))
received_bytes.read_also(_in_traffic("bytes_received"))
sent_messages.read_also(_in_traffic("messages_sent"))
sent_bytes.read_also(_in_traffic("bytes_sent"))
dropped_messages.read_also(lambda: [((), policy_drops.total)])


def count_fan_out(seconds: float, deliveries: int, size: int) -> None:
    """Count one fan-out: broadcasts to one room that were handed to its members in this thread's event loop.

    Args:
        seconds: that it took.
        deliveries: how many messages it came to, over all members.
        size: of their frames, in bytes.
    """
    thread = get_ident()
    mine = _fan_outs.get(thread)
    if mine is None:
        mine = _fan_outs[thread] = FanOutTally(fanout_seconds.cell())
    mine.count(seconds, deliveries, size)


deliveries.read_also(lambda: [((), sum(one.deliveries for one in list(_fan_outs.values())))])
delivered_bytes.read_also(lambda: [((), sum(one.delivered_bytes for one in list(_fan_outs.values())))])


def count_call(room: str, event: str, seconds: float, code: str | None) -> None:
    """Count one call whose turn has come, when it is about to be answered.

    Args:
        room: the pattern of the room.
        event: which the room declares.
        seconds: that it took.
        code: of the error; None is none.
    """
    key = get_ident(), room, event
    mine = _calls.get(key)
    if mine is None:
        mine = _calls[key] = CallTally(call_seconds.cell(room, event))
    mine.count(seconds, code)


def _in_calls() -> Iterable[tuple[Labels, float]]:
    for (_, room, event), tally in list(_calls.items()):
        yield (room, event, "ok"), tally.succeeded
        for code, count in list(tally.codes.items()):
            yield (room, event, code), count


calls.read_also(_in_calls)

_MOST_CODES = 64
_codes: set[str] = set()


#: Called with the seconds, the code and the end that closed, for every connection that came in; must not raise.
on_connection_end: list[Callable[[float, int, str], None]] = []


def count_connection(seconds: float, code: int, by: str) -> None:
    """Count the end of a connection that came in: how long it was open, its close code, and which end closed it."""
    count_close(closes, code, by)
    connection_seconds.observe(seconds)
    for told in on_connection_end:
        told(seconds, code, by)


def count_close(counter: Counter, code: int | None, by: str) -> None:
    """Count the end of an open connection.

    A client may close with any of 2,000 codes: those beyond the first 64 are counted together.

    Args:
        counter: ``closes`` or ``outbound_closes``.
        code: None is 1006: it was cut.
        by: which end has closed it, "client" or "server".
    """
    label = str(1006 if code is None else code)
    if by != "server" and label not in _codes:
        if len(_codes) < _MOST_CODES:
            _codes.add(label)
        else:
            label = OTHER
    counter.add(1, label, by)


def reset() -> None:
    """Begin with zeros: what a forked child does, and a test may."""
    global _lock
    _lock = threading.RLock()  # another thread may have held the parent's
    every: list[Traffic | FanOutTally | CallTally] = [
        *_traffics.values(),
        *_own,
        *_fan_outs.values(),
        *_calls.values(),
    ]
    for one in every:  # connections and loops have them still
        one.reset()
    _codes.clear()
    for metric in all_metrics():
        metric.reset()


after_fork_in_child(reset)
