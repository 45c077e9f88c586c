"""A client's connection to the room of the tests, on bare asyncio: hundreds of them fit into one process."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any

from tests.balancer.ledger import NEVER, Broadcast, Stay

__all__ = ["Connection"]

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        room: the room it joins.
        number: its own, by which the others know it.
    Attributes:
        stay: its time in the room, from when the server has said that it has joined; None before.
        code: of the close frame; 1006 if there was none, 0 while it stands.
        refused: the status of the answer to a handshake that was not accepted.
        broadcasts: what it has sent.
        joined, over: done when it has joined, and when it is over; the one or the other comes first.
    """

    def __init__(self, room: str, number: int) -> None:
        self.room = room
        self.number = number
        self.stay: Stay | None = None
        self.code = 0
        self.refused = ""
        self.broadcasts: list[Broadcast] = []
        loop = asyncio.get_running_loop()
        self.joined: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self._heard: dict[int, list[int]] = {}  # also before the server has said so
        self._data = b""
        self._is_accepted = False

    @property
    def is_at_work(self) -> bool:
        """Whether it stands, and what it has sent first is acknowledged."""
        return not self.code and bool(self.broadcasts) and self.broadcasts[0].acknowledged_at < NEVER

    def broadcast(self) -> None:
        """Send the next message, for the server to broadcast."""
        number = len(self.broadcasts)
        self.broadcasts.append(Broadcast(self.room, self.number, number, time.monotonic()))
        self._send(_TEXT, f"{self.number} {number}".encode())

    def _send(self, opcode: int, payload: bytes) -> None:
        assert len(payload) < 126
        # The mask is zero, so the payload stays as it is.
        self._transport.write(bytes((0x80 | opcode, 0x80 | len(payload))) + b"\0\0\0\0" + payload)

    # What asyncio calls

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(
            f"GET /ws/member/{self.room} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._is_accepted and b"\r\n\r\n" in self._data:
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            self._is_accepted = head.startswith(b"HTTP/1.1 101 ")
            if not self._is_accepted:
                self.refused = head.split(b" ", 2)[1].decode()
                self._transport.close()
        if self._is_accepted:
            self._take_frames()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended(1006)
        self.over.set_result(None)

    # Frames

    def _take_frames(self) -> None:
        data, at = self._data, 0
        while len(data) >= at + 2:
            opcode, size, start = data[at] & 0x0F, data[at + 1], at + 2
            assert size < 126  # unmasked, and short as all that is sent here
            if len(data) < start + size:
                break
            at = start + size
            self._take(opcode, data[start:at])
        self._data = data[at:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == _TEXT:
            self._take_message(payload.split())
        elif opcode == _PING:
            self._send(_PONG, payload)
        elif opcode == _CLOSE:
            self._ended(struct.unpack("!H", payload[:2])[0])
            self._send(_CLOSE, payload[:2])

    def _take_message(self, words: list[bytes]) -> None:
        if words[0] == b"joined":
            self.stay = Stay(self.room, int(words[1]), time.monotonic(), heard=self._heard)
            self.joined.set_result(None)
        elif words[0] == b"ok":
            self.broadcasts[int(words[2])].acknowledged_at = time.monotonic()
        else:
            self._heard.setdefault(int(words[0]), []).append(int(words[1]))

    def _ended(self, code: int) -> None:
        if not self.code:
            self.code = code
            if self.stay is not None:
                self.stay.ended_at = time.monotonic()
