"""Transport: the interface that a WebSocket is written against, at both ends."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from .._core.connection_state import ConnectionState
from .._core.headers import HeaderMap
from .._core.messages import Batch, Payload
from ..metrics import Traffic
from ..types import Address, Message, Scope
from .inbox import Inbox
from .outbox import StoredListener

__all__ = ["InboundTransport", "OutboundInbox", "OutboundTransport", "Transport"]


class Transport(Protocol):
    """Transport of one connection: it carries the messages.

    ``ASGITransport`` and its subclasses, which know a server each, carry sockets that came in; those that went out
    have theirs in ``clients``. Messages go out in the order of the calls. One task at a time receives, any number may
    send.

    Attributes:
        name: of what carries it, as metrics have it.
    """

    name: str

    @property
    def state(self) -> ConnectionState:
        """State of the connection, and how it was closed. The transport and its WebSocket share it."""

    # Messages

    async def receive_data(self) -> str | bytes:
        """The next message. Cancelling it loses none.

        Raises:
            WebSocketDisconnect: the connection is closed, and all that came was received.
        """

    def try_send(self, payload: Payload) -> bool:
        """Send a message if that can be done at once, without waiting; False if it cannot, and nothing was sent."""

    async def send_payload(self, payload: Payload, call: str = "send") -> None:
        """Send a message, after all that was sent before; waits until the server or the system has taken it.

        Args:
            call: what the handler called, for the error.
        Raises:
            WebSocketConnectionError: the connection is closed.
        """

    async def ping(self) -> float:
        """Ping the peer; returns the round trip in seconds.

        Raises:
            NotImplementedError: there is no way to.
            WebSocketDisconnect: the connection is closed.
        """

    async def pong(self) -> None:
        """Send an unsolicited pong (RFC 6455 section 5.5.3). Raises as ``ping()``."""

    # The end

    def ended(self) -> tuple[int, str] | None:
        """Close code and reason, once the peer is gone and all that it sent was received; None before or if unknown.

        So a handler that looks at the state without receiving learns of the end, and one that receives misses
        nothing.
        """

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame, after all that was sent before. Never raises OSError."""

    def release(self) -> None:
        """The handler has ended: let go of what still waits to be sent."""

    # About the connection

    @property
    def headers(self) -> HeaderMap:
        """The headers that the peer sent with the handshake."""

    @property
    def url(self) -> str:
        """The URL that was connected to, as far as it is known."""

    @property
    def remote_address(self) -> Address | None:
        """The address of the other end; None where there is none to tell."""

    @property
    def local_address(self) -> Address | None:
        """The address of this end."""


class InboundTransport(Transport, Protocol):
    """Transport of a socket that came in: its handshake is to be answered, and it is in rooms.

    Attributes:
        stored_listener: who can send stored messages of rooms later, where the client is too slow; None for nobody.
    """

    @property
    def scope(self) -> Scope:
        """ASGI scope of the connection."""

    @property
    def is_open(self) -> bool:
        """Whether a message could be sent now, as far as the transport knows; there may be some to receive."""

    async def accept(self, subprotocol: str | None, headers: list[tuple[bytes, bytes]]) -> None:
        """Accept the handshake.

        Raises:
            WebSocketDisconnect: the connection is closed.
        """

    async def deny(self) -> None:
        """Deny the handshake. Never raises OSError."""

    stored_listener: StoredListener | None

    @property
    def inbox(self) -> Inbox | asyncio.Queue[Message] | None:
        """The server's queue of events for the application, where it can be seen."""

    def try_send(self, payload: Payload | Batch) -> bool:
        """Send messages if that can be done at once, without waiting; False if it cannot, and nothing was sent."""

    def post(self, batch: Payload | Batch) -> bool | None:
        """Send messages without waiting; True if a task was started for that.

        Never raises; a closed connection drops them.
        """

    @property
    def buffered(self) -> int:
        """Number of bytes that wait in this process for the client to take them, as far as that can be told."""

    @property
    def dropped(self) -> int:
        """Number of messages of broadcasts that were dropped because the client was slow."""


class OutboundInbox(Protocol):
    """Messages of a connection that have come and were not taken yet.

    Attributes:
        messages: always the same deque.
        is_paused: whether the connection is not read from until ``fewest`` are left: who takes one calls ``resume()``
            then.
    """

    messages: deque[str | bytes]
    is_paused: bool
    fewest: float

    def resume(self) -> None:
        """Read again."""


class OutboundTransport(Transport, Protocol):
    """Transport of a socket that went out.

    Attributes:
        attempt: 0 for the first connection, else the number of the attempt in a row.
        token: the fencing token of the route's lease, or None.
        traffic: where the WebSocket counts messages and bytes.
    """

    attempt: int
    token: int | None
    traffic: Traffic

    @property
    def inbox(self) -> OutboundInbox:
        """Where messages wait that may be taken without asking; always empty if each must be asked for."""

    def try_receive(self) -> str | bytes | None:
        """A message that has come already, or None. It costs no coroutine."""

    @property
    def latency(self) -> float:
        """The round trip of the last ping that was answered, in seconds; 0 before the first."""
