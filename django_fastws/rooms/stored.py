"""Stored events of a room with history, for server code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .._core.history_page import HistoryPage, PageQuery, StoredEnvelope
from .._core.json import loads
from .._core.positions import Position
from .._core.room_events import DEFAULT_EVENT
from ..exceptions import HistoryUnavailable
from .histories_by_name import declared_history

__all__ = ["HISTORY_EVENTS", "HistoryReader", "Stored"]

#: How many events are read, unless the caller says otherwise.
HISTORY_EVENTS = 100


@dataclass(frozen=True, slots=True)
class Stored:
    """Event of a room's history.

    Attributes:
        position: in the history; its text is what clients know as ``at``.
        event: its name; "message" where the broadcast named none.
        data: as JSON has it; of a broadcast of text or bytes, that.
        at: when it was stored, in UTC.
    """

    position: Position
    event: str
    data: Any
    at: datetime


class HistoryReader:
    """Reader of one room's history: which part is asked for, and what comes of it.

    Args:
        name: of the room.
    Raises:
        HistoryUnavailable: the room has no history, or the channel layer keeps none.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.history = declared_history(name)
        if not self.history.is_kept:
            raise HistoryUnavailable(f"room {name!r} has no history here: {self.history.missing}")

    def query(self, limit: Any, before: Any, after: Any) -> PageQuery:
        """What is read for the arguments of ``Room.history``.

        Raises:
            TypeError, ValueError: one of them makes no sense.
        """
        if isinstance(limit, bool) or not isinstance(limit, int):
            raise TypeError(f"history(limit={limit!r}): the limit is a number of events")
        if limit < 1:
            raise ValueError(f"history(limit={limit}): the limit is at least 1")
        least, most = self._position("after", after), self._position("before", before)
        return PageQuery(
            after=None if least is None else max(least.offset, 0),  # before the first is before the first
            before=None if most is None else max(most.offset, 0),
            limit=min(limit, self.history.history.messages),
            most_bytes=self.history.history.bytes,
        )

    def _position(self, option: str, value: Any) -> Position | None:
        if value is None:
            return None
        position = Position.parse(value) if isinstance(value, str) else value
        if not isinstance(position, Position) or type(position.offset) is not int:
            raise ValueError(f"history({option}={value!r}): that is no position, such as {Position('e', 171)}")
        return position

    def stored(self, page: HistoryPage, before: Any, after: Any) -> list[Stored]:
        """The events of a page.

        Raises:
            HistoryUnavailable: a position is one of another epoch: what it names is not kept any more.
        """
        for option, value in (("before", before), ("after", after)):
            position = self._position(option, value)
            if position is not None and position.epoch != page.epoch:
                raise HistoryUnavailable(
                    f"room {self.name!r}, history({option}={str(position)!r}): "
                    f"the history has begun anew since then, in epoch {page.epoch!r}"
                )
        return [_stored(one, Position(page.epoch, one.offset)) for one in page.stored]


def _stored(one: StoredEnvelope, position: Position) -> Stored:
    envelope = one.envelope
    data = loads(envelope.data) if envelope.is_json else envelope.data
    return Stored(position, envelope.event or DEFAULT_EVENT, data, datetime.fromtimestamp(one.at, UTC))
