"""WebSocket: what a handler holds. A thin shell over the state of the connection and its transport."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import QueryDict

from .. import metrics
from .._core.headers import HeaderMap
from .._core.json import loads
from .._core.messages import Payload, WebSocketMessage
from .._core.states import ClientState, Closing
from ..encoding import encode_bytes, encode_json, encode_text
from ..exceptions import WebSocketDisconnect, check_close, peers_mistake
from ..rooms import Room, ids
from ..transports import Transport
from ..types import Address, Data, Headers, Scope

__all__ = ["WebSocket"]


class WebSocket:
    """One WebSocket connection, at either end.

    Handlers hold an ``InboundWebSocket``, of a client that has connected to this server, or an ``OutboundWebSocket``.
    What only the other of them has raises ``WebSocketStateError``.

    Sockets are hashable and compare by identity. One task at a time may receive; any number may send. The methods
    are for the event loop that the connection belongs to.

    Every ``send*`` raises ``WebSocketStateError`` before ``accept()``, ``WebSocketDisconnect`` once the connection is
    closed, and ``MessageTooBig`` over ``FASTWS_MAX_MESSAGE_BYTES``; every ``receive*`` likewise the first two. A
    message of the wrong kind raises ``TypeError`` and bad JSON ``ValueError``; that message is gone, and the socket
    stays usable. A handler that lets these out closes it with 1011 and says why, without a traceback.
    """

    __slots__ = ("__weakref__", "_headers", "_id", "_state", "_tags", "_traffic", "_transport", "subprotocol")

    def __init__(self, transport: Transport, *, tags: Iterable[str] = ()) -> None:
        self._transport = transport
        self._state = transport.state
        self._traffic = metrics.traffic(transport.name)
        self._tags = tuple(tags)
        self._id: str | None = None
        self._headers: HeaderMap | None = None
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
        raise NotImplementedError

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
        self._state.send(call)
        if not self._transport.try_send(payload):
            await self._transport.send_payload(payload, call)
        traffic = self._traffic
        traffic.messages_sent += 1
        traffic.bytes_sent += len(payload.raw)

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
        """Yield messages until the connection is closed, by either end and however; ``close_code`` says how."""
        return self

    async def __anext__(self) -> WebSocketMessage:
        # As _receive() does it; a coroutine less for each message, and for each socket that waits.
        state = self._state
        if state.client_state >= ClientState.CLOSING:
            raise StopAsyncIteration
        state.start_receive("async for")
        try:
            data = await self._transport.receive_data()
            traffic = self._traffic
            traffic.messages_received += 1
            traffic.bytes_received += len(data)
            return WebSocketMessage(data)
        except WebSocketDisconnect as end:
            self._ended(end)
        finally:
            state.is_receiving = False
        raise StopAsyncIteration

    async def _receive(self, call: str) -> str | bytes:
        state = self._state
        state.start_receive(call)
        try:
            data = await self._transport.receive_data()
            traffic = self._traffic
            traffic.messages_received += 1
            traffic.bytes_received += len(data)
            return data
        except WebSocketDisconnect as end:
            self._ended(end)
        finally:
            state.is_receiving = False
        raise state.disconnect(call)

    def _ended(self, end: WebSocketDisconnect) -> None:
        self._state.received_all(end.code, end.reason)
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
        state = self._state
        if self.closed and state.status is not None and not state.is_closed:
            state.received_all(*state.status)  # found out by a send that failed
        closing = state.close(code, reason or "")
        if closing is Closing.CLOSE:
            await self._transport.close(code, reason or "")
        elif closing is Closing.DENY:
            await self._transport.deny()
        if closing is not Closing.NOTHING:
            state.finished()
            self._leave_rooms()

    @property
    def client_state(self) -> ClientState:
        """CONNECTING 0, CONNECTED 1, CLOSING 2 or DISCONNECTED 3.

        It is CONNECTED as long as there are messages to receive, even if the peer has left meanwhile; unless a send
        has found that out.
        """
        state = self._state
        if state.client_state is ClientState.CONNECTED and not state.is_receiving:
            ended = self._transport.ended()
            if ended is not None:
                state.received_all(*ended)
            elif state.is_over:
                return ClientState.DISCONNECTED  # and yet there may be messages to receive
        return state.client_state

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, or closing."""
        return self.client_state >= ClientState.CLOSING

    @property
    def close_code(self) -> int | None:
        """Close code of the connection: of the end that closed it first, 1006 if it was cut; None while open."""
        return self._state.close_code if self.closed else None

    @property
    def close_reason(self) -> str:
        """The reason that came with the close code, or ""."""
        return self._state.close_reason if self.closed else ""

    @property
    def dropped(self) -> int:
        """Number of messages of broadcasts that this client missed, being too slow (``FASTWS_SLOW_CONSUMER``)."""
        raise NotImplementedError

    # Ping

    async def ping(self) -> float:
        """Ping the peer and wait for its pong; returns the round trip in seconds.

        Raises:
            NotImplementedError: the server gives no way to ping.
        """
        self._state.send("ping")
        return await self._transport.ping()

    async def pong(self) -> None:
        """Send a pong that nobody asked for (RFC 6455 section 5.5.3).

        Raises:
            NotImplementedError: the server gives no way to.
        """
        self._state.send("pong")
        await self._transport.pong()

    # Rooms

    async def join(self, room: str | Room) -> None:
        """Join a room: from now on its broadcasts arrive here. Joining twice is joining once.

        The socket leaves by itself when its handler ends, however it ends.

        Raises:
            WebSocketConnectionError: the channel layer cannot be reached.
        """
        raise NotImplementedError

    async def leave(self, room: str | Room) -> None:
        """Leave a room; nothing happens if the socket is not in it."""
        raise NotImplementedError

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that the socket is in; once it is closed, of those that it was in.

        So a handler can tell them that somebody has left.
        """
        raise NotImplementedError

    async def broadcast(self, room: str | Room, data: Data, exclude_self: bool = False) -> None:  # noqa: FBT001, FBT002 (the contract)
        """Send one message to every member of a room, in every process, as ``Room.abroadcast`` does.

        The socket need not be in the room, nor open: a handler may tell of a user who has left.

        Args:
            exclude_self: this socket does not get it.
        """
        raise NotImplementedError

    def _leave_rooms(self) -> None:
        """Leave every room, if there is any."""

    def release(self) -> None:
        """The handler has ended: leave every room and let go of the transport; for the endpoint."""
        self._leave_rooms()
        if not self._state.is_closed:
            self._state.received_all(1006, "")
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
        raise NotImplementedError

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
        raise NotImplementedError

    @property
    def query_params(self) -> QueryDict:
        """The query string as Django's QueryDict: ``["name"]`` is the last value, ``getlist("name")`` has all."""
        raise NotImplementedError

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the handshake request."""
        raise NotImplementedError

    @property
    def user(self) -> Any:
        """The user of Django's session, resolved before the handler runs, or an AnonymousUser."""
        raise NotImplementedError

    @property
    def session(self) -> Any:
        """Django's session. Await its ``asave()`` after a change; nothing saves it by itself."""
        raise NotImplementedError

    @property
    def client(self) -> Address | None:
        """The client's address; None where the server has none to tell."""
        raise NotImplementedError

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
        raise NotImplementedError

    @property
    def latency(self) -> float:
        """The round trip of the last ping of an outbound route, in seconds; 0 before the first pong."""
        raise NotImplementedError

    @property
    def fencing_token(self) -> int | None:
        """Grows with every holder of an outbound route's lease, so that a store can refuse a former one's writes."""
        raise NotImplementedError

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the route, those of its FastWS first."""
        return self._tags
