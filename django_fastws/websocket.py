"""WebSocket: what a handler holds. A thin shell over the state machine in ``_core.states`` and a transport."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.http import QueryDict, parse_cookie

from ._core.headers import HANDSHAKE_HEADERS, HeaderMap, encode_headers
from ._core.json import loads
from ._core.messages import Batch, Payload, WebSocketMessage
from ._core.query import parse_query
from ._core.states import ClientState, Closing, Connection
from ._core.urls import mask_url
from .encoding import encode_bytes, encode_json, encode_text
from .exceptions import (
    MessageTooBig,
    WebSocketConnectionError,
    WebSocketDisconnect,
    WebSocketError,
    WebSocketException,
    WebSocketStateError,
    check_close,
    peers_mistake,
)
from .masking import mask_path
from .rooms import Room, current_hub, ids
from .transports import ASGITransport, Outbound
from .types import Address, Data, Headers, Scope

__all__ = [
    "ClientState",
    "MessageTooBig",
    "WebSocket",
    "WebSocketConnectionError",
    "WebSocketDisconnect",
    "WebSocketError",
    "WebSocketException",
    "WebSocketMessage",
    "WebSocketStateError",
]


class WebSocket:
    """One WebSocket connection.

    Sockets are hashable and compare by identity. One task at a time may receive; any number may send. The methods
    are for the event loop that the connection belongs to.

    Every ``send*`` raises ``WebSocketStateError`` before ``accept()``, ``WebSocketDisconnect`` once the connection is
    closed, and ``MessageTooBig`` over ``FASTWS_MAX_MESSAGE_BYTES``; every ``receive*`` likewise the first two. A
    message of the wrong kind raises ``TypeError`` and bad JSON ``ValueError``; that message is gone, and the socket
    stays usable. A handler that lets these out closes it with 1011 and says why, without a traceback.
    """

    __slots__ = (
        "__weakref__",
        "_connection",
        "_headers",
        "_id",
        "_params",
        "_query",
        "_rooms",
        "_tags",
        "_transport",
        "subprotocol",
    )

    def __init__(
        self, transport: ASGITransport, *, path_params: Mapping[str, Any] | None = None, tags: Iterable[str] = ()
    ) -> None:
        self._transport = transport
        # A socket that went out is open before anybody holds it.
        self._connection = Connection(ClientState.CONNECTING if transport.outbound is None else ClientState.CONNECTED)
        self._params = path_params if isinstance(path_params, dict) else dict(path_params or {})
        self._tags = tuple(tags)
        self._id: str | None = None
        self._headers: HeaderMap | None = None
        self._query: QueryDict | None = None
        self._rooms: set[str] | tuple[()] = ()
        #: The subprotocol that was agreed on, or None.
        self.subprotocol: str | None = None

    # Open

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
        encoded = encode_headers(headers, refused=HANDSHAKE_HEADERS)
        offered = list(self._transport.scope.get("subprotocols") or ())
        if subprotocol is not None and subprotocol not in offered:
            raise ValueError(
                f"accept(subprotocol={subprotocol!r}): the client offered "
                + (", ".join(map(repr, offered)) or "none")
                + "; accept one of those, or None"
            )
        self._connection.accept()
        try:
            await self._transport.accept(subprotocol, encoded)
        except WebSocketDisconnect:
            self._connection.peer_closed(1006, "")
            raise
        self.subprotocol = subprotocol

    # Send

    async def send(self, data: str | bytes | bytearray | memoryview | dict[Any, Any] | list[Any]) -> None:
        """Send a message: str as text, bytes as binary, a dict or list as JSON.

        Raises:
            TypeError: it is none of these; ``send_json()`` takes any value that JSON has.
        """
        if isinstance(data, str):
            await self._send(encode_text(data), "send")
        elif isinstance(data, (bytes, bytearray, memoryview)):
            await self._send(encode_bytes(data), "send")
        elif isinstance(data, (dict, list)):
            await self._send(encode_json(data), "send")
        else:
            raise TypeError(
                f"send() takes str, bytes, dict or list, not {type(data).__name__}; use send_json() for other JSON"
            )

    async def send_text(self, data: str) -> None:
        """Send a text message."""
        if not isinstance(data, str):
            raise TypeError(f"send_text() takes str, not {type(data).__name__}")
        await self._send(encode_text(data), "send_text")

    async def send_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Send a binary message."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"send_bytes() takes bytes, not {type(data).__name__}")
        await self._send(encode_bytes(data), "send_bytes")

    async def send_json(self, data: Any) -> None:
        """Send any value as JSON, in a text message, compact and with Django's types."""
        await self._send(encode_json(data), "send_json")

    send_str = send_text

    async def _send(self, payload: Payload, call: str) -> None:
        self._connection.send(call)
        if not self._transport.try_send(payload):
            await self._transport.send_payload(payload, call)

    # Receive

    async def receive(self) -> WebSocketMessage:
        """Wait for the next message, of either kind.

        Cancelling it (``asyncio.wait_for``) loses no message.
        """
        return WebSocketMessage(await self._receive("receive"))

    async def receive_text(self) -> str:
        """Wait for the next message, which must be text."""
        data = await self._receive("receive_text")
        if not isinstance(data, str):
            raise peers_mistake(
                TypeError("receive_text(): the message is binary; use receive() where both kinds come"),
                "text is expected",
            )
        return data

    async def receive_bytes(self) -> bytes:
        """Wait for the next message, which must be binary."""
        data = await self._receive("receive_bytes")
        if isinstance(data, str):
            raise peers_mistake(
                TypeError("receive_bytes(): the message is text; use receive() where both kinds come"),
                "binary is expected",
            )
        return data

    async def receive_json(self) -> Any:
        """Wait for the next message, text or binary, and decode it as JSON."""
        return loads(await self._receive("receive_json"), "receive_json")

    recv = receive
    recv_str = receive_text
    recv_bytes = receive_bytes
    recv_json = receive_json

    def __aiter__(self) -> WebSocket:
        """Yield messages until the connection is closed, whoever closed it and however; ``close_code`` says how."""
        return self

    async def __anext__(self) -> WebSocketMessage:
        connection = self._connection
        if connection.state is ClientState.CONNECTED and not connection.receiving:
            data = self._transport.try_receive()
            if data is not None:
                return WebSocketMessage(data)
        # As _receive() does it; a coroutine less for each message, and for each socket that waits.
        if connection.state >= ClientState.CLOSING:
            raise StopAsyncIteration
        connection.start_receive("async for")
        try:
            return WebSocketMessage(await self._transport.receive_data())
        except WebSocketDisconnect as end:
            self._ended(end)
        finally:
            connection.receiving = False
        raise StopAsyncIteration

    async def _receive(self, call: str) -> str | bytes:
        connection = self._connection
        connection.start_receive(call)
        try:
            return await self._transport.receive_data()
        except WebSocketDisconnect as end:
            self._ended(end)
        finally:
            connection.receiving = False
        raise connection.disconnect(call)

    def _ended(self, end: WebSocketDisconnect) -> None:
        self._connection.peer_closed(end.code, end.reason)
        self._leave_rooms()

    # Close

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; before ``accept()``, deny the handshake with HTTP 403.

        Closing twice, or after the peer, does nothing.

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999 (RFC 6455 section 7.4).
            reason: at most 123 bytes of UTF-8.
        Raises:
            TypeError, ValueError: the code or reason cannot be sent.
        """
        check_close(code, reason or "")
        if self.closed and self._transport.gone is not None and not self._connection.closed:
            self._connection.peer_closed(*self._transport.gone)  # found out by a send that failed
        closing = self._connection.close(code, reason or "")
        if closing is Closing.CLOSE:
            await self._transport.close(code, reason or "")
        elif closing is Closing.DENY:
            await self._transport.deny()
        if closing is not Closing.NOTHING:
            self._connection.finished()
            self._leave_rooms()

    @property
    def client_state(self) -> ClientState:
        """CONNECTING 0, CONNECTED 1, CLOSING 2 or DISCONNECTED 3.

        It is CONNECTED as long as there are messages to receive, even if the peer has left meanwhile; unless a send
        has found that out.
        """
        connection = self._connection
        if connection.state is ClientState.CONNECTED and not connection.receiving:
            ended = self._transport.ended()
            if ended is not None:
                connection.peer_closed(*ended)
            elif self._transport.gone is not None:
                return ClientState.DISCONNECTED  # and yet there may be messages to receive
        return connection.state

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, or closing."""
        return self.client_state >= ClientState.CLOSING

    @property
    def close_code(self) -> int | None:
        """How the connection was closed: the code of whoever closed it first, 1006 if it was cut; None while open."""
        if self.closed and self._connection.close_code is None and self._transport.gone is not None:
            return self._transport.gone[0]
        return self._connection.close_code

    @property
    def close_reason(self) -> str:
        """The reason that came with the close code, or ""."""
        if self.closed and self._connection.close_code is None and self._transport.gone is not None:
            return self._transport.gone[1]
        return self._connection.close_reason

    @property
    def dropped(self) -> int:
        """How many messages of broadcasts this client missed, because it was too slow (``FASTWS_SLOW_CONSUMER``)."""
        self._came_in("dropped")
        return self._transport.dropped

    # Ping

    async def ping(self) -> float:
        """Ping the peer and wait for its pong; returns the round trip in seconds.

        Raises:
            NotImplementedError: the server gives no way to ping.
        """
        self._connection.send("ping")
        return await self._transport.ping()

    async def pong(self) -> None:
        """Send a pong that nobody asked for (RFC 6455 section 5.5.3).

        Raises:
            NotImplementedError: the server gives no way to.
        """
        self._connection.send("pong")
        await self._transport.pong()

    # Rooms

    async def join(self, room: str | Room) -> None:
        """Join a room: from now on its broadcasts arrive here. Joining twice is joining once.

        The socket leaves by itself when its handler ends, however it ends.

        Raises:
            WebSocketConnectionError: the channel layer cannot be reached.
        """
        name = _room(room).name
        self._came_in("join()")
        self._connection.send("join")
        rooms = self._rooms = self._rooms or set()
        rooms.add(name)
        try:
            await current_hub().join(self, name)
        except BaseException:
            if not current_hub().has(self, name):  # another task may have joined it, too
                rooms.discard(name)
            raise

    async def leave(self, room: str | Room) -> None:
        """Leave a room; nothing happens if the socket is not in it."""
        self._came_in("leave()")
        name = _room(room).name
        if self._rooms and name in self._rooms:
            self._rooms.discard(name)
            await current_hub().leave(self, name)

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that the socket is in; once it is closed, of those that it was in.

        So a handler can tell them that somebody has left.
        """
        self._came_in("rooms")
        return frozenset(self._rooms)

    async def broadcast(self, room: str | Room, data: Data, exclude_self: bool = False) -> None:  # noqa: FBT001, FBT002 (the contract)
        """Send one message to every member of a room, in every process, as ``Room.abroadcast`` does.

        The socket need not be in the room, nor open: a handler may tell of a user who has left.

        Args:
            exclude_self: this socket does not get it.
        """
        self._came_in("broadcast()")
        await _room(room).abroadcast(data, exclude=self if exclude_self else None)

    @property
    def post(self) -> Callable[[Payload | Batch], bool | None]:
        """What sends without waiting and without raising, and nothing once it is closed; for the hub."""
        return self._transport.post

    _find = ids.find  # a socket by its id; for the hub

    def _leave_rooms(self) -> None:
        if self._rooms:
            current_hub().drop(self, self._rooms)

    def release(self) -> None:
        """The handler has ended: leave every room and let go of the transport; for the endpoint."""
        self._leave_rooms()
        self._rooms = ()
        if not self._connection.closed:
            self._connection.peer_closed(1006, "")
        self._transport.release()

    # About

    @property
    def id(self) -> str:
        """A str of its own for this connection, unique in the whole cluster."""
        if self._id is None:
            self._id = ids.make(self)
        return self._id

    @property
    def scope(self) -> Scope:
        """The ASGI scope, with what the middleware put there."""
        self._came_in("scope")
        return self._transport.scope

    @property
    def headers(self) -> HeaderMap:
        """The headers that the peer sent with the handshake, found whatever their case."""
        if self._headers is None:
            self._headers = self._transport.headers
        return self._headers

    @property
    def url(self) -> str:
        """The URL that was connected to, as far as this end knows it."""
        return self._transport.url

    @property
    def path_params(self) -> dict[str, Any]:
        """The parameters of the path, converted."""
        self._came_in("path_params")
        return self._params

    @property
    def query_params(self) -> QueryDict:
        """The query string as Django's QueryDict: ``["name"]`` is the last value, ``getlist("name")`` has all."""
        if self._query is None:
            query = QueryDict(mutable=True)
            for name, value in parse_query(bytes(self.scope.get("query_string") or b""), None):
                query.appendlist(name, value)
            query._mutable = False
            self._query = query
        return self._query

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the handshake request."""
        self._came_in("cookies")
        cookies = self.scope.get("cookies")
        return parse_cookie(self.headers.get("cookie", "")) if cookies is None else cookies

    @property
    def user(self) -> Any:
        """The user of Django's session, resolved before the handler runs, or an AnonymousUser."""
        return self._from_scope("user", "django.contrib.auth")

    @property
    def session(self) -> Any:
        """Django's session. Await its ``asave()`` after a change; nothing saves it by itself."""
        return self._from_scope("session", "django.contrib.sessions")

    def _from_scope(self, name: str, app: str) -> Any:
        self._came_in(name)
        try:
            return self.scope[name]
        except KeyError:
            raise WebSocketStateError(
                f"no {name} here: add {app!r} to INSTALLED_APPS and use django_fastws.asgi.get_asgi_application(), "
                "or put the middleware around the route that sets it"
            ) from None

    @property
    def client(self) -> Address | None:
        """The client's address; None where the server has none to tell."""
        self._came_in("client")
        return self._transport.remote_address

    @property
    def remote_address(self) -> Address | None:
        """The address of the other end."""
        return self._transport.remote_address

    @property
    def local_address(self) -> Address | None:
        """The address of this end."""
        return self._transport.local_address

    @property
    def attempt(self) -> int:
        """0 for the first connection of an outbound route, else the number of the attempt in a row."""
        return self._went_out("attempt").attempt

    @property
    def latency(self) -> float:
        """The round trip of the last ping of an outbound route, in seconds; 0 before the first pong."""
        return self._went_out("latency").latency

    @property
    def fencing_token(self) -> int | None:
        """Grows with every holder of an outbound route's lease, so that a store can refuse a former one's writes."""
        return self._went_out("fencing_token").token

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the route, those of its FastWS first."""
        return self._tags

    def _came_in(self, what: str) -> None:
        if self._transport.outbound is not None:
            raise WebSocketStateError(f"{what} is for sockets that come in, and this one went out")

    def _went_out(self, what: str) -> Outbound:
        if self._transport.outbound is None:
            raise WebSocketStateError(f"{what} is for sockets that go out, and this one came in")
        return self._transport.outbound

    def __repr__(self) -> str:
        where = (
            mask_path(self._transport.scope.get("path", ""))
            if self._transport.outbound is None
            else mask_url(self.url)
        )
        return f"<WebSocket {where!r} {self._connection.state.name}>"


def _room(room: str | Room) -> Room:
    return room if isinstance(room, Room) else Room(room)
