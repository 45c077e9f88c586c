"""WebSocket frames as a server sends them (RFC 6455 section 5.2): whole messages, unmasked, uncompressed."""

from __future__ import annotations

import struct

__all__ = ["BINARY", "CLOSE", "PONG", "TEXT", "close_frame", "frame"]

TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PONG = 0xA
_FINAL = 0x80


def frame(opcode: int, payload: bytes) -> bytes:
    """One final frame.

    >>> frame(TEXT, b"hi")
    b'\\x81\\x02hi'

    An uncompressed frame is valid on a compressed connection, too (RFC 7692 section 6).

    Args:
        opcode: ``TEXT``, ``BINARY`` or ``CLOSE``.
        payload: any number of bytes; those of a text frame are UTF-8.
    """
    size = len(payload)
    if size < 126:
        return bytes((_FINAL | opcode, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", _FINAL | opcode, 126, size) + payload
    return struct.pack("!BBQ", _FINAL | opcode, 127, size) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame (RFC 6455 section 5.5.1).

    >>> close_frame(1013)
    b'\\x88\\x02\\x03\\xf5'

    Args:
        code: one that may be sent.
        reason: at most 123 bytes of UTF-8.
    """
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())
