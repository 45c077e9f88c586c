"""LiveSocket: the socket of a client of live rooms, as handlers and hooks hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, cast

from django.contrib.sessions.backends.base import SessionBase

from .._core import live_frames
from .._core.room_events import check_event
from ..encoding import json_bytes
from ..exceptions import WebSocketStateError
from ..rooms import Room
from ..types import Address, Scope, UserT
from .event import RESERVED, Event

if TYPE_CHECKING:
    from .session import LiveSession

__all__ = ["LiveSocket"]

_TIMEOUT = 10.0

_EVENTS = "what clients send comes to the functions of @room.on(...)"
_EMIT = "`await ws.emit(event, data)` sends to this client alone, and what a handler returns is the answer"
#: What to do instead of what a WebSocket has, and this has not.
_INSTEAD = {
    "accept": "it is accepted already; on_join refuses a join by what it raises",
    "broadcast": "`await room.abroadcast(...)`, where `room: Room` is a parameter of the function",
    "join": "clients join",
    "path_params": "the parameters of the pattern are parameters of the function",
    **dict.fromkeys(("send", "send_text", "send_str", "send_bytes", "send_json"), _EMIT),
    **dict.fromkeys(("receive", "receive_text", "receive_json", "recv"), _EVENTS),
}


class LiveSocket(Generic[UserT]):
    """Socket of one client, which is in any number of live rooms. Handlers and hooks of all of them get the same one.

    Type checkers see ``ws.user`` as any of Django's users; ``ws: LiveSocket[Member]`` says which model it is.

    It is hashable and compares by identity. Its methods are for the event loop of the connection.
    """

    __slots__ = ("__weakref__", "_session")

    def __init__(self, session: LiveSession) -> None:
        self._session = session

    # Who

    @property
    def user(self) -> UserT:
        """The user: of Django's session, or whom ``FASTWS_LIVE_AUTHENTICATE`` has named; else an AnonymousUser."""
        user: Any = self._session.ws.user
        return cast("UserT", user)

    @property
    def session(self) -> SessionBase:
        """Django's session. Await its ``asave()`` after a change; nothing saves it by itself."""
        return self._session.ws.session

    @property
    def scope(self) -> Scope:
        """The ASGI scope, with what the middleware put there."""
        return self._session.ws.scope

    @property
    def id(self) -> str:
        """A str of its own for this connection, unique in the whole cluster; for ``exclude=``."""
        return self._session.ws.id

    @property
    def client_id(self) -> str:
        """Id of the page, which survives a reconnect; of a client that has said none, the same as ``id``.

        It is public, and chosen by the client: what depends on it must depend on the user as well.
        """
        return self._session.client_id

    @property
    def _excluded_as(self) -> str:
        """For ``exclude=``."""
        return self._session.excluded_as

    @property
    def remote_address(self) -> Address | None:
        """The address of the client; None where the server has none to tell."""
        return self._session.ws.remote_address

    # Rooms

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that the socket is in; once it is closed, of those that it was in."""
        return self._session.rooms

    async def leave(self, room: str | Room) -> None:
        """Take the socket out of a room; the client is told, with 1000. Returns when on_leave has run.

        Nothing happens if it is not in the room. An on_leave that calls this does not wait for another, nor itself.

        Raises:
            TypeError: that is no room, but a kind of room.
        """
        membership = self._session.memberships.get(_name_of(room))
        if membership is not None:
            membership.kick(1000, "")
            await membership.left()

    # To this client

    async def emit(self, event: str | Event, data: Any = None) -> None:
        """Send an event to this client alone, in no room.

        Args:
            event: its name, or an ``Event``, which has its name and data.
            data: anything that has JSON.
        Raises:
            TypeError, ValueError: the data has no JSON form, or the event is no name, or is called as one of the
                client's own.
            MessageTooBig: it is over ``FASTWS_MAX_MESSAGE_BYTES``.
            WebSocketDisconnect: the connection is closed.
        """
        name, encoded = _encoded(event, data)
        if name in RESERVED:
            raise TypeError(f"emit({name!r}): clients mean something else by that: give the event another name")
        await self._session.send(self._session.checked(live_frames.emitted(name, encoded)))

    async def ask(self, event: str | Event, data: Any = None, *, timeout: float | None = _TIMEOUT) -> Any:
        """Ask this client, and wait for its answer.

        Args:
            event: what is asked: a name, or an ``Event``.
            data: anything that has JSON.
            timeout: seconds for the answer; None waits as long as the connection lasts.
        Returns:
            The answer, decoded. It comes from a client: check it.
        Raises:
            TimeoutError: there is no answer in time.
            LiveError: the client has answered with an error.
            WebSocketDisconnect: the connection is closed.
            TypeError, ValueError: the data has no JSON form, or the event is no name.
            MessageTooBig: it is over ``FASTWS_MAX_MESSAGE_BYTES``.
        """
        name, encoded = _encoded(event, data)
        return await self._session.asks.ask(name, self._session.checked(encoded), timeout)

    async def set_presence(self, room: str | Room, meta: Any) -> None:
        """Show another card in a room that the client is in; others are told of it.

        Of several connections of one user, the card counts that was shown last.

        Args:
            meta: the card: anything that has JSON.
        Raises:
            WebSocketStateError: the client is not in the room, or the room has no presence.
            TypeError, ValueError: the card has no JSON form, or that is no room.
            MessageTooBig: it is over ``FASTWS_MAX_MESSAGE_BYTES``.
            LiveError: the channel layer cannot be reached; others see the card as soon as it can.
        """
        name = _name_of(room)
        membership = self._session.memberships.get(name)
        if membership is None or not membership.is_joined:
            raise WebSocketStateError(f"set_presence({name!r}): the client is not in that room")
        if membership.presence is None:
            raise WebSocketStateError(f"set_presence({name!r}): declare the room with presence=True")
        await membership.presence.show(json_bytes(meta))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, with all its rooms. As ``WebSocket.close``."""
        await self._session.close(code, reason)

    if not TYPE_CHECKING:  # where it would be any attribute

        def __getattr__(self, name: str) -> Any:
            missing = f"{type(self).__name__!r} object has no attribute {name!r}"
            remedy = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
            raise AttributeError(missing + remedy, name=name, obj=self)

    def __repr__(self) -> str:
        return f"<LiveSocket {self._session.ws.scope.get('path')!r} {'closed' if self._session.is_over else 'open'}>"


def _name_of(room: Any) -> str:
    """The name of a room; a ``TypeError`` for what is none, such as a kind of room."""
    return (room if isinstance(room, Room) else Room(room)).name


def _encoded(event: Any, data: Any) -> tuple[str, bytes]:
    """The name and the JSON of what is sent to one client."""
    if isinstance(event, str):
        check_event(event, "an event to this client")
        return event, json_bytes(data)
    name = getattr(event, "__fastws_event__", None)
    if name is None:
        raise TypeError(f"an event is a str or an Event, not {type(event).__name__}")
    return name, json_bytes(event)
