"""Tracing: the units of work of this package, for observers such as OpenTelemetry and Sentry.

A unit of work is the handshake of a socket, one message, one call, one broadcast, its fan-out in one process. Which
kinds there are, and what each is called, is one table below; ``otel_tracing`` makes spans of them, ``sentry`` scopes,
and the reference is made from it.

Without an observer nothing is made of a unit of work: who does it looks whether ``observers`` is empty, and goes on.
Names and attributes are routes, patterns of rooms and names of events. The name of a room is told apart from them,
and an observer shows it only where it was asked to.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from .types import Scope

__all__ = [
    "ATTRIBUTES",
    "FAILURES",
    "KINDS",
    "Attribute",
    "WorkKind",
    "Observation",
    "Observed",
    "Observer",
    "Value",
    "Work",
    "begin",
    "install",
    "observers",
    "uninstall",
]

logger = logging.getLogger("django_fastws.tracing")

Value = str | int | float | bool
"""Value of an attribute."""

_HTTP = (("http.request.method", "GET"), ("network.protocol.name", "websocket"))
_RPC = (("rpc.system", "fastws"),)
_SENT = (
    ("messaging.system", "fastws"),
    ("messaging.operation.name", "broadcast"),
    ("messaging.operation.type", "send"),
)
_FANNED_OUT = (
    ("messaging.system", "fastws"),
    ("messaging.operation.name", "fan-out"),
    ("messaging.operation.type", "process"),
)


class WorkKind(NamedTuple):
    """WorkKind of a unit of work: one row of the table.

    Attributes:
        word: with which its names begin.
        side: the kind of its span: server, client, producer, consumer or internal; "" has no span.
        parent: of its span: "headers" of the handshake, the "current" span, the "publisher" of a broadcast, or
            "none": it begins a trace, with a link to the handshake.
        meaning: from when to when it lasts.
        subject: the attribute that has the route, or the pattern of the room.
        event: the attribute that has the name of the event.
        has_event: whether its names have that, too.
        fixed: attributes that all of this kind have.
        is_entry: whether the work of others, such as a client, begins with it.
    """

    word: str
    side: str
    parent: str
    meaning: str
    subject: str = "http.route"
    event: str = ""
    has_event: bool = False
    fixed: tuple[tuple[str, Value], ...] = ()
    is_entry: bool = True

    def name(self, subject: str, event: str) -> str:
        """Name of a unit of work."""
        return " ".join(filter(None, (self.word, subject, event if self.has_event else "")))


# The table. Sockets that came in
HANDSHAKE = WorkKind("WS", "server", "headers", "A handshake, until it is accepted or denied.", fixed=_HTTP)
HANDLER = WorkKind(
    "handler", "internal", "current", "What a handler does from `accept()` on, until it asks for the first message."
)
MESSAGE = WorkKind(
    "message", "consumer", "none", "What a handler does with one message, until it asks for the next.", "fastws.route"
)
DISCONNECT = WorkKind("disconnect", "internal", "none", "What a handler does once its connection has ended.")
CONNECTION = WorkKind("connection", "", "none", "A live socket, or that of a consumer class, as long as it is open.")

# Live rooms
JOIN = WorkKind("join", "server", "none", "A join: rules, `on_join`, state, answer.", "rpc.service", fixed=_RPC)
LEAVE = WorkKind("leave", "server", "none", "A leave, until it is answered.", "rpc.service", fixed=_RPC)
CALL = WorkKind(
    "call",
    "server",
    "none",
    "An event of a client, from when its turn has come until it is answered.",
    "rpc.service",
    "rpc.method",
    has_event=True,
    fixed=_RPC,
)
ON_LEAVE = WorkKind("on_leave", "internal", "none", "The hook, however the member has left.", "rpc.service")
RESTORE = WorkKind(
    "restore", "internal", "none", "A member that has lost events gets them, or the state, again.", "rpc.service"
)
ASK = WorkKind(
    "ask",
    "client",
    "current",
    "A question to a client, until it is answered.",
    "",
    "rpc.method",
    has_event=True,
    fixed=_RPC,
    is_entry=False,
)

# Rooms
BROADCAST = WorkKind(
    "broadcast",
    "producer",
    "current",
    "A broadcast, until the channel layer has it, or the transaction that it waits for.",
    "messaging.destination.template",
    "fastws.event",
    fixed=_SENT,
    is_entry=False,
)
FAN_OUT = WorkKind(
    "fan-out",
    "consumer",
    "publisher",
    "Broadcasts of one room in one process, from their arrival until all members were sent them.",
    "messaging.destination.template",
    fixed=_FANNED_OUT,
    is_entry=False,
)

# Outbound routes
CONNECT = WorkKind("connect", "client", "current", "An attempt to connect, until the socket is open.", "fastws.route")
REQUEST = WorkKind("request", "client", "current", "A request, until its handler has ended.", "fastws.route")

KINDS = (
    HANDSHAKE,
    HANDLER,
    MESSAGE,
    DISCONNECT,
    CONNECTION,
    JOIN,
    CALL,
    LEAVE,
    ON_LEAVE,
    RESTORE,
    ASK,
    BROADCAST,
    FAN_OUT,
    CONNECT,
    REQUEST,
)
"""All kinds of units of work."""

#: Error codes of live rooms that are the server's failures, and no mistakes of a client.
FAILURES = frozenset({"failed", "timeout", "unavailable"})


class Attribute(NamedTuple):
    """Attribute of spans: one row of the table.

    Attributes:
        kinds: that may have it.
        meaning: what it has.
    """

    name: str
    kinds: tuple[WorkKind, ...]
    meaning: str


_SOCKETS = (HANDSHAKE, HANDLER, MESSAGE, DISCONNECT)
_LIVE = (JOIN, CALL, LEAVE, ON_LEAVE, RESTORE)
_ROOMS = (BROADCAST, FAN_OUT)
_OUTBOUND = (CONNECT, REQUEST)
_EVERY = (*_SOCKETS, *_LIVE, ASK, *_ROOMS, *_OUTBOUND)

ATTRIBUTES = (
    Attribute("http.route", (HANDSHAKE, HANDLER, DISCONNECT), "The path of the route, as it was declared."),
    Attribute("fastws.route", (MESSAGE, *_OUTBOUND), "The path of the route; of outbound routes, the name."),
    Attribute("http.request.method", (HANDSHAKE, REQUEST), "Of handshakes, `GET`."),
    Attribute("http.response.status_code", (HANDSHAKE, REQUEST), "101 if it was accepted, else that of the denial."),
    Attribute("network.protocol.name", (HANDSHAKE,), "`websocket`"),
    Attribute("url.scheme", (HANDSHAKE,), "`ws` or `wss`"),
    Attribute("fastws.transport", (HANDSHAKE,), "The server, as metrics have it."),
    Attribute("fastws.denial", (HANDSHAKE,), "Why it was denied: the limit, the rule, or the mistake."),
    Attribute("fastws.connection.id", (*_SOCKETS, *_LIVE, ASK), "`ws.id`"),
    Attribute("fastws.close.code", (DISCONNECT,), "With which the connection has ended."),
    Attribute("messaging.message.body.size", (MESSAGE, BROADCAST), "In bytes; of text, in characters."),
    Attribute("rpc.system", (JOIN, CALL, LEAVE, ASK), "`fastws`"),
    Attribute("rpc.service", _LIVE, "The pattern of the room."),
    Attribute("rpc.method", (CALL, ASK), "The event."),
    Attribute("messaging.system", _ROOMS, "`fastws`"),
    Attribute("messaging.operation.name", _ROOMS, "`broadcast` or `fan-out`"),
    Attribute("messaging.operation.type", _ROOMS, "`send` or `process`"),
    Attribute("messaging.destination.template", _ROOMS, "The pattern of the room; none where it is not declared."),
    Attribute("messaging.batch.message_count", (FAN_OUT,), "How many broadcasts are sent together, if several."),
    Attribute("fastws.event", (BROADCAST,), "The event, where it has a name."),
    Attribute("fastws.deliveries", (FAN_OUT,), "How many messages it came to, over all members."),
    Attribute("fastws.attempt", (CONNECT,), "0 for the first, else the number of the attempt in a row."),
    Attribute("error.type", _EVERY, "The error code of a live room, the class of an exception, or the status."),
    Attribute("fastws.room", (*_LIVE, *_ROOMS), "The name of the room; only with `room_names=True`."),
    Attribute("user.id", (*_SOCKETS, *_LIVE), "The primary key of the user; only with `user_ids=True`."),
)
"""All attributes of spans."""


@dataclass(slots=True)
class Work:
    """One unit of work that begins.

    Attributes:
        kind: a row of the table.
        subject: the route, or the pattern of the room; "" for a room that is not declared.
        event: its name.
        room: the name of the room, which not everyone may see.
        scope: of the socket that came in, with the headers and the user; None for any other.
        connection: the id of the socket.
        attributes: more of it, by the names of the table.
        parent: W3C's traceparent of what it is part of; "" is what its kind says.
        links: traceparents of what else it comes of.
        is_current: whether what is done until its end, in this context, is done for it.
        begun_ns: when it has begun, in nanoseconds since 1970; None is now.
    """

    kind: WorkKind
    subject: str = ""
    event: str = ""
    room: str = ""
    scope: Scope | None = None
    connection: str = ""
    attributes: dict[str, Value] = field(default_factory=dict)
    parent: str = ""
    links: Sequence[str] = ()
    is_current: bool = True
    begun_ns: int | None = None

    @property
    def name(self) -> str:
        """What it is called: never with the name of a room, a user or an address."""
        return self.kind.name(self.subject, self.event)


class Observation(Protocol):
    """What one observer has begun for a unit of work."""

    @property
    def traceparent(self) -> str:
        """Traceparent of its span, as W3C has it; "" without one."""

    def end(self, error: BaseException | None, code: str, attributes: Mapping[str, Value]) -> None:
        """The work is done.

        Args:
            error: with which the server has failed; None where it has not.
            code: word for how it ended, if that was not well; "" if it was.
            attributes: what is known only now.
        """

    def leave(self) -> None:
        """What is done from now on, in this context, is not done for it any more. Idempotent."""


class Observer(Protocol):
    """Observer of units of work."""

    def begin(self, work: Work) -> Observation | None:
        """A unit of work begins; None if that is none for this observer."""


observers: tuple[Observer, ...] = ()
"""Who observes. Read it as ``tracing.observers``: another tuple takes its place."""

_lock = threading.Lock()


def install(observer: Observer) -> None:
    """Have units of work observed that begin from now on, in this process. Once is enough."""
    global observers
    with _lock:
        if observer not in observers:
            observers = (*observers, observer)


def uninstall(observer: Observer) -> None:
    """Observe no more; what has begun is ended as ever. Nothing happens if it does not observe."""
    global observers
    with _lock:
        observers = tuple([one for one in observers if one is not observer])


class Observed:
    """One unit of work that has begun, for whoever does it. ``begin()`` makes it; a ``with`` ends it.

    What observers raise is logged, once in a process, and goes no further.
    """

    __slots__ = ("_ended", "_noted", "_observations")

    def __init__(self, observations: Sequence[Observation]) -> None:
        self._observations = observations
        self._ended = False
        self._noted: dict[str, Value] = {}

    @property
    def traceparent(self) -> str:
        """W3C's traceparent of its span; "" where nobody has made one."""
        return next((one.traceparent for one in self._observations if one.traceparent), "")

    def note(self, **attributes: Value) -> None:
        """Remember attributes for the end: those of the table, with two underscores for each dot."""
        self._noted.update({name.replace("__", "."): value for name, value in attributes.items()})

    def end(
        self, error: BaseException | None = None, code: str = "", *, is_left: bool = True, **attributes: Value
    ) -> None:
        """End it, and leave it; nothing happens the second time.

        Args:
            error: with which the server has failed.
            code: word for how it ended, if that was not well.
            is_left: False leaves it to ``leave()`` that it is not current any more.
            attributes: as ``note()`` takes them.
        """
        if not self._ended:
            self._ended = True
            self.note(**attributes)
            for one in self._observations:
                _guarded(one.end, error, code, self._noted)
        if is_left:
            self.leave()

    def __enter__(self) -> Observed:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, asyncio.CancelledError):
            self.end(code="cancelled")
        else:
            self.end(error)

    def leave(self) -> None:
        """What is done from now on, in this context, is not done for it any more. Idempotent."""
        for one in reversed(self._observations):
            _guarded(one.leave)


def begin(work: Work) -> Observed:
    """Begin a unit of work; whoever calls this ends it, however it ends, in the same context if it is current."""
    begun = [_guarded(observer.begin, work) for observer in observers]
    return Observed([one for one in begun if one is not None])


_has_failed = False


def _guarded(function: Any, *arguments: Any) -> Any:
    global _has_failed
    try:
        return function(*arguments)
    except Exception:
        if not _has_failed:
            _has_failed = True
            logger.exception("An observer of traces has failed; whatever more of it fails is not logged")
        return None
