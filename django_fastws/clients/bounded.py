"""Bounds against a hostile peer, on a connection of the websockets library: pongs, fragments, time to close TCP."""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

__all__ = ["BoundedConnection"]

_PONG = b"\x8a"  # how a pong begins
# A message may have so many fragments, and one more for each 16 bytes: 1 MiB in fragments of 17 bytes is in order.
_FRAGMENTS = 1024
_FRAGMENT_BYTES = 16


class BoundedConnection(ClientConnection):
    """Connection that owes one pong at most, and takes no message in fragments without end.

    Attributes:
        is_full: whether so much waits to be sent that a sender should wait.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.is_full = False
        self._owed_pong = b""
        self._is_reading = False
        self._fragment_count = 0
        self._fragment_bytes = 0
        self._giving_up: asyncio.TimerHandle | None = None

    # One pong at most

    def data_received(self, data: bytes) -> None:
        self._is_reading = True
        try:
            super().data_received(data)
        finally:
            self._is_reading = False

    def send_data(self) -> None:
        """Send what the library has to send; of the pongs to a peer that reads nothing only the latest, later.

        RFC 6455 section 5.5.3: an endpoint "MAY elect to send a Pong frame for only the most recently processed Ping
        frame". Reading goes on, so that two peers who both send a lot do not wait for each other.
        """
        if not (self._is_reading and self.is_full):
            super().send_data()
            return
        for data in self.protocol.data_to_send():
            if data[:1] == _PONG:
                self._owed_pong = data
            elif data:
                self.transport.write(data)
            else:
                self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.is_full = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_full = False
        owed, self._owed_pong = self._owed_pong, b""
        if owed and self.protocol.state is State.OPEN and not self.transport.is_closing():
            self.transport.write(owed)

    def owe(self, pong: bytes) -> None:
        """Send a pong, as a ready frame, once there is room for it; it takes the place of an earlier one."""
        self._owed_pong = pong

    # Fragments

    def process_event(self, event: Any) -> None:
        if isinstance(event, Frame) and event.opcode < Opcode.CLOSE and not self.may_take(event):
            return
        super().process_event(event)

    def may_take(self, frame: Frame) -> bool:
        """Count the fragments of a message; False if it has too many, and the connection has failed."""
        if frame.fin:
            self._fragment_count = self._fragment_bytes = 0
            return True
        self._fragment_count += 1
        self._fragment_bytes += len(frame.data)
        if self._fragment_count <= _FRAGMENTS + self._fragment_bytes // _FRAGMENT_BYTES:
            return True
        self.fail(CloseCode.POLICY_VIOLATION, "too many fragments")
        return False

    def fail(self, code: CloseCode, reason: str) -> None:
        """Fail the connection (RFC 6455 section 7.1.7), and cut it off if the server does not close it in time."""
        self.protocol.fail(code, reason)
        self.send_data()
        self.abort_later()

    def abort_later(self) -> None:
        """Abort later: the server should close TCP (RFC 6455 section 7.1.1), but it must not take for ever."""
        if self._giving_up is None and self.close_timeout is not None:
            self._giving_up = self.loop.call_later(self.close_timeout, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._giving_up is not None:
            self._giving_up.cancel()
