"""Conflicts of live rooms: patterns of two that match one name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations, islice, product
from typing import NamedTuple

from .live_room import LiveRoom
from .pattern import RoomPattern
from .room_registry import live_rooms

__all__ = ["Conflict", "conflicts"]

#: One value at least for each of Django's converters, and for most of other people's.
_SAMPLES = ("7", "x", "x-7", "x/7", "2024", "2024-12-31", "true", "00000000-0000-0000-0000-000000000000")
_MAX_NAMES = 2000  # that are tried of one pattern with another
_WORD = re.compile(r"\w+")


class Conflict(NamedTuple):
    """Two live rooms whose patterns match one name.

    Attributes:
        name: an example, or the pattern where no example was found of what must be equal.
    """

    one: LiveRoom
    other: LiveRoom
    name: str


def conflicts() -> list[Conflict]:
    """The conflicts between the live rooms of every FastWS.

    Examples are tried: patterns that meet only in names which nobody thinks of are not found.
    """
    found = []
    for one, other in combinations(live_rooms(), 2):
        name = _common_name(one.names, other.names)
        if name is not None:
            found.append(Conflict(one, other, name))
    return found


def _common_name(one: RoomPattern, other: RoomPattern) -> str | None:
    for pattern, against in ((one, other), (other, one)):
        for name in islice(_names(pattern, against), _MAX_NAMES):
            if against.match(name) is not None and pattern.match(name) is not None:
                return name
    return one.text if one.shape == other.shape else None


def _names(pattern: RoomPattern, against: RoomPattern) -> Iterator[str]:
    """Names that a pattern matches, made of samples and of the words of another."""
    words = [word for part in against.path.parts if isinstance(part, str) for word in (*_WORD.findall(part), part)]
    samples = [
        [text for text in dict.fromkeys((*words, *_SAMPLES)) if regex.fullmatch(text)]
        for regex in pattern.regexes.values()
    ]
    names = list(pattern.regexes)
    for values in product(*samples):
        yield pattern.path.fill(dict(zip(names, values, strict=True)))
