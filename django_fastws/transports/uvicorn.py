"""The transport for uvicorn, with any of its WebSocket implementations.

It writes frames to asyncio's transport, past the library that uvicorn has for them, and tells a cut connection from
one that was closed without a code: ``websockets-sansio``, uvicorn's default, says 1005 for both.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from .._core.frames import BINARY, TEXT
from .._core.messages import Payload
from ..types import Message, Receive, Scope, Send
from .events import as_message, disconnect_status
from .framing import FramingTransport, high_water_bytes
from .polling import wait_while

__all__ = ["LegacyUvicornTransport", "UvicornTransport"]

_PACKAGE = "uvicorn.protocols.websockets."
# What the transports read or call; uvicorn's next release may change any of it.
NEEDED_BELOW = (
    "abort",
    "get_write_buffer_size",
    "is_closing",
    "pause_reading",
    "resume_reading",
    "set_write_buffer_limits",
    "write",
)


class UvicornTransport(FramingTransport):
    """Carries one connection of uvicorn's ``websockets-sansio`` or ``wsproto``."""

    name = "uvicorn"

    __slots__ = ("_draining", "_protocol", "_tcp")

    #: What is looked for on the protocol object.
    needed: tuple[str, ...] = (
        "close_sent",
        "conn",
        "disconnected",
        "handle_ping",
        "handshake_complete",
        "queue",
        "read_paused",
        "writable",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, protocol: Any) -> None:
        super().__init__(scope, receive, send)
        self._protocol = protocol
        self._tcp = protocol.transport
        # With TLS, asyncio's transport would take half a megabyte before it calls itself full.
        self._tcp.set_write_buffer_limits(high=high_water_bytes())
        self._draining: asyncio.Task[None] | None = None
        self._watch_pings()

    @classmethod
    def find(cls, scope: Scope, receive: Receive, send: Send) -> UvicornTransport | None:
        """The transport behind uvicorn's ``send``, or None if this is not the uvicorn that the transports know."""
        protocol: Any = getattr(send, "__self__", None)
        if not type(protocol).__module__.startswith(_PACKAGE):
            return None
        tcp = getattr(protocol, "transport", None)
        if not all(hasattr(tcp, name) for name in NEEDED_BELOW):
            return None
        for kind in (UvicornTransport, LegacyUvicornTransport):
            if all(hasattr(protocol, name) for name in kind.needed):
                return kind(scope, receive, send, protocol)
        return None

    @property
    def inbox(self) -> asyncio.Queue[Message] | None:
        queue = getattr(self._protocol, "queue", None)
        return queue if isinstance(queue, asyncio.Queue) else None

    # The end

    @property
    def is_open(self) -> bool:
        return not self.state.is_over and not self._tcp.is_closing()

    def ended(self) -> tuple[int, str] | None:
        # What waits is in order, and a disconnect event is the last of it (a second one may follow).
        waiting = self._waiting()
        if not waiting or waiting[0].get("type") != "websocket.disconnect":
            return None
        return self._status_of(waiting[0])

    def lost_status(self) -> tuple[int, str]:
        for event in self._waiting():  # what the peer said, though nobody has received it yet
            if event.get("type") == "websocket.disconnect":
                return self._status_of(event)
        return 1006, ""

    def _waiting(self) -> Any:
        """The events that uvicorn holds for the application, first ones first."""
        return getattr(self._protocol.queue, "_queue", ())

    def _status_of(self, event: Message) -> tuple[int, str]:
        code, reason = disconnect_status(event)
        if code == 1005 and "reason" not in event:
            code = 1006  # a close frame's event has a reason, that of a cut connection has not
        return code, reason

    def abort(self) -> None:
        self._tcp.abort()

    # Pings

    def _watch_pings(self) -> None:
        self._protocol.handle_ping = functools.partial(self._ping_came, self._protocol.handle_ping)

    def _ping_came(self, original: Callable[..., None], *event: Any) -> None:
        """Have uvicorn answer a ping, and read nothing more as long as the client does not take the answers."""
        original(*event)
        if self._is_full:
            self._tcp.pause_reading()
            if self._draining is None:
                self._draining = asyncio.get_running_loop().create_task(self._read_later())

    async def _read_later(self) -> None:
        protocol, tcp = self._protocol, self._tcp
        try:
            while self._is_full and not tcp.is_closing():
                await wait_while(lambda: not tcp.is_closing(), self._flushed)
        finally:
            self._draining = None
            if not protocol.read_paused and not tcp.is_closing():
                tcp.resume_reading()

    def release(self) -> None:
        super().release()
        if self._draining is not None:
            self._draining.cancel()
        vars(self._protocol).pop("handle_ping", None)

    # Writing

    @property
    def _is_writable(self) -> bool:
        protocol = self._protocol
        return protocol.handshake_complete and not protocol.close_sent and not self._tcp.is_closing()

    def _write_now(self, frames: bytes) -> bool:
        protocol, tcp = self._protocol, self._tcp
        if (
            not protocol.handshake_complete
            or protocol.close_sent
            or tcp.is_closing()
            or self.state.is_over
            or not protocol.writable.is_set()
        ):
            return False
        tcp.write(frames)
        return True

    def _write_close(self, frame: bytes) -> None:
        self._tcp.write(frame)

    def unsent(self) -> int:
        return int(self._tcp.get_write_buffer_size())

    @property
    def _is_full(self) -> bool:
        return not self._protocol.writable.is_set()

    async def _flushed(self) -> None:
        await self._protocol.writable.wait()

    async def _send_compressed(self, payload: Payload) -> None:
        await self.send(as_message(payload))

    def _has_compression(self) -> bool:
        connection = self._protocol.conn
        proto = getattr(getattr(connection, "connection", None), "_proto", None)  # wsproto's
        return bool(getattr(connection, "extensions", None) or getattr(proto, "extensions", None))

    async def _transmit(self, message: Message) -> None:
        await self._send(message)
        denied = message["type"] == "websocket.http.response.body" and not message.get("more_body")
        if denied and getattr(self._protocol, "handshake_complete", None) is False:
            # uvicorn takes a denial for a handshake that nobody answered, and logs an error for each.
            self._protocol.handshake_complete = True


