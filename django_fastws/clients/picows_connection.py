"""PicowsConnection: picows parses the plain frames, in C, from a transport in C; websockets does everything else."""

from __future__ import annotations

import asyncio
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport
from websockets.protocol import State

from .._core.frames import frame
from .decoding import DecodingConnection

__all__ = ["PicowsConnection", "PicowsListener"]

_TEXT, _BINARY, _PING = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING
_READ_BYTES = 64 * 1024
# The library takes long over each frame. After a portion with many small ones for it the next is small, too.
_FEW_BYTES = 1024
_SMALL_FRAME = 64


class PicowsConnection(DecodingConnection):
    """A connection whose handshake picows has made, and whose frames it reads."""

    def opened(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._picows = transport
        self.connection_made(transport.underlying_transport)

    def start(self) -> None:
        """Read on from here in measured portions, and ping."""
        if self.state is State.CLOSED:
            return
        self.transport.set_protocol(_Portions(self.transport.get_protocol(), self))
        self.has_read()
        self.start_keepalive()

    def has_read(self) -> None:
        if self._picows.is_close_frame_sent and not self.is_over:
            self._follow()
        super().has_read()

    def _follow(self) -> None:
        """picows has found a frame that cannot be, or is too big, and has told the peer. It cuts off by itself."""
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
        if connection.is_over:
            return
        kind = frame.msg_type
        if kind is _PING and frame.fin and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
            connection.pinged(frame.get_payload_as_bytes())
        elif not frame.fin or frame.rsv1 or frame.rsv2 or frame.rsv3 or connection.is_fragmented:
            connection.pass_on(_as_it_came(frame))
        elif kind is _TEXT:
            try:
                self._append(frame.get_payload_as_utf8_text())
            except UnicodeDecodeError as error:
                connection.refuse_text(error)
        elif kind is _BINARY:
            self._append(frame.get_payload_as_bytes())
        else:
            connection.pass_on(_as_it_came(frame))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._connection.connection_lost(None)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


class _Portions(asyncio.BufferedProtocol):
    """Stands between the transport and picows, whose buffer grows as long as there is enough to fill it.

    A buffer of megabytes would bring messages by the hundred thousand, far more than ``max_queue``.
    """

    def __init__(self, protocol: Any, connection: PicowsConnection) -> None:
        self._protocol = protocol
        self._connection = connection
        self._is_dense = False

    def get_buffer(self, sizehint: int) -> memoryview:
        view: memoryview = self._protocol.get_buffer(sizehint)
        return view[: _FEW_BYTES if self._is_dense else _READ_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.passed_on = 0
        self._protocol.buffer_updated(nbytes)
        parts = self._connection.passed_on
        self._is_dense = parts > 1 and parts * _SMALL_FRAME > nbytes
        if self._is_dense:  # the transport may read on at once, so others would not have their turn
            self._connection.hold()
            self._connection.loop.call_soon(self._connection.unhold)
        self._connection.has_read()

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
