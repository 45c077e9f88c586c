"""Histories by the names of rooms: the one place that knows where each is kept."""

from __future__ import annotations

from .._core.history import History
from ..exceptions import HistoryUnavailable
from .database_history import DatabaseHistory
from .declared import history_of
from .room_history import LayerHistory, RoomHistory

__all__ = ["declared_history", "kept_history", "room_history"]


def room_history(room: str, history: History) -> RoomHistory:
    """The history of a room, by its name and what it keeps."""
    return (DatabaseHistory if history.database else LayerHistory)(room, history)


def kept_history(room: str) -> RoomHistory | None:
    """The history of a room, by its name; None if it is declared without one, or there is none here."""
    history = history_of(room)
    found = None if history is None else room_history(room, history)
    return found if found is not None and found.is_kept else None


def declared_history(room: str) -> RoomHistory:
    """The history of a room, by its name.

    Raises:
        HistoryUnavailable: it is declared without one, or not at all.
    """
    history = history_of(room)
    if history is None:
        raise HistoryUnavailable(
            f"room {room!r} has no history: declare it, app.room(..., history=History(messages=500))"
        )
    return room_history(room, history)
