"""Rows of the console: what is read of processes, sockets, rooms and outbound routes, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

__all__ = [
    "ORDERS",
    "ActionResult",
    "RowPage",
    "ProcessRow",
    "RoomDetail",
    "RoomRow",
    "RouteRow",
    "SocketDetail",
    "SocketRow",
    "SocketSearch",
]

Row = TypeVar("Row")

#: What sockets can be put in order by; with "-" before it, the greatest first.
ORDERS = (
    "opened",
    "user",
    "address",
    "route",
    "buffered",
    "received_messages",
    "received_bytes",
    "sent_messages",
    "sent_bytes",
)


@dataclass(frozen=True, slots=True)
class RowPage(Generic[Row]):
    """Rows of one page, of all processes that have answered before the deadline.

    Attributes:
        rows: in their order.
        next: pass it as ``after`` for the next page; "" at the end.
        total: how many rows there are on all pages. Of rooms it is a lower bound, while a process has more than fit
            into its answer: the rooms that two processes have are one.
        asked: how many processes have heard the question; where the layer cannot tell, how many have answered.
        answered: how many have answered, with an error or without.
        missing: how many are known not to have answered in time; their rows are not here.
        errors: what those have said who could not answer, by their names; their rows are not here.
        processes: the names of those whose rows are here.
    """

    rows: list[Row]
    next: str = ""
    total: int = 0
    asked: int = 0
    answered: int = 0
    missing: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    processes: list[str] = field(default_factory=list)

    @property
    def is_partial(self) -> bool:
        """Whether rows may be missing, for not every process has given its own."""
        return self.missing > 0 or bool(self.errors)


@dataclass(frozen=True, slots=True)
class ActionResult:
    """ActionResult of an action, as the processes have told it.

    Attributes:
        done: how many sockets, memberships or routes it was done to, or processes that do it.
        asked, answered, missing: processes, as in ``RowPage``. What a missing one has done is not known.
        errors: what those have said who could not do it, by their names.
    """

    done: int = 0
    asked: int = 0
    answered: int = 0
    missing: int = 0
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def is_partial(self) -> bool:
        """Whether a process may not have done its part."""
        return self.missing > 0 or bool(self.errors)


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process.

    Attributes:
        name: unlike that of any other.
        kind: "server" (``runws_server``), "clients" (``runws_clients``), or "asgi" for another server.
        host, pid: where it runs.
        started: when it began, in seconds since 1970 by its clock.
        is_draining: it is about to stop.
        can_drain: ``drain_process()`` works there.
        sockets: WebSockets that came in and are open.
        users: users who have one of them.
        rooms: rooms that have members there.
        routes: outbound routes that run there.
        memory_bytes: resident memory; None where the system does not tell.
        cpu_seconds: of the processor, since it began.
        loop_delay: by how many seconds its event loop was late, when it was asked; None from older releases.
        descriptors_open, descriptors_limit: file descriptors; None where nobody tells, or there is no limit.
        threads_busy: of those for sync code, how many work.
        lag_seconds: from the question to its answer.
        versions: of "django_fastws", "django" and "python".
        sockets_by_route: how many sockets each route has, by its path.
        counters: what it has counted since it began, for rates: "received_messages", "received_bytes",
            "sent_messages", "sent_bytes", "broadcasts", "deliveries", "delivered_bytes", "dropped_messages",
            "handshakes", "denials", "closes", "joins" and "calls".
    """

    name: str
    kind: str
    host: str
    pid: int
    started: float
    is_draining: bool
    can_drain: bool
    sockets: int
    users: int
    rooms: int
    routes: int
    memory_bytes: int | None
    cpu_seconds: float | None
    loop_delay: float | None
    descriptors_open: int | None
    descriptors_limit: int | None
    threads_busy: int
    lag_seconds: float
    versions: dict[str, str]
    sockets_by_route: dict[str, int]
    counters: dict[str, float]


