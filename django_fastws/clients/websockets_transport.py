"""WebsocketsTransport: the transport of a socket that went out, over the websockets library."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConcurrencyError, ConnectionClosed
from websockets.protocol import State

from .. import metrics
from .._core.connection_state import ClientState, ConnectionState
from .._core.headers import HeaderMap
from .._core.messages import Payload
from ..exceptions import WebSocketDisconnect
from ..metrics import Traffic
from ..transports import OutboundInbox, address_of
from ..types import Address

__all__ = ["EmptyInbox", "WebsocketsTransport"]

_IN_A_ROW = 256  # messages that a handler may send before others have their turn


class EmptyInbox:
    """Inbox of a transport that must be asked for each message."""

    def __init__(self) -> None:
        self.messages: deque[str | bytes] = deque()
        self.is_paused = False
        self.fewest = 0.0

    def resume(self) -> None:
        """Do nothing."""


_ALWAYS_EMPTY = EmptyInbox()


class WebsocketsTransport:
    """Carries one connection that this process opened.

    Args:
        connection: open.
        url: what was connected to.
        attempt: 0 for the first connection, else the number of the attempt in a row.
        traffic: of the route, which the WebSocket counts; None is that of all routes.
        guard: called before the socket is touched; raises if it must not be any more.
        token: the fencing token of the route's lease, or None.
    """

    name = "outbound"

    __slots__ = ("_guard", "attempt", "connection", "state", "token", "traffic", "url")

    def __init__(
        self,
        connection: ClientConnection,
        url: str,
        attempt: int = 0,
        traffic: Traffic | None = None,
        guard: Callable[[], None] | None = None,
        token: int | None = None,
    ) -> None:
        self.connection = connection
        self.state = ConnectionState(ClientState.CONNECTED, is_answered=True)
        self.url = url
        self.attempt = attempt
        self.token = token
        self.traffic = metrics.traffic() if traffic is None else traffic
        self._guard = guard

    @property
    def is_open(self) -> bool:
        return self.connection.state is State.OPEN

    def ended(self) -> tuple[int, str] | None:
        if self.connection.state is not State.CLOSED or _waiting_frames(self.connection):
            return None
        return self.status()

    def status(self) -> tuple[int, str]:
        """Close code and reason of the closed connection: the peer's, else 1006 for one that was lost."""
        self.state.end(*self._received_status())
        return self.state.status or (1006, "")

    def _received_status(self) -> tuple[int, str]:
        received = self.connection.protocol.close_rcvd
        return (1006, "") if received is None else (received.code, received.reason)

    def lost(self) -> bool:
        """Whether the connection ended without a close frame of the peer."""
        return self.connection.protocol.close_rcvd is None

    def ending(self) -> str:
        """Close code and reason of the end that closed first, for a log."""
        # What this end said before it gave up: 1009 to a message too big, 1011 to a peer that answers no pings.
        sent = self.connection.protocol.close_sent
        if self.state.closed_here and sent is not None:
            return _shown(sent.code, sent.reason)
        if not self.lost():
            return _shown(*self._received_status())
        return "1006" if sent is None else f"1006 ({_shown(sent.code, sent.reason)})"

    async def send_payload(self, payload: Payload, call: str = "send") -> None:
        self._check()
        try:
            if payload.binary:
                await self.connection.send(payload.raw)
            else:
                await self.connection.send(payload.raw, text=True)
        except ConnectionClosed as error:
            raise self.closed_error(call) from error
        if self.is_turn_over():
            await asyncio.sleep(0)

    def is_turn_over(self) -> bool:
        """Whether others should have theirs when the next message was sent.

        A handler that only sends never waits as long as its peer takes it all.
        """
        return self.traffic.messages_sent % _IN_A_ROW == _IN_A_ROW - 1

    @property
    def inbox(self) -> OutboundInbox:
        return _ALWAYS_EMPTY

    def try_receive(self) -> str | bytes | None:
        return None

    def try_send(self, payload: Payload) -> bool:
        return False

    async def receive_data(self) -> str | bytes:
        self._check()
        try:
            data = await self.connection.recv()
        except ConnectionClosed:
            raise WebSocketDisconnect(*self.status()) from None
        self._check()
        return data

    async def close(self, code: int, reason: str) -> None:
        """Close, and wait for the end of the connection, at most for its close timeout. Never raises OSError."""
        if self._guard is not None:
            with contextlib.suppress(WebSocketDisconnect):
                self._guard()
        if self.is_open and not self.connection.transport.is_closing():
            self.state.closed_here = True
        try:
            # The library's own limit begins only when the close frame could be written.
            with self._discarding():
                async with asyncio.timeout(self.connection.close_timeout):
                    await self.connection.close(code, reason)
        except TimeoutError:
            self.abort()
            await self.connection.wait_closed()
        self.state.end(*((code, reason) if self.state.closed_here else self._received_status()))

    @contextlib.contextmanager
    def _discarding(self) -> Iterator[None]:
        """Receive what nobody will read: the peer's close frame comes behind it."""
        discarding = asyncio.ensure_future(self._discard())
        try:
            yield
        finally:
            discarding.cancel()

    async def _discard(self) -> None:
        while True:
            try:
                await self.connection.recv(decode=False)
            except ConcurrencyError:  # the handler still receives
                await asyncio.sleep(0.01)
            except ConnectionClosed:
                return

    def abort(self) -> None:
        """Cut the connection off, if it has not ended."""
        if self.connection.state is not State.CLOSED:
            self.connection.transport.abort()

    def reset(self) -> None:
        """Cut the connection off, and have the system drop what it was still to send."""
        tcp = self.connection.transport.get_extra_info("socket")
        with contextlib.suppress(AttributeError, OSError):  # it has none, or it is closed
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    async def ping(self) -> float:
        self._check()
        try:
            waiter = await self.connection.ping()
            return await waiter
        except ConnectionClosed as error:
            raise self.closed_error("ping") from error

    async def pong(self) -> None:
        self._check()
        try:
            await self.connection.pong()
        except ConnectionClosed as error:
            raise self.closed_error("pong") from error

    def release(self) -> None:
        """Do nothing: the runner that opened the connection closes it."""

    def closed_error(self, call: str) -> WebSocketDisconnect:
        code, reason = self.status()
        return WebSocketDisconnect(code, reason, call=call)

    def _check(self) -> None:
        if self._guard is not None:
            self._guard()

    def _is_allowed(self) -> bool:
        try:
            self._check()
        except WebSocketDisconnect:
            return False
        return True

    # About

    @property
    def headers(self) -> HeaderMap:
        response = self.connection.response
        pairs = response.headers.raw_items() if response is not None else ()
        return HeaderMap((name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in pairs)

    @property
    def local_address(self) -> Address | None:
        return address_of(self.connection.local_address)

    @property
    def remote_address(self) -> Address | None:
        return address_of(self.connection.remote_address)

    @property
    def latency(self) -> float:
        """The round trip of the last ping that was answered, in seconds; 0 before the first."""
        return self.connection.latency


def _waiting_frames(connection: ClientConnection) -> object:
    """Frames that were received and not taken yet; nothing where the library has none to show."""
    return getattr(getattr(connection, "recv_messages", None), "frames", None)


def _shown(code: int, reason: str) -> str:
    return f"{code} {reason}".rstrip()
