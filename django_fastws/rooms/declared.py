"""Declared rooms: what the declaration of a room demands of its broadcasts. Whoever declares rooms registers here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["DeclaredRoom", "check_broadcast", "register_finder"]


class DeclaredRoom(Protocol):
    """Declaration of the rooms that a name belongs to."""

    def check_broadcast(self, room: str, event: str | None, data: Any) -> None:
        """Check what is broadcast.

        Args:
            room: its name.
            event: the given one; None where none was given.
            data: as the caller gave it.
        Raises:
            TypeError: it cannot be broadcast there.
        """


_find: Callable[[str], DeclaredRoom | None] | None = None


def register_finder(find: Callable[[str], DeclaredRoom | None]) -> None:
    """Have a function find the declaration of a room by its name; it gives None where there is none."""
    global _find
    _find = find


def check_broadcast(room: str, event: str | None, data: Any) -> None:
    """Check a broadcast against the declaration of its room, if there is one.

    Raises:
        TypeError: it cannot be broadcast there.
    """
    if _find is not None and (declared := _find(room)) is not None:
        declared.check_broadcast(room, event, data)