@dataclass(frozen=True, slots=True)
class SocketRow:
    """One socket that came in.

    Attributes:
        id: as ``ws.id``.
        process: the name of its process.
        route: the path of its route, with its parameters' names.
        path: that was connected to, without secrets, as the log has it; at most 200 characters.
        user: the key of the user, such as "auth.user:7"; "" for nobody.
        user_label: the user, as Django's ``get_username()`` or ``str()`` names them; "" where that is not known
            without a database.
        address: of the client, without its port; "" where the server tells none.
        transport: what carries it, as metrics have it: "daphne", "uvicorn", "asgi", ...
        opened: when it was let in, in seconds since 1970 by the clock of its process.
        received_messages, received_bytes: from the client.
        sent_messages, sent_bytes: by its handler; the broadcasts of its rooms are not counted for each member.
        buffered_bytes: what waits in this process to be taken by the client.
        dropped: broadcasts that were dropped because the client was slow.
        rooms: how many it is in.
        is_live: it is one of live rooms.
    """

    id: str
    process: str
    route: str
    path: str
    user: str
    user_label: str
    address: str
    transport: str
    opened: float
    received_messages: int
    received_bytes: int
    sent_messages: int
    sent_bytes: int
    buffered_bytes: int
    dropped: int
    rooms: int
    is_live: bool


@dataclass(frozen=True, slots=True)
class SocketDetail:
    """One socket, with what its row has no room for.

    Attributes:
        row: of it.
        rooms: the names of its rooms in alphabetical order; at most 1,000.
        subprotocol: that was agreed on; "" for none.
        client_id: of a live client, which survives a reconnect; "" for others.
        port: of the client's address; None where the server tells none.
        tags: of its route.
        headers: of the handshake those that say what the client is: user-agent, origin, host, accept-language and
            the like; never a cookie or another secret.
    """

    row: SocketRow
    rooms: list[str]
    subprotocol: str
    client_id: str
    port: int | None
    tags: list[str]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class SocketSearch:
    """Search for sockets: all that is given must fit, "" fits any.

    Attributes:
        text: a part of the path, route, user, address or id, whatever its case, or a network that the address is in.
        user: a user's key or primary key, or a part of the user name or e-mail address, whatever its case, as far as
            the process has them in memory. It asks no database.
        address: a beginning of the address ("10.1."), or a network ("10.1.0.0/16").
        route: the path of a route.
        room: the name of a room that it is in.
        process: the name of its process.
        ids: some sockets, by their ids; empty for any. At most 10,000.
    """

    text: str = ""
    user: str = ""
    address: str = ""
    route: str = ""
    room: str = ""
    process: str = ""
    ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RoomRow:
    """One room that has members.

    Attributes:
        name: of it.
        pattern: of its declaration; "" where it has none.
        members: sockets in it, over all processes. Server code that listens to it is none.
        processes: how many processes have members of it.
        has_history, has_presence, is_keyed: as it is declared, where its members are.
    """

    name: str
    pattern: str
    members: int
    processes: int
    has_history: bool
    has_presence: bool
    is_keyed: bool


@dataclass(frozen=True, slots=True)
class RoomDetail:
    """One room, with its members.

    Attributes:
        row: of it; with no members, if nobody is in it.
        members: sockets in it, by when they were opened.
        presence: who is present, at most 1,000: each ``{"key": ..., "meta": ...}``; None where the room
            knows of none.
        present: how many are present; None likewise.
        position: of its last stored broadcast, as a text; "" without a history, or before the first.
        history: its last stored broadcasts, the newest first, at most 50; None without a history.
        errors: why the presence or the history could not be read, by "presence" and "history".
        positions: up to which position each process that has members has got, by its name.
    """

    row: RoomRow
    members: RowPage[SocketRow]
    presence: list[dict[str, Any]] | None
    present: int | None
    position: str
    history: list[dict[str, Any]] | None
    errors: dict[str, str]
    positions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One outbound route that runs.

    Attributes:
        process: the name of its process.
        route: its key.
        url: that it connects to, without secrets.
        state: "connected", "connecting", "waiting", "waiting for the lease", "closed", "done", "stopped" or "failed".
        since: when the present connection was opened, in seconds since 1970; None without one.
        attempts: how many attempts in a row have failed; 0 while it is connected for good.
        last_error: how the last connection ended that was not wanted to; "" if none did.
        received_messages, received_bytes, sent_messages, sent_bytes: over all its connections.
    """

    process: str
    route: str
    url: str
    state: str
    since: float | None
    attempts: int
    last_error: str
    received_messages: int
    received_bytes: int
    sent_messages: int
    sent_bytes: int
