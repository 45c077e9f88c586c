"""Registry of live rooms: which one a name belongs to, and which patterns match one name."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..rooms import declarations
from ..routing import registry
from .live_room import LiveRoom

__all__ = ["find", "live_rooms"]


def live_rooms() -> list[LiveRoom]:
    """The live rooms of every FastWS, in the order of declaration."""
    return registry.rooms


class _Table:
    """Live rooms by name, made anew when one is declared."""

    def __init__(self) -> None:
        self._version = -1
        self._plain: dict[str, LiveRoom] = {}
        self._others: list[LiveRoom] = []

    def find(self, name: str) -> tuple[LiveRoom, dict[str, Any]] | None:
        if self._version != registry.version:
            self._build()
        if (plain := self._plain.get(name)) is not None:
            return plain, {}
        for room in self._others:
            if (params := room.match(name)) is not None:
                return room, params
        return None

    def _build(self) -> None:
        version, rooms = registry.version, live_rooms()
        self._plain = {room.pattern: room for room in reversed(rooms) if not room.names.names}
        hidden = [make() for make in registry.hidden_rooms]
        self._others = [room for room in (*hidden, *rooms) if room.names.names]
        self._version = version


_table = _Table()


@lru_cache(maxsize=4096)
def _declaration(name: str) -> LiveRoom | None:
    found = _table.find(name)
    return None if found is None else found[0]


declarations.find = _declaration
registry.on_change.append(_declaration.cache_clear)


def find(name: str) -> tuple[LiveRoom, dict[str, Any]] | None:
    """The live room that a name belongs to, and its parameters, converted; None if none is declared for it.

    Of two that match, which the system checks report, one without parameters goes before the one declared first.
    """
    return _table.find(name)
