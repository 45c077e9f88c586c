"""Base of the transports that write ready-made frames to a server's TCP transport, past the server's own code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .._core.deflate import Deflater
from .._core.frames import close_frame
from .._core.messages import Batch, Payload
from .._core.recipients import not_direct
from ..conf import conf
from ..types import Message, Receive, Scope, Send
from .asgi import ASGITransport
from .polling import wait_while

__all__ = ["FramingTransport", "high_water_bytes"]

_HIGH_WATER_BYTES = 64 * 1024
_IN_A_ROW = 256  # messages that a handler may send before others have their turn


def high_water_bytes() -> int:
    """Most bytes that a TCP transport may hold; the rest waits in the outbox, where it can be dropped."""
    return min(_HIGH_WATER_BYTES, conf.send_buffer_bytes)


class FramingTransport(ASGITransport):
    """A transport that writes frames itself: at once while the client takes them, else in their turn.

    The order is that of the calls, with each other and with what the server writes by itself (pongs, pings, its
    close frame), for both go through one TCP transport.
    """

    __slots__ = ("_deflater", "_in_a_row", "_is_compressed")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        #: Whether compression was agreed on; None before that is known. And who does it.
        self._is_compressed: bool | None = None
        self._deflater: Deflater | None = None
        #: Messages that were sent since others had their turn for sure.
        self._in_a_row = 0

    def _write_now(self, frames: bytes) -> bool:
        """Hand whole frames to the TCP transport; False if it has no room, is closed or must not be written to."""
        raise NotImplementedError

    def _write_close(self, frame: bytes) -> None:
        """Hand a close frame to the TCP transport, however much it holds."""
        raise NotImplementedError

    @property
    def _is_writable(self) -> bool:
        """Whether frames may be written to the TCP transport; if not, messages go through the server's ``send``."""
        raise NotImplementedError

    @property
    def _is_full(self) -> bool:
        """Whether the TCP transport should be given no more for now."""
        raise NotImplementedError

    async def _flushed(self) -> None:
        """Wait until a full TCP transport holds little or nothing. Whether it hears of the end is not sure."""
        raise NotImplementedError

    def _find_deflater(self) -> Deflater | None:
        """Who compresses messages, as the handshake, which is over, has agreed on (RFC 7692); None for nobody.

        Of the server's own compressor, if it is used besides, no message may refer to one before it from now on.
        """
        raise NotImplementedError

    def _settle_compression(self) -> None:
        """The handshake is over: what it has agreed on holds from now on."""
        self._deflater = self._find_deflater()
        self._is_compressed = self._deflater is not None

    def _frames_of(self, batch: Payload | Batch) -> bytes:
        """The frames of messages, compressed where that was agreed on."""
        if self._is_compressed is None and self._is_writable:
            self._settle_compression()
        return batch.frame if self._deflater is None else batch.frame_by(self._deflater)

    def try_send(self, payload: Payload | Batch) -> bool:
        if self.is_sending or self._in_a_row >= _IN_A_ROW:
            return False
        frames = payload.frame if self._is_compressed is False else self._frames_of(payload)
        if self._write_now(frames):
            self._in_a_row += 1
            return True
        return False

    async def send_payload(self, payload: Payload, call: str = "send") -> None:
        # A handler that only sends never waits as long as its client takes it all; nor where the connection is lost
        # and the loop, which the handler holds, could not say so yet. So others have their turn now and then.
        is_turn_over = self._in_a_row >= _IN_A_ROW
        if is_turn_over:
            self._in_a_row = 0
        if not self.is_open or (not self.is_sending and not self._is_writable):
            await super().send_payload(payload, call)
            self._in_a_row += 1
        elif not self.try_send(payload):
            self._end_direct()
            await self.outbox.send(payload, len(payload))
            return
        if is_turn_over:
            await asyncio.sleep(0)

    def post(self, batch: Payload | Batch) -> bool | None:
        if self.is_sending:
            return super().post(batch)
        frames = batch.frame if self._is_compressed is False else self._frames_of(batch)
        if self._write_now(frames):
            return False
        self._end_direct()
        return super().post(batch)

    #: Writes frames of a room past all that ``post()`` asks first, where that may be; see ``Sink``.
    direct: Callable[[bytes], int] = staticmethod(not_direct)

    def write_rest(self, rest: bytes) -> None:
        """Send the rest of frames of which ``direct()`` has taken less, before anything else."""

    def _end_direct(self) -> None:
        """Have ``direct`` take nothing from now on: something is to be sent before what comes next."""

    async def _send_now(self, item: Payload | Message, call: str) -> None:
        self._end_direct()  # what is posted meanwhile has to wait
        await super()._send_now(item, call)

    async def _drained(self) -> None:
        """Wait until a full TCP transport holds little or nothing, or the connection is closed."""
        await wait_while(lambda: self.is_open, self._flushed)

    async def wait_for_room(self) -> None:
        while self.is_open and self._is_writable and self._is_full:
            await self._drained()

    async def hand_over(self, item: Payload | Message) -> None:
        if isinstance(item, Payload):
            while self.is_open and self._is_writable:
                if self._write_now(self._frames_of(item)):
                    return
                await self._drained()
        if isinstance(item, Payload) and not self.is_open:
            raise ConnectionResetError  # else the server might wait for a client that is gone
        await super().hand_over(item)

    def close_slow(self, code: int, reason: str) -> None:
        # Behind what the TCP transport holds, not behind the writer, which waits for the client.
        self.state.end(code, reason)
        self._write_close(close_frame(code, reason))
        self.outbox.fail(self.closed_error("send"))
