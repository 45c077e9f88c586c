"""Compression of what a transport sends, in the place of the server's library, on whose inside it relies."""

from __future__ import annotations

from typing import Any

from .._core.deflate import Deflater
from ..conf import conf

__all__ = ["shared_deflater", "take_over"]

#: Where a library's object for the extension has what was agreed on, and its compressor: whether no message refers to
#: one before it, the size of the window, the compressor itself.
_NAMES = (
    ("local_no_context_takeover", "local_max_window_bits", "encoder"),  # of websockets
    ("server_no_context_takeover", "server_max_window_bits", "_compressor"),  # of wsproto
)
_deflaters: dict[tuple[int, ...], Deflater] = {}


def shared_deflater(window_bits: int) -> Deflater:
    """The compressor of all sockets for which so large a window was agreed on, or one as the settings have it."""
    bits = min(window_bits, conf.deflate_window_bits)
    settings = (bits, conf.deflate_level, conf.deflate_memory_level, conf.deflate_least_bytes)
    found = _deflaters.get(settings)
    if found is None:
        found = _deflaters[settings] = Deflater(*settings)
    return found


def take_over(extension: Any) -> Deflater | None:
    """Compress in the place of a library; None where its inside is not what is known.

    What the library itself sends from now on refers to nothing before it: a client's window has that of others
    between. Its compressor, with a window for each socket, is let go.
    """
    for no_takeover, window_bits, compressor in _NAMES:
        known = vars(extension)
        bits = getattr(extension, window_bits, None)
        if no_takeover in known and isinstance(bits, int):
            setattr(extension, no_takeover, True)
            if compressor.startswith("_"):
                setattr(extension, compressor, None)
            else:
                known.pop(compressor, None)
            return shared_deflater(bits)
    return None
