"""Page of a room's history, as a broker reads it."""

from __future__ import annotations

from typing import NamedTuple

from .envelope import Envelope

__all__ = ["HistoryPage", "PageQuery", "StoredEnvelope"]


class PageQuery(NamedTuple):
    """What is read of a history.

    Attributes:
        after, before: offsets; with ``after`` the events that are next to it are read, else the newest.
        limit: how many events at most; 0 reads the top alone.
        most_bytes: of the events; one is read, however large.
    """

    after: int | None = None
    before: int | None = None
    limit: int = 1000
    most_bytes: int = 1024 * 1024


class StoredEnvelope(NamedTuple):
    """Broadcast as it is kept.

    Attributes:
        offset: of its position.
        at: when it was stored, in seconds since 1970, by the clock of the store.
        envelope: with its position.
    """

    offset: int
    at: float
    envelope: Envelope


class HistoryPage(NamedTuple):
    """Part of a room's history, as it was at one moment.

    Attributes:
        epoch: of the history.
        top: offset of the newest event; 0 before the first.
        stored: the events, the oldest first. Before the first one there may be a hole; between them there is none,
            unless somebody has stored what nobody can decode.
    """

    epoch: str
    top: int
    stored: list[StoredEnvelope]
