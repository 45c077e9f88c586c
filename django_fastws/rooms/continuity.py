"""Continuity of a room with history: its stored broadcasts reach this process each once, in order, without holes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from .. import metrics
from .._core.backoff import delays
from .._core.envelope import Envelope
from .._core.history_page import HistoryPage, PageQuery
from .._core.positions import Position
from ..exceptions import WebSocketConnectionError
from ..tasks import BackgroundTasks
from .room_history import RoomHistory

__all__ = ["Continuity"]

logger = logging.getLogger("django_fastws.rooms")

#: Broadcasts that wait while the history is read; of more, the oldest are dropped, for it is read once more then.
_MOST_WAITING = 1000

_repairs = BackgroundTasks(logger)


class Continuity:
    """Continuity of one room in one event loop.

    What arrives is passed on as long as each offset follows the last. What was had is passed over. Where there is a
    hole, the history is read, and what is missing comes in order before anything else. What the history has not any
    more, or what another epoch has replaced, is lost: that is told, and it goes on behind it.

    Args:
        history: of the room.
        deliver: called with each stored broadcast, in order; must not raise.
        lost: called when a hole cannot be filled, before anything that comes after it; must not raise.
    """

    __slots__ = (
        "_deliver",
        "_is_closed",
        "_lost",
        "_must_look",
        "_repair",
        "_waiting",
        "history",
        "position",
    )

    def __init__(self, history: RoomHistory, deliver: Callable[[Envelope], None], lost: Callable[[], None]) -> None:
        self.history = history
        self._deliver = deliver
        self._lost = lost
        #: Of the last broadcast that was passed on, or before the first; None until that is known.
        self.position: Position | None = None
        self._waiting: deque[Envelope] = deque(maxlen=_MOST_WAITING)
        self._repair: asyncio.Task[WebSocketConnectionError | None] | None = None
        #: The history has to be read, once more if it is read now: what that must find may have come after it.
        self._must_look = False
        self._is_closed = False

    async def open(self) -> None:
        """Find out where the room is; the room is subscribed to by now.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        while self.position is None and not self._is_closed:
            error = await self._ended(self._start())
            if error is not None:
                raise error

    def receive(self, envelope: Envelope) -> None:
        """Take a stored broadcast as it arrives."""
        if self._repair is not None:
            self._waiting.append(envelope)
        elif self.position is not None and self._is_before_hole(envelope, self.position):
            self._start()  # it is in the history, too

    def check(self) -> None:
        """Look whether the history has more than has arrived."""
        if not self._is_closed and (self.position is not None or self._repair is not None):
            self._must_look = True
            self._start()

    async def checked(self) -> None:
        """Wait until everything was passed on that the history has now, or is lost.

        Raises:
            WebSocketConnectionError: the layer cannot be reached, and the room was not opened yet.
        """
        if self._repair is not None:  # which may have read before
            await self._ended(self._repair)
        if not self._is_closed:
            await self._ended(self._start())

    def found(self, page: HistoryPage) -> None:
        """The history was asked for its newest position: repair what that shows to be missing.

        The room may have lost its members meanwhile, and have others by now, with a continuity of their own.
        """
        last = self.position
        if last is not None and (page.epoch != last.epoch or page.top > last.offset):
            self.check()

    def close(self) -> None:
        """The room has no members here any more: nothing is passed on, though it may have members again by then."""
        self._is_closed = True
        if self._repair is not None:
            self._repair.cancel()

    def _is_before_hole(self, envelope: Envelope, last: Position) -> bool:
        """Pass a broadcast on if it is the next, and over if it was had; True if something is missing before it."""
        position = envelope.position
        assert position is not None
        if position.epoch != last.epoch or position.offset > last.offset + 1:
            return True
        if position.offset > last.offset:
            self.position = position
            self._deliver(envelope)
        return False

    def _start(self) -> asyncio.Task[WebSocketConnectionError | None]:
        if self._repair is None:
            self._repair = _repairs.start(self._run())
        return self._repair

    @staticmethod
    async def _ended(repair: asyncio.Task[WebSocketConnectionError | None]) -> WebSocketConnectionError | None:
        """Wait for a repair, which others wait for, too; returns its error. It may have been cancelled."""
        await asyncio.wait([repair])
        return None if repair.cancelled() else repair.result()

    async def _run(self) -> WebSocketConnectionError | None:
        """Open it, or repair it; returns the error for which it could not be opened."""
        try:
            if self.position is None:
                page = await self.history.aread_here(PageQuery(limit=0))
                self.position = Position(page.epoch, page.top)
            else:
                self._must_look = True
            while self._must_look or self._has_hole():
                self._must_look = False
                await self._fill(self.position)
        except WebSocketConnectionError as error:
            return error
        finally:
            self._repair = None
            self._waiting.clear()
        return None

    def _has_hole(self) -> bool:
        """Pass on what has arrived meanwhile; True if something is missing before the rest."""
        while self._waiting:
            assert self.position is not None
            if self._is_before_hole(self._waiting.popleft(), self.position):
                return True
        return False

    async def _fill(self, last: Position) -> None:
        """Read what is missing after a position, and pass it on."""
        is_counted = False
        while True:
            page = await self._read(last)
            if page.epoch == last.epoch and page.top == last.offset:
                return
            if not is_counted:
                is_counted = True
                metrics.history_repairs.add()
            if page.epoch != last.epoch or not self._passed_on(page, last):
                self.position = Position(page.epoch, page.top)
                self._lost()
                return
            assert self.position is not None
            last = self.position

    def _passed_on(self, page: HistoryPage, last: Position) -> bool:
        """Pass on what was read, as far as it follows a position; False if it does not."""
        if page.top < last.offset or not page.stored or page.stored[0].offset != last.offset + 1:
            return False
        for stored in page.stored:
            assert self.position is not None
            if stored.offset == self.position.offset + 1:
                self._is_before_hole(stored.envelope, self.position)
        return True

    async def _read(self, last: Position) -> HistoryPage:
        """Read what follows a position, as often as it takes."""
        pauses = delays(base=1.5)
        while True:
            self._waiting.clear()  # whatever has arrived is in what is read now
            try:
                return await self.history.aread_here(PageQuery(after=last.offset))
            except WebSocketConnectionError as error:
                logger.debug("The history of a room cannot be read, which is retried: %s", error)
                await asyncio.sleep(next(pauses))
