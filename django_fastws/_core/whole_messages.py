"""Reader of whole messages (RFC 6455 section 5.2): of one masked frame each, as are nearly all that a server gets.

It stands in front of a parser that knows all of the protocol, and leaves everything else to that: control frames,
fragments, what is compressed or not all there, what is over a limit, and whatever is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

__all__ = ["ENDLESS", "frame_size", "is_plain", "read_messages"]

_TEXT, _BINARY = 0x81, 0x82  # first byte of a final frame without extension bits
_MASKED = 0x80
_DATA, _CONTROL = frozenset({0x0, 0x1, 0x2}), frozenset({0x8, 0x9, 0xA})  # opcodes

#: Size of what is no frame of a client's: nothing of it is known, nor what comes behind.
ENDLESS = sys.maxsize


def read_messages(
    data: bytes,
    start: int,
    add: Callable[[str | bytes], object],
    apply_mask: Callable[[bytes, bytes], bytes],
    limit: float,
    count: int,
    room: int,
) -> tuple[int, int]:
    """Read the whole messages that a client's bytes hold from a place on.

    It stops before a frame that is none, behind ``count`` of them, and behind the one that has filled ``room``.

    Args:
        data: what a client has sent.
        start: where a frame begins in it, outside of a fragmented message.
        add: called with each message, a str or bytes.
        apply_mask: XORs bytes with a key of four bytes, over and over.
        limit: most bytes of a message.
        count: most messages; at least 1.
        room: bytes of messages, however few they are, behind which it stops; at least 1.
    Returns:
        Where it has stopped, and the number of bytes in the messages.
    """
    taken, end_of_data = 0, len(data)
    while end_of_data - start >= 6:
        first = data[start]
        if first != _TEXT and first != _BINARY:
            break
        size, key = data[start + 1] - _MASKED, start + 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            key += wide
            size = int.from_bytes(data[start + 2 : key], "big")
            if size < (126 if wide == 2 else 65536):  # which has a shorter form, or is not all there
                break
        elif size < 0:  # not masked
            break
        body = key + 4
        end = body + size
        if end > end_of_data or size > limit:
            break
        payload = apply_mask(data[body:end], data[key:body])
        if first == _BINARY:
            add(payload)
        else:
            try:
                add(payload.decode())
            except UnicodeDecodeError:
                break
        start = end
        taken += size
        count -= 1
        if count <= 0 or taken >= room:
            break
    return start, taken


def frame_size(data: bytes, start: int) -> int:
    """Number of bytes of the frame that begins at a place, header and all; whatever frame it is.

    Returns:
        0 if it is not all there what says so; ``ENDLESS`` if it is no frame of a client's.
    """
    there = len(data) - start
    if there < 2:
        return 0
    opcode, size = data[start] & 0x0F, data[start + 1] - _MASKED
    if size < 0 or (opcode not in _DATA and (opcode not in _CONTROL or size > 125)):
        return ENDLESS
    if size < 126:
        return 6 + size
    wide = 2 if size == 126 else 8
    if there < 2 + wide:
        return 0
    return 6 + wide + int.from_bytes(data[start + 2 : start + 2 + wide], "big")


def is_plain(first: int) -> bool:
    """Whether a frame may be a whole message, as its first byte says."""
    return first in (_TEXT, _BINARY)
