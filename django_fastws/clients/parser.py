"""ParsingConnection: parser of plain frames in Python, many at a time, past the websockets library."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from websockets.protocol import State

from .decoding import DecodingConnection

__all__ = ["ParsingConnection", "frame_size"]

_BUFFER_BYTES = 256 * 1024  # as much as asyncio reads at a time
_MANY_BYTES = 512  # from which on the texts of a read are cut from one string
_LONGEST_KEPT = 4096  # bytes of an incomplete frame that wait here for the rest: each read copies them
_END_OF_HEADERS = b"\r\n\r\n"
_PLAIN = _TEXT, _BINARY = 0x81, 0x82  # how whole messages begin: final, and without an extension's bits
_PING = 0x89
_PARTS_PER_TURN = 256  # for the library, before other connections have their turn


class _Buffer(threading.local):
    """Receive buffer that all connections of a thread share: each empties it before another can."""

    def __init__(self) -> None:
        self.data = bytearray(_BUFFER_BYTES)
        self.view = memoryview(self.data)


_buffer = _Buffer()


class ParsingConnection(DecodingConnection, asyncio.BufferedProtocol):
    """Connection that parses its plain frames itself; see ``DecodingConnection``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # The end of what was received of the handshake, later the beginning of a frame.
        self._kept = b""
        # Bytes that go to the library before there is a new frame: all there are if it did not take the handshake.
        self._library_bytes: float = 0
        self._is_handshake_over = False

    def get_buffer(self, sizehint: int) -> memoryview:
        size = len(self._kept)
        _buffer.data[:size] = self._kept
        return _buffer.view[size:]

    def buffer_updated(self, nbytes: int) -> None:
        self._read(_buffer.data, len(self._kept) + nbytes)

    def data_received(self, data: bytes) -> None:
        """For transports that do not know buffers."""
        data = self._kept + data
        self._read(data, len(data))

    def _read(self, data: bytes | bytearray, end: int) -> None:
        """Read ``data`` up to ``end``; it begins with what was kept before."""
        start = 0
        if not self._is_handshake_over:
            start = self._pass_handshake_on(data, end)
            if not self._is_handshake_over:
                return
        self.passed_on = 0
        while start < end and not self.is_over:
            if self.passed_on >= _PARTS_PER_TURN:
                self._read_on_later()
                break
            if not self._library_bytes:
                start = self._parse(data, start, end)
                size = frame_size(data, start, end)
                if size is None or (data[start] in _PLAIN and end - start < size <= min(_LONGEST_KEPT, self.longest)):
                    break  # it is whole next time, or so
                self._library_bytes = size
            stop = int(min(end, start + self._library_bytes))
            self._library_bytes -= stop - start
            self.pass_on(bytes(data[start:stop]))
            start = stop
        self._kept = b"" if self.is_over else bytes(data[start:end])
        self.has_read()

    def _read_on_later(self) -> None:
        """Let others have their turn before the rest of what came is read."""
        self.hold()
        self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self.unhold()
        if self.state is not State.CLOSED:
            data, self._kept = self._kept, b""
            self._read(data, len(data))

    def _pass_handshake_on(self, data: bytes | bytearray, end: int) -> int:
        """Pass the server's answer on, up to the end of its headers; returns where that is."""
        found = data.find(_END_OF_HEADERS, 0, end)
        stop = end if found < 0 else found + len(_END_OF_HEADERS)
        self.pass_on(bytes(data[len(self._kept) : stop]))
        if found < 0:
            self._kept = bytes(data[max(0, end - len(_END_OF_HEADERS) + 1) : end])
        else:
            self._kept = b""
            self._is_handshake_over = True
            if self.state is not State.OPEN:
                self._library_bytes = float("inf")  # it was refused, and there may be a body
        return stop

    def _parse(self, data: bytes | bytearray, start: int, end: int) -> int:
        """Read frames as long as they are whole and plain; returns where the first begins that is not."""
        if self.is_fragmented:
            return self._parse_pings(data, start, end)
        append, longest = self.messages.append, self.longest
        short, last = min(125, longest), end - 1
        # A character for each byte: what is ASCII of it is UTF-8, too, and a slice is cheaper than to decode bytes.
        characters = str(memoryview(data)[:end], "latin-1") if end - start > _MANY_BYTES else ""
        try:
            while start < last:
                first, size = data[start], data[start + 1]
                if first == _TEXT and size <= short and characters:
                    begin = start + 2
                    stop = begin + size
                    if stop > end:
                        break
                    text = characters[begin:stop]
                    append(text if text.isascii() else data[begin:stop].decode())
                    start = stop
                    continue
                if size < 126:
                    begin = start + 2
                elif size == 126 and end - start > 3:
                    size = data[start + 2] << 8 | data[start + 3]
                    begin = start + 4
                else:
                    break
                stop = begin + size
                if stop > end or size > longest:
                    break
                if first == _TEXT:
                    append(data[begin:stop].decode())
                elif first == _BINARY:
                    append(bytes(data[begin:stop]))
                elif first == _PING and size < 126:
                    self.pinged(bytes(data[begin:stop]))
                else:
                    break
                start = stop
        except UnicodeDecodeError as error:
            self.refuse_text(error)
        return start

    def _parse_pings(self, data: bytes | bytearray, start: int, end: int) -> int:
        """Read pings between the fragments of a message; returns where the first frame begins that is none."""
        while end - start > 1 and data[start] == _PING and data[start + 1] < 126:
            stop = start + 2 + data[start + 1]
            if stop > end:
                break
            self.pinged(bytes(data[start + 2 : stop]))
            start = stop
        return start


def frame_size(data: bytes | bytearray, start: int, end: int) -> int | None:
    """Size of the frame that begins there, header and all; None if there is not enough of it to tell."""
    if end - start < 2:
        return None
    size = data[start + 1] & 0x7F
    if size < 126:
        return 2 + size
    begin = start + (4 if size == 126 else 10)
    return begin - start + int.from_bytes(data[start + 2 : begin], "big") if begin <= end else None
