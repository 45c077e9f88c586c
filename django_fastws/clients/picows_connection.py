"""PicowsConnection: picows makes the handshake and reads large frames, in C; small ones are parsed many at a time.

A call from C into Python for each frame takes longer than to parse a small one in Python, of which a read brings
thousands. So ``ParsingConnection`` reads here, too, and what it does not parse itself goes to picows, frame by frame.
"""

from __future__ import annotations

import asyncio
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport
from websockets.protocol import State

from .._core.frames import frame
from .decoding import DecodingConnection
from .parser import ParsingConnection, frame_size

__all__ = ["PicowsConnection", "PicowsListener"]

_TEXT, _BINARY, _PING = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING
_READ_BYTES = 256 * 1024  # into the buffer of picows, which grows as long as there is enough to fill it
_FEW_BYTES = 1024  # as long as nobody knows where a frame begins, for all of it goes through picows
_ANY = float("inf")


class PicowsConnection(ParsingConnection):
    """A connection whose handshake picows has made.

    Attributes:
        tail: bytes that picows had behind the frame that it read last; None if it has read none since it was asked.
    """

    def opened(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._picows = transport
        self._is_handshake_over = True
        self._library_bytes = _ANY  # it may have the beginning of a frame
        self._beginning: bytes | None = None  # of a frame whose size is still to come
        self._is_direct = False
        self.tail: int | None = None
        self.connection_made(transport.underlying_transport)

    def start(self) -> None:
        """Read on from here, and ping."""
        if self.state is State.CLOSED:
            return
        if self.tail == 0:
            self._library_bytes = 0
        self._parser: Any = self.transport.get_protocol()
        self.transport.set_protocol(_Reader(self._parser, self))
        self.has_read()
        self.start_keepalive()

    def get_buffer(self, sizehint: int) -> memoryview:
        self._is_direct = self._library_bytes > 0
        if not self._is_direct:
            return super().get_buffer(sizehint)
        if self._library_bytes < _ANY:
            most = int(min(self._library_bytes, _READ_BYTES))
        else:
            most = _FEW_BYTES if self._beginning is None else 1  # not one byte more than tells the size of the frame
        view: memoryview = self._parser.get_buffer(sizehint)
        self._view = view[:most]
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        if not self._is_direct:
            super().buffer_updated(nbytes)
            return
        self.passed_on = 0
        if self._library_bytes == _ANY:
            self._find_boundary(bytes(self._view[:nbytes]))
        else:
            self._library_bytes -= nbytes
            self._parser.buffer_updated(nbytes)
        self.has_read()

    def _find_boundary(self, received: bytes) -> None:
        """Have picows read what is in its buffer already, and look where the next frame begins."""
        self.tail = None
        self._parser.buffer_updated(len(received))
        self._locate(received)

    def _locate(self, received: bytes) -> None:
        tail = self.tail
        if tail is not None:
            self._beginning = received[len(received) - tail :]
        elif self._beginning is not None:
            self._beginning += received
        else:
            return  # no frame has ended yet
        size = frame_size(self._beginning, 0, len(self._beginning)) if self._beginning else 0
        if size is not None:
            self._library_bytes = size - len(self._beginning)

    def pass_on(self, data: bytes) -> None:
        """Have picows read a part of what was received, which calls the listener."""
        rest = memoryview(data)
        while rest and not self.is_over:
            view = self._parser.get_buffer(-1)
            size = min(len(view), len(rest))
            view[:size] = rest[:size]
            self._parser.buffer_updated(size)
            rest = rest[size:]
            self._look_for_failure()

    def pass_to_library(self, data: bytes) -> None:
        """Have the library read a frame that picows has found not to be plain."""
        DecodingConnection.pass_on(self, data)

    def has_read(self) -> None:
        self._look_for_failure()
        super().has_read()

    def _look_for_failure(self) -> None:
        """Has picows found a frame that cannot be, or is too big, it has told the peer, and cuts off by itself."""
        if not self._picows.is_close_frame_sent or self.is_over:
            return
        sent = self._picows.close_handshake.sent
        assert sent is not None
        self.protocol.fail(sent.code.value, sent.reason)
        self.protocol.data_to_send()  # the close frame, which was sent
        self.end()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # Why picows failed is told already; unless somebody asks for it, asyncio would complain.
        self._told = asyncio.gather(self._picows.wait_disconnected(), return_exceptions=True)


class PicowsListener(WSListener):
    """Listener of a picows connection: the callbacks that picows calls."""

    def __init__(self, connection: PicowsConnection) -> None:
        self._connection = connection
        self._append = connection.messages.append

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._connection.opened(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        connection = self._connection
        connection.tail = frame.tail_size
        if connection.is_over:
            return
        kind = frame.msg_type
        if kind is _PING and frame.fin and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
            connection.pinged(frame.get_payload_as_bytes())
        elif not frame.fin or frame.rsv1 or frame.rsv2 or frame.rsv3 or connection.is_fragmented:
            connection.pass_to_library(_as_it_came(frame))
        elif kind is _TEXT:
            try:
                self._append(frame.get_payload_as_utf8_text())
            except UnicodeDecodeError as error:
                connection.refuse_text(error)
        elif kind is _BINARY:
            self._append(frame.get_payload_as_bytes())
        else:
            connection.pass_to_library(_as_it_came(frame))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._connection.connection_lost(None)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


class _Reader(asyncio.BufferedProtocol):
    """Stands between the transport and picows: what is read goes to the connection first, all else to picows."""

    def __init__(self, protocol: Any, connection: PicowsConnection) -> None:
        self._protocol = protocol
        self.get_buffer = connection.get_buffer  # type: ignore[method-assign]
        self.buffer_updated = connection.buffer_updated  # type: ignore[method-assign]

    def eof_received(self) -> bool | None:
        kept_open: bool | None = self._protocol.eof_received()
        return kept_open

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


def _as_it_came(came: WSFrame) -> bytes:
    """The frame, for the library to read."""
    flags = came.fin << 7 | came.rsv1 << 6 | came.rsv2 << 5 | came.rsv3 << 4
    return frame(came.msg_type.value, came.get_payload_as_bytes(), flags=flags)
