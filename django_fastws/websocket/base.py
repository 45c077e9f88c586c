"""WebSocket: what a handler holds. A thin shell over the state of the connection and its transport."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .._core.connection_state import ClientState, Closing
from .._core.headers import HeaderMap
from .._core.json import loads
from .._core.messages import Payload, WebSocketMessage, size_of
from ..encoding import encode_bytes, encode_json, encode_text
from ..exceptions import WebSocketDisconnect, check_close, peers_mistake
from ..metrics import Traffic
from ..rooms import ids
from ..transports import Transport
from ..types import Address, UserT
from .one_end import OneEndMembers
from .typed_messages import TypedMessages

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ["WebSocket"]

T = TypeVar("T")

# Looked up for each message: as an attribute of the enum, either takes several times as long.
_CONNECTED, _CLOSING = ClientState.CONNECTED, ClientState.CLOSING


class WebSocket(OneEndMembers[UserT]):
    """One WebSocket connection, at either end.

    Type checkers see ``ws.user`` as any of Django's users; ``ws: WebSocket[Member]`` says which model it is.

    Handlers hold an ``InboundWebSocket``, of a client that has connected to this server, or an ``OutboundWebSocket``.
    What only the other of them has raises ``WebSocketStateError``.

    Sockets are hashable and compare by identity. One task at a time may receive; any number may send. The methods
    are for the event loop that the connection belongs to.

    Every ``send*`` raises ``WebSocketStateError`` before ``accept()``, ``WebSocketDisconnect`` once the connection is
    closed, and ``MessageTooBig`` over ``FASTWS_MAX_MESSAGE_BYTES``; every ``receive*`` likewise the first two. A
    message of the wrong kind raises ``TypeError``, bad JSON ``ValueError``, and what does not fit the type in
    ``receive_as()`` ``InvalidMessage``; that message is gone, and the socket stays usable. A handler that lets these
    out closes it with 1003, 1007 or 1008 and says why, without a traceback.
    """

    __slots__ = ("__weakref__", "_headers", "_id", "_state", "_tags", "_traffic", "_transport", "subprotocol")

    def __init__(self, transport: Transport, traffic: Traffic, *, tags: Iterable[str] = ()) -> None:
        self._transport = transport
        self._state = transport.state
        self._traffic = traffic
        self._tags = tuple(tags)
        self._id: str | None = None
        self._headers: HeaderMap | None = None
        #: The subprotocol that was agreed on, or None.
        self.subprotocol: str | None = None

    # Send

    async def send(self, data: str | bytes | bytearray | memoryview | dict[Any, Any] | list[Any]) -> None:
        """Send a message: str as text, bytes as binary, a dict or list as JSON.

        Raises:
            TypeError: it is none of these; ``send_json()`` takes any value that JSON has.
        """
        if isinstance(data, str):
            payload = encode_text(data)
        elif isinstance(data, (bytes, bytearray, memoryview)):
            payload = encode_bytes(data)
        elif isinstance(data, (dict, list)):
            payload = encode_json(data)
        else:
            raise TypeError(
                f"send() takes str, bytes, dict or list, not {type(data).__name__}; use send_json() for other JSON"
            )
        if not self.try_send(payload, "send"):
            await self.send_payload(payload, "send")

    async def send_text(self, data: str) -> None:
        """Send a text message."""
        if not isinstance(data, str):
            raise TypeError(f"send_text() takes str, not {type(data).__name__}")
        payload = encode_text(data)
        if not self.try_send(payload, "send_text"):
            await self.send_payload(payload, "send_text")

    async def send_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Send a binary message."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"send_bytes() takes bytes, not {type(data).__name__}")
        payload = encode_bytes(data)
        if not self.try_send(payload, "send_bytes"):
            await self.send_payload(payload, "send_bytes")

    async def send_json(self, data: Any) -> None:
        """Send any value as JSON, in a text message, compact and with Django's types."""
        payload = encode_json(data)
        if not self.try_send(payload, "send_json"):
            await self.send_payload(payload, "send_json")

    send_str = send_text

    def try_send(self, payload: Payload, call: str) -> bool:
        """Send an encoded message at once, if that is possible; for this package. Nearly every one goes this way.

        Args:
            call: what the handler called, for the error.
        """
        if self._state.client_state is not _CONNECTED:
            self._state.send(call)  # raises what fits
        if not self._transport.try_send(payload):
            return False
        traffic = self._traffic
        traffic.messages_sent += 1
        traffic.bytes_sent += len(payload.raw)
        return True

    async def send_payload(self, payload: Payload, call: str) -> None:
        """Send an encoded message in its turn, where ``try_send()`` could not; for this package."""
        await self._transport.send_payload(payload, call)
        traffic = self._traffic
        traffic.messages_sent += 1
        traffic.bytes_sent += len(payload.raw)

    # Receive

    async def receive(self) -> WebSocketMessage:
        """Wait for the next message, of either kind.

        Cancelling it (``asyncio.wait_for``) loses no message.
        """
        return WebSocketMessage(await self.receive_data("receive"))

    async def receive_text(self) -> str:
        """Wait for the next message, which must be text."""
        data = await self.receive_data("receive_text")
        if not isinstance(data, str):
            raise peers_mistake(
                TypeError("receive_text(): the message is binary; use receive() where both kinds come"),
                1003,
                "text is expected",
            )
        return data

    async def receive_bytes(self) -> bytes:
        """Wait for the next message, which must be binary."""
        data = await self.receive_data("receive_bytes")
        if isinstance(data, str):
            raise peers_mistake(
                TypeError("receive_bytes(): the message is text; use receive() where both kinds come"),
                1003,
                "binary is expected",
            )
        return data

    async def receive_json(self) -> Any:
        """Wait for the next message, text or binary, and decode it as JSON."""
        return loads(await self.receive_data("receive_json"), "receive_json")

    @overload
    async def receive_as(self, type_: type[T]) -> T: ...

    @overload
    async def receive_as(self, type_: TypeForm[T]) -> T: ...

    async def receive_as(self, type_: Any) -> Any:
        """Wait for the next message, text or binary, and validate its JSON as a type, by pydantic.

        Args:
            type_: what pydantic takes: a model, a dataclass, a TypedDict, ``list[Model]``, a union with a
                discriminator.
        Raises:
            InvalidMessage: (a ValueError) it is not JSON, or does not fit.
        """
        from ..validation import read_message  # only those who use it import pydantic

        return read_message(type_, await self.receive_data("receive_as"), "receive_as")

    @overload
    def iter_as(self, type_: type[T]) -> TypedMessages[T]: ...

    @overload
    def iter_as(self, type_: TypeForm[T]) -> TypedMessages[T]: ...

    def iter_as(self, type_: Any) -> TypedMessages[Any]:
        """Yield messages as ``receive_as()`` gives them, until the connection is closed, by either end and however.

        One that does not fit raises ``InvalidMessage``, which ends an ``async for``; the next one goes on.
        """
        return TypedMessages(self, type_)

    recv = receive
    recv_str = receive_text
    recv_bytes = receive_bytes
    recv_json = receive_json

    def __aiter__(self) -> WebSocket[UserT]:
        """Yield messages until the connection is closed, by either end and however; ``close_code`` says how."""
        return self

    async def __anext__(self) -> WebSocketMessage:
        # As receive_data() does it; a coroutine less for each message, and for each socket that waits.
        state = self._state
        if state.client_state >= _CLOSING:
            raise StopAsyncIteration
        if state.client_state is not _CONNECTED or state.is_receiving:
            state.start_receive("async for")  # raises what fits
        state.is_receiving = True
        try:
            data = await self._transport.receive_data()
            traffic = self._traffic
            traffic.messages_received += 1
            traffic.bytes_received += size_of(data) if isinstance(data, str) and not data.isascii() else len(data)
            return WebSocketMessage(data)
        except WebSocketDisconnect as end:
            self._ended(end)
        finally:
            state.is_receiving = False
        raise StopAsyncIteration

    async def receive_data(self, call: str) -> str | bytes:
        """Wait for the next message, of either kind, as its data; for this package.

        Args:
            call: what the handler called, for the error.
        """
        state = self._state
        if state.client_state is not _CONNECTED or state.is_receiving:
            state.start_receive(call)  # raises what fits
        state.is_receiving = True
        try:
            data = await self._transport.receive_data()
            traffic = self._traffic
            traffic.messages_received += 1
            traffic.bytes_received += size_of(data) if isinstance(data, str) and not data.isascii() else len(data)
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
            await self._deny()
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

    async def _deny(self) -> None:
        """Deny the handshake, if there is one to answer."""

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
            self._id = self._state.id = ids.make(self, self._state.id)
        return self._id

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
    def remote_address(self) -> Address | None:
        """The address of the other end."""
        return self._transport.remote_address

    @property
    def local_address(self) -> Address | None:
        """The address of this end."""
        return self._transport.local_address

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the route, those of its FastWS first."""
        return self._tags
