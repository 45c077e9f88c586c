"""The transport for uvicorn, with any of its WebSocket implementations.

It writes frames to asyncio's transport, past the library that uvicorn has for them, and those of rooms to the socket
itself where that may be. It tells a cut connection from one that was closed without a code: ``websockets-sansio``,
uvicorn's default, says 1005 for both.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from .._core.attributes import has_all
from .._core.deflate import Deflater
from .._core.frames import PING, PONG, frame
from .._core.messages import Batch, Payload
from .._core.recipients import not_direct
from ..types import Message, Receive, Scope, Send
from .deflating import take_over
from .direct_writes import Watched, direct_write
from .events import disconnect_status
from .framing import FramingTransport, high_water_bytes
from .inbox import Inbox
from .pings import Pings
from .polling import wait_while
from .uvicorn_reading import UvicornReader

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

    __slots__ = ("_draining", "_pings", "_protocol", "_reader", "_tcp", "_write_directly", "direct")

    #: What is looked for on the protocol object.
    needed: tuple[str, ...] = (
        "close_sent",
        "conn",
        "disconnected",
        "handle_ping",
        "handle_pong",
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
        #: What writes to the socket itself; None where nothing may, and ``not_direct`` before that was looked for.
        self._write_directly: Callable[[bytes], int] | None = not_direct
        #: That, as long as the TCP transport holds nothing and the connection is open: what may change that is done
        #: through ``_tcp``, here, or through ``transport`` of the protocol, which is watched meanwhile.
        self.direct: Callable[[bytes], int] = not_direct
        self._draining: asyncio.Task[None] | None = None
        self._pings: Pings | None = None
        self._watch_pings()
        self._reader = UvicornReader.find(protocol)
        if self._reader is not None:
            self._inbox = self._reader.inbox
            if getattr(receive, "__self__", None) is protocol:
                self._bare_inbox = self._inbox

    @classmethod
    def find(cls, scope: Scope, receive: Receive, send: Send) -> UvicornTransport | None:
        """The transport behind uvicorn's ``send``, or None if this is not the uvicorn that the transports know."""
        protocol: Any = getattr(send, "__self__", None)
        if not type(protocol).__module__.startswith(_PACKAGE):
            return None
        tcp = getattr(protocol, "transport", None)
        if not has_all(tcp, NEEDED_BELOW):
            return None
        for kind in (UvicornTransport, LegacyUvicornTransport):
            if has_all(protocol, kind.needed):
                return kind(scope, receive, send, protocol)
        return None

    @property
    def inbox(self) -> Inbox | asyncio.Queue[Message] | None:
        if self._inbox is not None:
            return self._inbox
        queue = getattr(self._protocol, "queue", None)
        return queue if isinstance(queue, asyncio.Queue) else None

    # The end

    @property
    def is_open(self) -> bool:
        return not self.state.is_over and not self._tcp.is_closing()

    def ended(self) -> tuple[int, str] | None:
        # What waits is in order, and a disconnect event is the last of it (a second one may follow).
        if self._inbox is not None:
            event = self._inbox.next_event()
        else:
            waiting = self._waiting()
            event = waiting[0] if waiting else None
        if event is None or event.get("type") != "websocket.disconnect":
            return None
        return self._status_of(event)

    def lost_status(self) -> tuple[int, str]:
        for event in self._waiting():  # what the peer said, though nobody has received it yet
            if event.get("type") == "websocket.disconnect":
                return self._status_of(event)
        return 1006, ""

    def _waiting(self) -> Any:
        """The events that uvicorn holds for the application, first ones first."""
        if self._inbox is not None:
            return self._inbox.events()
        return getattr(self._protocol.queue, "_queue", ())

    def _status_of(self, event: Message) -> tuple[int, str]:
        code, reason = disconnect_status(event)
        if code == 1005 and "reason" not in event:
            code = 1006  # a close frame's event has a reason, that of a cut connection has not
        return code, reason

    def abort(self) -> None:
        self._end_direct()
        self._tcp.abort()

    # Pings

    def _watch_pings(self) -> None:
        self._protocol.handle_ping = functools.partial(self._ping_came, self._protocol.handle_ping)

    def _ping_came(self, original: Callable[..., None], *event: Any) -> None:
        """Have uvicorn answer a ping, and read nothing more as long as the client does not take the answers."""
        original(*event)
        if self._is_full:
            self._tcp.pause_reading()
            if self._reader is not None:  # or it would read on when the handler has received something
                self._reader.is_held = True
            if self._draining is None:
                self._draining = asyncio.get_running_loop().create_task(self._read_later())

    async def ping(self) -> float:
        if not self._can_send_control:
            raise self.closed_error("ping")
        if self._pings is None:
            self._pings = Pings(self._protocol, "handle_pong", self._send_ping, lambda: self._can_send_control)
        return await self._pings.ping(functools.partial(self.closed_error, "ping"))

    async def pong(self) -> None:
        if not self._can_send_control:
            raise self.closed_error("pong")
        self._end_direct()
        self._tcp.write(frame(PONG, b""))

    @property
    def _can_send_control(self) -> bool:
        return self.is_open and self._is_writable

    def _send_ping(self, payload: bytes) -> None:
        self._end_direct()
        self._tcp.write(frame(PING, payload))

    async def _read_later(self) -> None:
        protocol, tcp = self._protocol, self._tcp
        try:
            while self._is_full and not tcp.is_closing():
                await wait_while(lambda: not tcp.is_closing(), self._flushed)
        finally:
            self._draining = None
            if self._reader is not None:
                self._reader.is_held = False
            if not protocol.read_paused and not tcp.is_closing():
                tcp.resume_reading()

    def release(self) -> None:
        super().release()
        self._end_direct()
        if self._pings is not None:
            self._pings.close(self.closed_error("ping"))
            self._pings = None
        if self._draining is not None:
            self._draining.cancel()
        if self._reader is not None:
            self._reader.stop()
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
        if self.direct is not not_direct and tcp.get_write_buffer_size():
            self._end_direct()
        return True

    def post(self, batch: Payload | Batch) -> bool | None:
        is_started = super().post(batch)
        if self._write_directly is not None and self.direct is not_direct:
            self._begin_direct()
        return is_started

    def write_rest(self, rest: bytes) -> None:
        self._end_direct()
        self._tcp.write(rest)

    def _begin_direct(self) -> None:
        """Have rooms write to the socket itself, past asking for all this, if that may be now."""
        protocol, tcp = self._protocol, self._tcp
        if self._write_directly is not_direct:
            self._write_directly = self._find_direct()
        if (
            self._write_directly is None
            or self.is_sending
            or self._is_compressed is not False
            or self.state.is_over
            or not self._is_writable
            or tcp.get_write_buffer_size()
            or protocol.transport is not tcp
            or "connection_lost" in vars(protocol)
        ):
            return
        self.direct = self._write_directly
        protocol.transport = Watched(tcp, self._end_direct)
        protocol.connection_lost = self._connection_lost

    def _find_direct(self) -> Callable[[bytes], int] | None:
        """What writes to the socket itself, where the server asks its own transport for all that it does."""
        return direct_write(self._tcp)

    def _end_direct(self) -> None:
        if self.direct is not not_direct:
            self.direct = not_direct
            self._protocol.transport = self._tcp
            vars(self._protocol).pop("connection_lost", None)

    def _connection_lost(self, problem: Exception | None) -> None:
        """The descriptor is about to be closed, and may be another's from then on."""
        self._end_direct()
        self._protocol.connection_lost(problem)

    def _write_close(self, frame: bytes) -> None:
        self._end_direct()
        self._tcp.write(frame)

    def unsent(self) -> int:
        return int(self._tcp.get_write_buffer_size())

    @property
    def _is_full(self) -> bool:
        return not self._protocol.writable.is_set()

    async def _flushed(self) -> None:
        await self._protocol.writable.wait()

    def _find_deflater(self) -> Deflater | None:
        connection = self._protocol.conn
        proto = getattr(getattr(connection, "connection", None), "_proto", None)  # wsproto's
        extensions = getattr(connection, "extensions", None) or getattr(proto, "extensions", None)
        return take_over(extensions[0]) if extensions else None

    async def _transmit(self, message: Message) -> None:
        await self._send(message)
        if message["type"] == "websocket.accept" and self._reader is not None:
            self._reader.start()
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
        "ping",
        "pong",
        "resume_writing",
        "state",
        "write_frame_sync",
    )

    async def ping(self) -> float:
        return float(await self._control(self._round_trip, "ping"))

    async def pong(self) -> None:
        await self._control(self._protocol.pong, "pong")

    async def _round_trip(self) -> Any:
        return await (await self._protocol.ping())

    async def _control(self, send: Callable[[], Awaitable[Any]], call: str) -> Any:
        if self.is_open:
            try:
                await self._protocol.handshake_completed_event.wait()
                return await send()
            except Exception:
                if self._is_writable:
                    raise
        self._remember_loss()
        raise self.closed_error(call)

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

    post = FramingTransport.post

    def _find_direct(self) -> Callable[[bytes], int] | None:
        return None  # the library keeps methods of its transport

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

    def _find_deflater(self) -> Deflater | None:
        extensions = self._protocol.extensions
        return take_over(extensions[0]) if extensions else None
