"""WebSocket frames (RFC 6455 section 5.2) of whole messages: a server's are not masked, a client's are."""

from __future__ import annotations

import struct
from collections.abc import Callable

__all__ = ["BINARY", "CLOSE", "PING", "PONG", "TEXT", "client_frame", "close_frame", "frame"]

TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA
_FINAL = 0x80
_MASKED = 0x80


def frame(opcode: int, payload: bytes, *, flags: int = _FINAL) -> bytes:
    """One frame without a mask; the final one, if nothing else is said.

    >>> frame(TEXT, b"hi")
    b'\\x81\\x02hi'

    An uncompressed frame is valid on a compressed connection, too (RFC 7692 section 6).

    Args:
        opcode: ``TEXT``, ``BINARY`` or ``CLOSE``.
        payload: any number of bytes; those of a text frame are UTF-8.
        flags: the upper four bits of the first byte: FIN and the reserved ones.
    """
    size = len(payload)
    if size < 126:
        return bytes((flags | opcode, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", flags | opcode, 126, size) + payload
    return struct.pack("!BBQ", flags | opcode, 127, size) + payload


def client_frame(opcode: int, payload: bytes, key: bytes, apply_mask: Callable[[bytes, bytes], bytes]) -> bytes:
    """One final frame of a client (RFC 6455 section 5.3).

    Args:
        opcode, payload: as of ``frame()``.
        key: four bytes that nobody can foresee.
        apply_mask: XORs bytes with a key, over and over.
    """
    size, masked = len(payload), apply_mask(payload, key)
    if size < 126:
        return b"%c%c%b%b" % (_FINAL | opcode, _MASKED | size, key, masked)
    if size < 65536:
        return struct.pack("!BBH4s", _FINAL | opcode, _MASKED | 126, size, key) + masked
    return struct.pack("!BBQ4s", _FINAL | opcode, _MASKED | 127, size, key) + masked


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame (RFC 6455 section 5.5.1).

    >>> close_frame(1013)
    b'\\x88\\x02\\x03\\xf5'

    Args:
        code: one that may be sent.
        reason: at most 123 bytes of UTF-8.
    """
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())
