"""Room names, which may be any string, as channel-layer group names, which may not."""

from __future__ import annotations

import hashlib
import re

__all__ = ["group_name"]

_PLAIN = re.compile(r"[A-Za-z0-9\-_.]{1,60}")


def group_name(room: str) -> str:
    """Turn a room's name into a name that every channel layer takes.

    A short plain name stays readable; any other is hashed. The two kinds cannot meet, and two rooms share a
    group only if SHA-256 collides.

    >>> group_name("lobby")
    'fastws.n.lobby'
    >>> len(group_name("größe ✓"))
    73

    Raises:
        TypeError: the name is not a str.
    """
    if not isinstance(room, str):
        raise TypeError(f"a room's name is a str, not {type(room).__name__}")
    if _PLAIN.fullmatch(room):
        return f"fastws.n.{room}"
    return f"fastws.h.{hashlib.sha256(room.encode('utf-8', 'surrogatepass')).hexdigest()}"
