"""InboundWebSocket: a WebSocket of a client that has connected to this server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from django.contrib.sessions.backends.base import SessionBase
from django.http import QueryDict, parse_cookie

from .. import metrics
from .._core.headers import HANDSHAKE_HEADERS, encode_headers
from .._core.messages import Batch, Payload
from .._core.query import query_fields
from ..encoding import encode_json
from ..exceptions import WebSocketDisconnect, WebSocketStateError
from ..masking import mask_path
from ..rooms import (
    Attendance,
    Joined,
    Position,
    Room,
    current_hub,
    current_presence,
    ids,
    join_since,
    presence_store,
)
from ..transports import InboundTransport
from ..types import Address, Data, Headers, Scope, UserT
from ..user_keys import is_user, presence_key
from .base import WebSocket

__all__ = ["InboundWebSocket"]


class LiveMember(Protocol):
    """Session of live rooms on a socket: what others may know of it.

    Attributes:
        client_id: of the client.
        rooms: the names of those that it is in.
    """

    @property
    def client_id(self) -> str: ...

    @property
    def rooms(self) -> frozenset[str]: ...


class InboundWebSocket(WebSocket[UserT]):
    """WebSocket that came in: it is accepted or denied, has a scope and a user, and joins rooms.

    Args:
        path_params: of the route, converted.
        tags: of the route.
    """

    __slots__ = ("_attendances", "_params", "_query", "_rooms", "close_from_outside", "live", "route")

    takes_events = False  # as a member of rooms

    _transport: InboundTransport

    def __init__(
        self, transport: InboundTransport, *, path_params: Mapping[str, Any] | None = None, tags: Iterable[str] = ()
    ) -> None:
        super().__init__(transport, metrics.traffic(), tags=tags)
        self._params = path_params if isinstance(path_params, dict) else dict(path_params or {})
        self._query: QueryDict | None = None
        self._rooms: set[str] | tuple[()] = ()
        #: Its presence, by room; made when it is needed.
        self._attendances: dict[str, Attendance] | None = None
        #: Closes it while its handler does something else, and counts why; the admission sets it.
        self.close_from_outside: Callable[[str, int, str], None] | None = None
        #: The path of the route, once it is open.
        self.route = ""
        #: The session of live rooms, while there is one.
        self.live: LiveMember | None = None

    # The handshake

    async def accept(self, subprotocol: str | None = None, headers: Headers | Iterable[tuple[Any, Any]] = ()) -> None:
        encoded = encode_headers(headers, forbidden=HANDSHAKE_HEADERS)
        offered = list(self._transport.scope.get("subprotocols") or ())
        if subprotocol is not None and subprotocol not in offered:
            raise ValueError(
                f"accept(subprotocol={subprotocol!r}): the client offered "
                + (", ".join(map(repr, offered)) or "none")
                + "; accept one of those, or None"
            )
        self._state.accept()
        try:
            await self._transport.accept(subprotocol, encoded)
        except WebSocketDisconnect:
            self._state.received_all(1006, "")
            raise
        self.subprotocol = subprotocol

    async def _deny(self) -> None:
        await self._transport.deny()

    # Rooms

    async def join(self, room: str | Room, *, since: Position | str | None = None, present: Any = None) -> Joined:
        name = room if isinstance(room, str) else _room(room).name
        self._state.send("join")
        if present is not None:
            return await self._join_present(name, since, encode_json(present).raw)
        rooms = self._rooms = self._rooms or set()
        rooms.add(name)
        try:
            return await join_since(self, name, since)
        except BaseException:
            if not current_hub().has(self, name):  # another task may have joined it, too
                rooms.discard(name)
            raise

    async def _join_present(self, name: str, since: Position | str | None, card: bytes) -> Joined:
        presence_store()  # or it raises what says so
        joined = await self.join(name, since=since)
        if not current_hub().has(self, name):
            return joined  # another task has left the room meanwhile, or the connection has ended
        if self._attendances is None:
            self._attendances = {}
        attendance = self._attendances.get(name)
        if attendance is None:
            key = presence_key(self.scope.get("user"))
            attendance = self._attendances[name] = Attendance(
                name, key or self.id, self.id, is_user=key is not None, is_named=False
            )
        await current_presence().enter(attendance, card)
        return joined

    def _not_present(self, name: str) -> None:
        """Be present no more, where it was."""
        if self._attendances and (attendance := self._attendances.pop(name, None)) is not None:
            current_presence().leave(attendance)

    async def leave(self, room: str | Room) -> None:
        name = room if isinstance(room, str) else _room(room).name
        self._not_present(name)
        if self._rooms and name in self._rooms:
            self._rooms.discard(name)
            await current_hub().leave(self, name)

    @property
    def rooms(self) -> frozenset[str]:
        return frozenset(self._rooms)

    @property
    def every_room(self) -> frozenset[str]:
        """The names of its rooms, those of its live session; for those who look from outside."""
        return frozenset(self._rooms) if self.live is None else self.live.rooms

    async def broadcast(self, room: str | Room, data: Data, exclude_self: bool = False) -> None:  # noqa: FBT001, FBT002 (the contract)
        await _room(room).abroadcast(data, exclude=self if exclude_self else None)

    def try_send_all(self, payloads: Sequence[Payload], call: str) -> bool:
        """Send encoded messages at once and in one write, if that is possible, else none; for live sessions."""
        if len(payloads) == 1:
            return self.try_send(payloads[0], call)
        self._state.send(call)
        if not self._transport.try_send(Batch(payloads)):
            return False
        traffic = self._traffic
        traffic.messages_sent += len(payloads)
        traffic.bytes_sent += sum([len(payload.raw) for payload in payloads])
        return True

    @property
    def post(self) -> Callable[[Payload | Batch], bool | None]:
        """The function that sends without waiting and without raising, and nothing once it is closed; for the hub."""
        return self._transport.post

    @property
    def transport(self) -> InboundTransport:
        """The transport; for live sessions."""
        return self._transport

    @property
    def traffic(self) -> metrics.Traffic:
        """What it counts its messages in: its own while it is open, else that of its thread; for this package."""
        return self._traffic

    @traffic.setter
    def traffic(self, traffic: metrics.Traffic) -> None:
        self._traffic = traffic

    @property
    def known_id(self) -> str:
        """The id, if it was ever asked for; else ""."""
        return self._id or ""

    @property
    def is_closing(self) -> bool:
        """Whether it is closed, or somebody has decided to close it; for those who look from outside."""
        return self._state.is_over or self._state.close_code is not None

    @property
    def socket(self) -> InboundWebSocket[UserT]:
        """Itself, as the socket of a member of rooms."""
        return self

    @staticmethod
    def _find(socket_id: str) -> tuple[Any, ...]:
        """The socket that has an id, if there is one; for the hub."""
        found = ids.find(socket_id)
        return () if found is None else (found,)

    def matches(self, user: str, client: str) -> bool:
        """Whether it is of a user, by the ``user_key``, or has an id; "" is nobody's. For the hub."""
        return bool(client and client == self._id) or is_user(self.scope.get("user"), user)

    def kick(self, code: int, reason: str) -> None:
        """Close the connection, for it is not wanted in a room; for the hub."""
        if self.close_from_outside is not None:
            self.close_from_outside("kick", code, reason)

    def lost(self) -> None:
        """Broadcasts of a room were lost; for the hub. Clients of raw sockets are not told."""

    @property
    def dropped(self) -> int:
        return self._transport.dropped

    def _leave_rooms(self) -> None:
        if self._rooms:
            current_hub().drop(self, self._rooms)
        for name in tuple(self._attendances or ()):
            self._not_present(name)

    def release(self) -> None:
        super().release()
        self._rooms = ()
        self.live = None
        self.close_from_outside = None  # with what it is bound to, a cycle

    # About

    @property
    def scope(self) -> Scope:
        return self._transport.scope

    @property
    def path_params(self) -> dict[str, Any]:
        return self._params

    @property
    def query_params(self) -> QueryDict:
        if self._query is None:
            query = QueryDict(mutable=True)
            for name, value in query_fields(self.scope, None):
                query.appendlist(name, value)
            query._mutable = False
            self._query = query
        return self._query

    @property
    def cookies(self) -> dict[str, str]:
        cookies = self.scope.get("cookies")
        return parse_cookie(self.headers.get("cookie", "")) if cookies is None else cookies

    @property
    def user(self) -> UserT:
        user: UserT = self._from_scope("user", "django.contrib.auth")
        return user

    @property
    def session(self) -> SessionBase:
        session: SessionBase = self._from_scope("session", "django.contrib.sessions")
        return session

    def _from_scope(self, name: str, app: str) -> Any:
        try:
            return self.scope[name]
        except KeyError:
            raise WebSocketStateError(
                f"no {name} here: add {app!r} to INSTALLED_APPS and use django_fastws.asgi.get_asgi_application(), "
                "or put the middleware around the route that sets it"
            ) from None

    @property
    def client(self) -> Address | None:
        return self._transport.remote_address

    def __repr__(self) -> str:
        return f"<WebSocket {mask_path(self._transport.scope.get('path', ''))!r} {self._state.client_state.name}>"


def _room(room: str | Room) -> Room:
    return room if isinstance(room, Room) else Room(room)
