"""Declared rooms: what the declaration of a room demands of its broadcasts. Whoever declares rooms registers here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .._core.history import History
from .._core.latest import Latest
from .._core.present import Presence

__all__ = ["DeclaredRoom", "declarations", "history_of", "latest_of", "pattern_of", "presence_of"]


class DeclaredRoom(Protocol):
    """Declaration of the rooms that a name belongs to.

    Attributes:
        pattern: of their names.
        history: what each of them keeps; None is nothing.
        latest: how they are keyed; None where they are not.
        presence: how they know who is in them; None where they do not.
    """

    @property
    def pattern(self) -> str: ...

    history: History | None
    latest: Latest | None
    presence: Presence | None

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


def pattern_of(room: str) -> str:
    """The pattern that a room is declared by, by its name; "" where it is not declared."""
    declared = _declaration_of(room)
    return "" if declared is None else declared.pattern


def history_of(room: str) -> History | None:
    """What a room keeps, by its name; None for nothing."""
    declared = _declaration_of(room)
    return None if declared is None else declared.history


def latest_of(room: str) -> Latest | None:
    """How a room is keyed, by its name; None where it is not."""
    declared = _declaration_of(room)
    return None if declared is None else declared.latest


def presence_of(room: str) -> Presence | None:
    """How a room knows who is in it, by its name; None where it does not."""
    declared = _declaration_of(room)
    return None if declared is None else declared.presence
