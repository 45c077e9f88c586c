"""Compressed messages (permessage-deflate, RFC 7692): those of the server each stand for themselves.

Nothing in a message refers to one before it (``server_no_context_takeover``). So a broadcast is compressed once for
all members, and no socket has a compressor of its own, with its window: one is shared by the process.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from typing import Any

from .frames import frame

__all__ = ["Deflater", "Inflater", "MessageInflatesTooFar", "compressed_message"]

_TAIL = b"\x00\x00\xff\xff"  # of a flush, which is left out of messages (section 7.2.1)
_FINAL_COMPRESSED = 0xC0  # FIN and RSV1
_MASKED = 0x80
_MOST_STREAMS = 8  # that a message may be made of; a client needs one


class Deflater:
    """Compressor of messages, shared by all sockets with one size of the window, in any thread.

    Args:
        window_bits: a message refers to no more than 2 to the power of this bytes before; from 9 to 15.
        level: from 1, which is fast, to 9, which is small.
        memory_level: from 1 to 9; what there is for finding repetitions.
        least_bytes: what is shorter is not compressed.
    """

    __slots__ = ("_lock", "_settings", "_stream", "least_bytes")

    def __init__(self, window_bits: int, level: int, memory_level: int, least_bytes: int) -> None:
        self._settings = (level, zlib.DEFLATED, -window_bits, memory_level)
        self._stream = zlib.compressobj(*self._settings)
        self._lock = threading.Lock()
        self.least_bytes = least_bytes

    def frame(self, opcode: int, payload: bytes) -> bytes | None:
        """The frame of a compressed message; None if it is not worth compressing.

        Args:
            opcode: ``TEXT`` or ``BINARY``.
            payload: of the message.
        """
        if len(payload) < self.least_bytes:
            return None
        with self._lock:
            stream = self._stream
            try:
                # A full flush forgets all that came before, at a fraction of what another compressor costs.
                compressed = stream.compress(payload) + stream.flush(zlib.Z_FULL_FLUSH)
            except BaseException:
                self._stream = zlib.compressobj(*self._settings)
                raise
        if len(compressed) - len(_TAIL) >= len(payload):
            return None
        return frame(opcode, compressed[: -len(_TAIL)], flags=_FINAL_COMPRESSED)


class MessageInflatesTooFar(ValueError):
    """A message is larger than the limit once it is decompressed."""


class Inflater:
    """Decompressor of the messages that come in on one socket.

    Args:
        window_bits: that were agreed on for the client.
        takes_over: whether a message may refer to the ones before it.
    """

    __slots__ = ("_bits", "_stream", "_streams", "_takes_over")

    def __init__(self, window_bits: int, *, takes_over: bool) -> None:
        self._bits = window_bits
        self._takes_over = takes_over
        self._stream: Any = None  # zlib's, whose type has no public name
        self._streams = 0

    def begin(self) -> None:
        """A message begins."""
        self._streams = 0
        if not self._takes_over:
            self._stream = None

    def feed(self, data: bytes, limit: int | None) -> bytes:
        """Decompress a part of a message.

        Args:
            data: the part.
            limit: bytes that it may have; None for any number.
        Raises:
            MessageInflatesTooFar: it has more.
            zlib.error: it is malformed.
        """
        stream = self._stream
        if stream is None:
            stream = self._stream = zlib.decompressobj(-self._bits)
        most = 0 if limit is None else max(limit, 0) + 1
        found: bytes = stream.decompress(data, most)
        while stream.eof:  # a block that calls itself the last (section 7.2.3.4), behind which others may follow
            self._streams += 1
            if self._streams > _MOST_STREAMS:
                raise zlib.error("a message of too many streams")
            rest, window = stream.unused_data, found[-(1 << self._bits) :]
            stream = self._stream = zlib.decompressobj(-self._bits, zdict=window)
            if not rest or (most and len(found) >= most):
                break
            found += stream.decompress(rest, most - len(found) if most else 0)
        if limit is not None and (len(found) > limit or stream.unconsumed_tail):
            raise MessageInflatesTooFar
        return found

    def end(self) -> bytes:
        """The message is over; what was left of it."""
        found = self.feed(_TAIL, None)
        if not self._takes_over:
            self._stream = None
        return found

    def inflate(self, data: bytes, limit: int | None) -> bytes:
        """Decompress a whole message; the arguments and errors are those of ``feed()``."""
        self.begin()
        found = self.feed(data + _TAIL, limit)
        if not self._takes_over:
            self._stream = None
        return found


def compressed_message(
    data: bytes, apply_mask: Callable[[bytes, bytes], bytes], limit: float
) -> tuple[int, bytes, int] | None:
    """The compressed message of one frame with which a client's bytes begin; None if there is none.

    It is for a reader that leaves the rest to one who knows all of the protocol.

    Args:
        data: what a client has sent, from the beginning of a frame on.
        apply_mask: XORs bytes with a key of four bytes, over and over.
        limit: most bytes of the frame.
    Returns:
        The opcode, what is compressed, and where the frame ends.
    """
    if len(data) < 6 or data[0] not in (_FINAL_COMPRESSED | 1, _FINAL_COMPRESSED | 2):
        return None
    size, body = data[1] - _MASKED, 6
    if size >= 126:
        wide = 2 if size == 126 else 8
        size, body = int.from_bytes(data[2 : 2 + wide], "big"), 6 + wide
        if size < (126 if wide == 2 else 65536):  # which has a shorter form
            return None
    if size < 0 or size > limit or len(data) < body + size:
        return None
    payload = apply_mask(data[body : body + size], data[body - 4 : body])
    return data[0] & 0x0F, payload, body + size