class LegacyUvicornTransport(UvicornTransport):
    """Carries one connection of uvicorn's ``websockets``, which stands on that library's deprecated protocol."""

    __slots__ = ()

    needed = (
        "_paused",
        "close_rcvd",
        "closed",
        "connection_lost_waiter",
        "extensions",
        "handshake_completed_event",
        "messages",
        "resume_writing",
        "state",
        "write_frame_sync",
    )

    def _watch_pings(self) -> None:
        """Nothing to do: the library waits by itself for room before it answers another ping."""

    @property
    def is_open(self) -> bool:
        # A client that has closed and does not read is waited for before the TCP connection is closed.
        return super().is_open and self._protocol.state <= 1  # State.OPEN

    def ended(self) -> tuple[int, str] | None:
        # There is no queue of events, but websockets' own of messages.
        return None if self._protocol.messages or not self._protocol.closed else self.lost_status()

    def lost_status(self) -> tuple[int, str]:
        received = self._protocol.close_rcvd
        return (1006, "") if received is None else (received.code, received.reason)

    @property
    def _is_writable(self) -> bool:
        protocol = self._protocol
        return protocol.handshake_completed_event.is_set() and bool(protocol.state == 1)  # State.OPEN

    def _write_now(self, frames: bytes) -> bool:
        protocol = self._protocol
        if not self._is_writable or protocol._paused or self.state.is_over or self._tcp.is_closing():
            return False
        self._tcp.write(frames)
        return True

    @property
    def _is_full(self) -> bool:
        return bool(self._protocol._paused)

    async def _flushed(self) -> None:
        # The library has a way to wait for this, but for one at a time: its own pings and pongs would fail.
        protocol = self._protocol
        if not protocol._paused:
            return  # it was told to go on in the moment in which the wait before this one was given up
        resumed = asyncio.get_running_loop().create_future()
        original = protocol.resume_writing

        def resume_writing() -> None:
            original()
            if not resumed.done():
                resumed.set_result(None)

        protocol.resume_writing = resume_writing
        try:
            await asyncio.wait([resumed, protocol.connection_lost_waiter], return_when=asyncio.FIRST_COMPLETED)
        finally:
            del protocol.resume_writing

    def _has_compression(self) -> bool:
        return bool(self._protocol.extensions)

    async def _send_compressed(self, payload: Payload) -> None:
        # Without the library's waiting for its TCP transport, in which its answer to a close would fail. There was
        # room.
        self._protocol.write_frame_sync(True, BINARY if payload.binary else TEXT, payload.raw)
