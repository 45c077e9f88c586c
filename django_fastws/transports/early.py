"""Early data on daphne: frames that came in one read with the handshake, and lie in the HTTP channel that is over."""

from __future__ import annotations

from typing import Any

__all__ = ["take_early_data"]


def take_early_data(producer: Any) -> bytes:
    """Take from Twisted's HTTP channel what it has read behind a handshake.

    The channel takes it for the next request, which it keeps for after this one; and over more than 16 kB of that it
    pauses the reading. Daphne asks for none of it.

    Args:
        producer: of the transport: the channel, with TLS in a wrapper. Of another one, nothing is taken.
    """
    channel = getattr(producer, "_producer", producer)
    held = getattr(channel, "_dataBuffer", None)
    if not isinstance(held, list) or not all(isinstance(piece, bytes) for piece in held):
        return b""
    channel._dataBuffer = []
    return b"".join(held)
