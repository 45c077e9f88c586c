"""Positions in the history of a room: ``epoch:offset``."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Position"]

_POSITION = re.compile(r"([0-9A-Za-z]{1,32}):(0|[1-9][0-9]{0,14})")


class Position(NamedTuple):
    """Position in the history of a room: the event that is the last one had.

    As text it is ``epoch:offset``. Positions are compared within an epoch only.

    Attributes:
        epoch: names the history; another one does not continue it.
        offset: of the event, 1 for the first and one more for each that is stored; 0 is before the first.
    """

    epoch: str
    offset: int

    @classmethod
    def parse(cls, text: object) -> Position | None:
        """Read the text of a position; None for what is none, also for what is no str, such as a parameter left out.

        >>> Position.parse("4f1c:171")
        Position(epoch='4f1c', offset=171)
        >>> Position.parse("171") is None
        True
        """
        found = _POSITION.fullmatch(text) if isinstance(text, str) else None
        return None if found is None else cls(found[1], int(found[2]))

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"
