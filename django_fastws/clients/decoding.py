"""Decoding of messages as they arrive on outbound sockets, past the websockets library.

The library takes every frame apart step by step and hands it on in objects, which is most of what a message costs.
Here somebody else reads the messages that are plain: whole in one frame, and not compressed. Every other frame goes
to the library, byte for byte, so that whatever it promises about a connection holds as before.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets import frames
from websockets.asyncio.client import ClientConnection
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from .._core.frames import BINARY, PONG, TEXT, client_frame
from .._core.messages import Payload
from ..exceptions import WebSocketDisconnect
from ..transports import OutboundInbox
from .bounded import BoundedConnection
from .websockets_transport import WebsocketsTransport

__all__ = ["DecodingConnection", "DecodingTransport", "is_possible"]

_PINGS_AT_ONCE = 16  # that are answered one by one

#: What the library must have inside, besides what its documentation describes.
_RELIED_ON = ("data_received", "connection_lost", "pause_writing", "resume_writing", "process_event", "send_data")
_apply_mask: Any = getattr(frames, "apply_mask", None)


def is_possible() -> bool:
    """Whether the library has inside what this relies on. Without it there is the plain transport."""
    return _apply_mask is not None and all(callable(getattr(ClientConnection, name, None)) for name in _RELIED_ON)


class DecodingConnection(BoundedConnection):
    """A connection that decodes messages as they come. A subclass reads, and puts into ``messages`` what is plain.

    Args:
        max_size: of a message, in bytes; None is no limit.
        max_queue: reading is paused while more messages than this wait, until a quarter of them is left; None is no
            limit. One read may bring more.

    Attributes:
        messages: what was received and not taken yet, always the same deque.
        is_fragmented: whether more fragments of a message are to come, so that no frame is plain.
        is_over: whether what else the peer sends is of no interest.
        passed_on: parts that the library has read, each of which takes as long as many plain messages.
    """

    def __init__(self, *args: Any, max_size: int | None, max_queue: int | None, **options: Any) -> None:
        super().__init__(*args, max_queue=max_queue, **options)
        self.messages: deque[str | bytes] = deque()
        self.is_fragmented = False
        self.is_over = False
        self.longest = float("inf") if max_size is None else max_size
        self._most = float("inf") if max_queue is None else max_queue
        self.fewest = self._most // 4
        self.is_paused = False
        self._is_held = False
        self._is_discarding = False
        self._waiter: asyncio.Future[None] | None = None
        self.passed_on = 0
        self._pings: list[bytes] = []
        self._fragments = bytearray()
        self._is_text = False

    # For the transport

    def take(self) -> str | bytes:
        """The next message, of ``messages``."""
        message = self.messages.popleft()
        if self.is_paused and len(self.messages) <= self.fewest:
            self.resume()
        return message

    def arrival(self) -> asyncio.Future[None]:
        """A future that is done when there is a message, or the connection is closed. Only the latest is."""
        self._waiter = self.loop.create_future()
        return self._waiter

    def discard(self) -> None:
        """Drop what was received and what is still to come: the peer's close frame comes behind it."""
        self._is_discarding = True
        self.messages.clear()
        self.resume()

    def send_now(self, payload: Payload) -> bool:
        """Send a message if there is room for it, and the connection is open."""
        protocol = self.protocol
        if self.is_full or protocol.state is not State.OPEN or self.transport.is_closing():
            return False
        if not protocol.extensions:
            opcode = BINARY if payload.binary else TEXT
            self.transport.write(client_frame(opcode, payload.raw, os.urandom(4), _apply_mask))
        else:
            (protocol.send_binary if payload.binary else protocol.send_text)(payload.raw)
            self.send_data()
        return True

    # For who reads

    def pass_on(self, data: bytes) -> None:
        """Have the library read a part of what was received."""
        self.passed_on += 1
        super().data_received(data)
        protocol = self.protocol
        if protocol.close_rcvd is not None or protocol.parser_exc is not None:
            self.end()

    def pinged(self, payload: bytes) -> None:
        """Take a ping. Of very many that came at once only the latest is answered (RFC 6455 section 5.5.3)."""
        if len(self._pings) < _PINGS_AT_ONCE:
            self._pings.append(payload)
        else:
            self._pings[-1] = payload

    def refuse_text(self, error: UnicodeDecodeError) -> None:
        """A text is not UTF-8 (RFC 6455 section 8.1)."""
        self.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")

    def fail(self, code: CloseCode, reason: str) -> None:
        super().fail(code, reason)
        self.end()

    def end(self) -> None:
        """Read no more."""
        self.is_over = True
        self.abort_later()

    def has_read(self) -> None:
        """Note that all that came at once was read."""
        if self._pings:
            self._answer_pings()
        if self._is_discarding:
            self.messages.clear()
        elif self.messages:
            self._wake()
            if len(self.messages) > self._most and not self.is_paused:
                self.is_paused = True
                self._set_reading()

    def _answer_pings(self) -> None:
        pings, self._pings = self._pings, []
        if self.protocol.state is not State.OPEN or self.transport.is_closing():
            return
        if self.is_full:
            pings = pings[-1:]
        pongs = [client_frame(PONG, ping, os.urandom(4), _apply_mask) for ping in pings]
        if self.is_full:
            self.owe(pongs[0])
        else:
            self.transport.write(b"".join(pongs))

    # What the library calls, or the transport

    def process_event(self, event: Any) -> None:
        """Take what the library has read."""
        if not isinstance(event, Frame) or event.opcode >= Opcode.CLOSE:
            super().process_event(event)
            return
        if not self.may_take(event):
            return
        if event.opcode is not Opcode.CONT:
            self._is_text = event.opcode is Opcode.TEXT
        self.is_fragmented = not event.fin
        if self.is_fragmented or self._fragments:
            self._fragments += event.data
        if event.fin:
            data = bytes(self._fragments or event.data)
            self._fragments.clear()
            try:
                self.messages.append(data.decode() if self._is_text else data)
            except UnicodeDecodeError as error:
                self.refuse_text(error)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wake()

    def hold(self) -> None:
        """Read nothing until ``unhold()``, however few messages wait."""
        self._is_held = True
        self._set_reading()

    def unhold(self) -> None:
        """Read again, unless too many messages wait."""
        self._is_held = False
        self._set_reading()

    def resume(self) -> None:
        """Read again, for few messages wait."""
        if self.is_paused:
            self.is_paused = False
            self._set_reading()

    def _set_reading(self) -> None:
        if self.transport.is_closing():
            return
        if self.is_paused or self._is_held:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class DecodingTransport(WebsocketsTransport):
    """Transport of one outbound connection, which decodes messages as they arrive."""

    __slots__ = ()

    connection: DecodingConnection

    def ended(self) -> tuple[int, str] | None:
        if self.connection.state is not State.CLOSED or self.connection.messages:
            return None
        return self.status()

    @property
    def inbox(self) -> OutboundInbox:
        return self.connection if self._guard is None else super().inbox

    def try_receive(self) -> str | bytes | None:
        connection = self.connection
        messages = connection.messages
        if not messages or (self._guard is not None and not self._is_allowed()):
            return None
        message = messages.popleft()
        if connection.is_paused and len(messages) <= connection.fewest:
            connection.resume()
        return message

    async def receive_data(self) -> str | bytes:
        connection = self.connection
        self._check()
        while not connection.messages:
            if connection.state is State.CLOSED:
                raise WebSocketDisconnect(*self.status())
            await connection.arrival()
            self._check()
        return connection.take()

    def try_send(self, payload: Payload) -> bool:
        self._check()
        return not self.is_turn_over() and self.connection.send_now(payload)

    @contextmanager
    def _discarding(self) -> Iterator[None]:
        self.connection.discard()
        yield
