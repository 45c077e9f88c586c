"""Position of a room for a page, which is rendered whether the channel layer is there or not."""

from __future__ import annotations

import logging
import threading
import time

from .._core.forks import reset_in_child
from .._core.history_page import PageQuery
from .._core.positions import Position
from ..exceptions import WebSocketConnectionError
from .histories_by_name import declared_history
from .on_commit import check_no_loop
from .room import Room

__all__ = ["page_position"]

logger = logging.getLogger("django_fastws.rooms")

#: How long a page waits for the layer; and while that is away, how long the next ones do not ask.
PAGE_SECONDS = 1.0


class _Asking:
    """Who asks a layer that is away: one page in a while, and the others go on without a position."""

    def __init__(self) -> None:
        self.reset()
        reset_in_child(self)

    def reset(self) -> None:
        """Begin anew in a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()
        self._again_at = 0.0
        self._is_told = False

    def may_ask(self) -> bool:
        """Whether this page is to ask; while the layer is away, none else does for a while then."""
        if not self._is_told:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._again_at:
                return False
            self._again_at = now + PAGE_SECONDS
            return True

    def failed(self, room: str, error: Exception) -> None:
        """It was not answered: that is logged once, until it is again."""
        with self._lock:
            self._again_at = time.monotonic() + PAGE_SECONDS
            is_told, self._is_told = self._is_told, True
        if not is_told:
            logger.warning(
                "A page has no position of room %r, and its clients get the state; so do the next: %s", room, error
            )

    def answered(self) -> None:
        """It was answered."""
        self._is_told = False


#: Of the channel layer, and of the database.
_asking = {False: _Asking(), True: _Asking()}


def page_position(room: Room) -> str:
    """Position of a room's newest event, as text; "" while the layer cannot be reached, and where it has no history.

    Such a page costs a second at most, once a second. What is said of the layer holds for the database, if that keeps
    the history; but how long it takes to answer, its own settings bound.

    Raises:
        HistoryUnavailable: the room is declared without a history, or not at all.
        WebSocketStateError: this thread runs an event loop, which would be blocked.
    """
    check_no_loop("the position of a page", "room.aposition()")
    history = declared_history(room.name)
    asking = _asking[history.history.database]
    if not history.is_kept or not asking.may_ask():
        return ""
    try:
        page = history.read(PageQuery(limit=0), seconds=PAGE_SECONDS)
    except WebSocketConnectionError as error:
        asking.failed(room.name, error)
        return ""
    asking.answered()
    return str(Position(page.epoch, page.top))
