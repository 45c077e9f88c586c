"""Members of only one kind of WebSocket: of those that came in, and of those that went out, as users see them."""

# mypy: disable-error-code="empty-body"
# The members are declarations, whose bodies are never run.

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from typing import Any, Generic, NoReturn, TypeVar, cast

from django.contrib.sessions.backends.base import SessionBase
from django.http import QueryDict

from ..exceptions import WebSocketStateError
from ..rooms import Joined, Position, Room
from ..types import Address, Data, Headers, Scope, UserT

__all__ = ["OneEndMembers"]

Declared = TypeVar("Declared", bound=Callable[..., Any])


def came_in(declared: Declared) -> Declared:
    """Declare a member of sockets that came in. Where it is not overridden, the socket went out, and it raises."""
    return _of_one_end(declared, "is for sockets that come in, and this one went out")


def went_out(declared: Declared) -> Declared:
    """Declare a member of sockets that went out. Where it is not overridden, the socket came in, and it raises."""
    return _of_one_end(declared, "is for sockets that go out, and this one came in")


def _of_one_end(declared: Declared, why: str) -> Declared:
    """Replace a declaration by what raises for it: the value of a property, or a coroutine."""

    @functools.wraps(declared)
    def value(*args: Any) -> NoReturn:
        raise WebSocketStateError(f"{declared.__name__} {why}")

    @functools.wraps(declared)
    async def call(*args: Any, **options: Any) -> NoReturn:
        raise WebSocketStateError(f"{declared.__name__}() {why}")

    return cast("Declared", call if iscoroutinefunction(declared) else value)


class OneEndMembers(Generic[UserT]):
    """Interface of what one kind of WebSocket has and the other has not, with its documentation and types.

    The one kind overrides a member, in the other it raises a ``WebSocketStateError`` that says so.
    """

    __slots__ = ()

    # Sockets that came in

    @came_in
    async def accept(self, subprotocol: str | None = None, headers: Headers | Iterable[tuple[Any, Any]] = ()) -> None:
        """Accept the handshake. The connection is open when this returns.

        Args:
            subprotocol: one of those that the client offered (``scope["subprotocols"]``), or None.
            headers: more headers for the answer, such as Set-Cookie: a mapping or pairs, of str or bytes.
        Raises:
            WebSocketStateError: it is open already.
            WebSocketDisconnect: it is closed, or was denied by ``close()``.
            ValueError: the subprotocol was not offered (RFC 6455 section 4.2.2), or a header cannot be sent.
        """

    @came_in
    async def join(self, room: str | Room, *, since: Position | str | None = None, present: Any = None) -> Joined:
        """Join a room: from now on its broadcasts arrive here. Joining twice is joining once.

        The socket leaves by itself when its handler ends, however it ends.

        Args:
            since: a position in the history of a room that has one, which the client had. What was broadcast since
                then is sent first, each message once and in order, if the history has all of it; else nothing of it.
                What a client gives may be anything: what is no position is one that the history does not have.
            present: a card, anything that has JSON: the socket's user, or the socket if nobody is logged in, is
                present in the room with it, as live members are; joining again shows another one. None does not
                change that.
        Returns:
            The position, from which a client can go on another time, and whether it was recovered.

        Raises:
            WebSocketConnectionError: the channel layer cannot be reached.
            PresenceUnavailable: a card is given, and the channel layer keeps nothing of who is present.
            TypeError, ValueError: the card has no JSON form.
            MessageTooBig: the card is over ``FASTWS_MAX_MESSAGE_BYTES``.
        """

    @came_in
    async def leave(self, room: str | Room) -> None:
        """Leave a room; nothing happens if the socket is not in it."""

    @property
    @came_in
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that the socket is in; once it is closed, of those that it was in.

        So a handler can tell them that somebody has left.
        """

    @came_in
    async def broadcast(self, room: str | Room, data: Data, exclude_self: bool = False) -> None:  # noqa: FBT001, FBT002 (the contract)
        """Send one message to every member of a room, in every process, as ``Room.abroadcast`` does.

        The socket need not be in the room, nor open: a handler may tell of a user who has left.

        Args:
            exclude_self: this socket does not get it.
        """

    @property
    @came_in
    def dropped(self) -> int:
        """Number of messages of broadcasts that this client missed, being too slow (``FASTWS_SLOW_CONSUMER``)."""

    @property
    @came_in
    def scope(self) -> Scope:
        """The ASGI scope, with what the middleware put there."""

    @property
    @came_in
    def path_params(self) -> dict[str, Any]:
        """The parameters of the path, converted."""

    @property
    @came_in
    def query_params(self) -> QueryDict:
        """The query string as Django's QueryDict: ``["name"]`` is the last value, ``getlist("name")`` has all."""

    @property
    @came_in
    def cookies(self) -> dict[str, str]:
        """The cookies of the handshake request."""

    @property
    @came_in
    def user(self) -> UserT:
        """The user of Django's session, resolved before the handler runs, or an AnonymousUser."""

    @property
    @came_in
    def session(self) -> SessionBase:
        """Django's session. Await its ``asave()`` after a change; nothing saves it by itself."""

    @property
    @came_in
    def client(self) -> Address | None:
        """The client's address; None where the server has none to tell."""

    # Sockets that went out

    @property
    @went_out
    def attempt(self) -> int:
        """0 for the first connection of an outbound route, else the number of the attempt in a row."""

    @property
    @went_out
    def latency(self) -> float:
        """The round trip of the last ping of an outbound route, in seconds; 0 before the first pong."""

    @property
    @went_out
    def fencing_token(self) -> int | None:
        """Grows with every holder of an outbound route's lease, so that a store can refuse a former one's writes."""
