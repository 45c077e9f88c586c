"""Declared rooms: what the declaration of a room demands of its broadcasts. Whoever declares rooms registers here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .._core.history import History
from .._core.latest import Latest

__all__ = ["DeclaredRoom", "declarations", "history_of", "latest_of"]


class DeclaredRoom(Protocol):
    """Declaration of the rooms that a name belongs to.

    Attributes:
        history: what each of them keeps; None is nothing.
        latest: how they are keyed; None where they are not.
    """

    history: History | None
    latest: Latest | None

    def check_broadcast(self, room: str, event: str | None, data: Any) -> None:
        """Check what is broadcast.

        Args:
            room: its name.
            event: the given one; None where none was given.
            data: as the caller gave it.
        Raises:
            TypeError: it cannot be broadcast there.
        """


class Declarations:
    """Finder of declarations, which whoever declares rooms sets.

    Attributes:
        find: the declaration of a room by its name, or None; it is called for every broadcast. None where no room is
            declared.
    """

    __slots__ = ("find",)

    def __init__(self) -> None:
        self.find: Callable[[str], DeclaredRoom | None] | None = None


declarations = Declarations()


def _declaration_of(room: str) -> DeclaredRoom | None:
    return None if declarations.find is None else declarations.find(room)


def history_of(room: str) -> History | None:
    """What a room keeps, by its name; None for nothing."""
    declared = _declaration_of(room)
    return None if declared is None else declared.history


def latest_of(room: str) -> Latest | None:
    """How a room is keyed, by its name; None where it is not."""
    declared = _declaration_of(room)
    return None if declared is None else declared.latest
