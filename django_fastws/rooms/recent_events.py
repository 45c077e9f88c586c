"""Recent events of a room with history: kept for a moment, for all members that come back at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from itertools import islice

from .. import metrics
from .._core.envelope import Envelope
from .._core.history_page import PageQuery
from .._core.positions import Position
from .._core.room_events import EventPayload
from ..conf import conf
from ..exceptions import WebSocketConnectionError
from ..tasks import BackgroundTasks
from .room_history import RoomHistory

__all__ = ["RecentEvent", "RecentEvents"]

logger = logging.getLogger("django_fastws.rooms")

_KEPT_SECONDS = 5.0  # after they were last asked for
_SLACK = 64  # events that are read besides: others come back from a little earlier

_reads = BackgroundTasks(logger)


class RecentEvent:
    """Stored event.

    Attributes:
        offset: of its position.
        envelope: as it was stored.
        payload: for live members, made once for all.
    """

    __slots__ = ("envelope", "offset", "payload")

    def __init__(self, offset: int, envelope: Envelope) -> None:
        self.offset = offset
        self.envelope = envelope
        self.payload: EventPayload | None = None


class RecentEvents:
    """Recent events of one room in one event loop: one read of the history, and what arrives from then on.

    They are not kept before somebody asks for them, nor longer than a few seconds after the last who does, and no
    more of them than may wait for one socket.

    Args:
        history: of the room.
    """

    __slots__ = (
        "_bytes",
        "_epoch",
        "_events",
        "_forget",
        "_gone",
        "_meanwhile",
        "_read",
        "_since",
        "forgotten",
        "history",
    )

    def __init__(self, history: RoomHistory) -> None:
        self.history = history
        #: Without holes.
        self._events: deque[RecentEvent] = deque()
        self._bytes = 0
        #: Of the events; and up to which offset they are gone, or too many to be sent at once to who needs them.
        self._epoch, self._gone = "", 0
        self._read: asyncio.Task[WebSocketConnectionError | None] | None = None
        #: From where the first goes on, of those who wait for the read; and what has arrived since that has begun.
        self._since = 0
        self._meanwhile: list[Envelope] | None = None
        #: Forgets them; None while none are kept.
        self._forget: asyncio.TimerHandle | None = None
        #: Called when they are forgotten; must not raise.
        self.forgotten: Callable[[], object] = lambda: None

    def heard(self, envelope: Envelope) -> None:
        """An event of the room has arrived, in its order."""
        if self._meanwhile is not None:
            self._meanwhile.append(envelope)
        if self._forget is not None and envelope.position is not None:
            if envelope.position.epoch == self._epoch:
                self._add(envelope)
            else:  # the room was cleared while nobody was there
                self.clear()

    def clear(self) -> None:
        """Forget them: something of the room was lost, or nobody has asked for a while."""
        if self._forget is not None:
            self._forget.cancel()
        self._events.clear()
        self._bytes, self._gone, self._forget, self._meanwhile = 0, 0, None, None
        self.forgotten()

    async def between(self, since: Position, now: Position) -> list[RecentEvent] | None:
        """The events after a position, up to another, which is or was that of the last one that has arrived here.

        Returns:
            None if not all of them are kept, or they are too many for one socket.
        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        if since.epoch != now.epoch or since.offset > now.offset:
            return None
        if since.offset == now.offset:
            return []
        for reads_all in (False, True):
            found = self._find(since, now)
            if found is not None or self._are_gone(since):
                return found
            if self._read is None:
                self._since = since.offset
                self._read = _reads.start(self._fill(now, reads_all=reads_all))
            self._since = min(self._since, since.offset)
            error = await asyncio.shield(self._read)
            if error is not None:
                raise error
        return self._find(since, now)

    @property
    def are_kept(self) -> bool:
        """Whether they are of use to whoever comes back to the room, though nobody is there meanwhile."""
        return self._forget is not None

    def _find(self, since: Position, now: Position) -> list[RecentEvent] | None:
        events = self._events
        if self._forget is None or not events or self._epoch != now.epoch:
            return None
        first, last = events[0].offset, events[-1].offset
        if first > since.offset + 1 or last < now.offset:
            return None
        self._keep()
        return list(islice(events, since.offset + 1 - first, now.offset + 1 - first))

    def _are_gone(self, since: Position) -> bool:
        """Whether it is known that not all events after a position can be had: who asks again costs no read."""
        return self._forget is not None and self._epoch == since.epoch and since.offset < self._gone

    async def _fill(self, now: Position, *, reads_all: bool) -> WebSocketConnectionError | None:
        """Read them; returns the error for which they cannot be."""
        try:
            await asyncio.sleep(0)  # so that all who come back in this turn are served by this read
            meanwhile = self._meanwhile = []
            most = self.history.history.messages
            limit = most if reads_all else min(most, now.offset - self._since + _SLACK)
            query = PageQuery(limit=limit, most_bytes=2 * conf.send_buffer_bytes)  # as they are stored
            metrics.history_reads.add()
            page = await self.history.aread_here(query)
            if self._meanwhile is meanwhile and page.epoch == now.epoch:
                self.clear()
                self._keep()
                self._epoch = page.epoch
                for stored in page.stored:
                    self._add(stored.envelope)
                for envelope in meanwhile:
                    self._add(envelope)
                if reads_all:
                    self._gone = max(self._gone, self._events[0].offset - 1 if self._events else now.offset)
        except WebSocketConnectionError as error:
            return error
        finally:
            self._read = self._meanwhile = None
        return None

    def _keep(self) -> None:
        """Keep them for a while from now on."""
        if self._forget is not None:
            self._forget.cancel()
        self._forget = asyncio.get_running_loop().call_later(_KEPT_SECONDS, self.clear)

    def _add(self, envelope: Envelope) -> None:
        events, position = self._events, envelope.position
        assert position is not None
        if events and position.offset <= events[-1].offset:
            return
        if events and position.offset != events[-1].offset + 1:  # what lies between was not heard, or is no event
            events.clear()
            self._bytes = 0
        events.append(RecentEvent(position.offset, envelope))
        self._bytes += len(envelope.data)
        while self._bytes > conf.send_buffer_bytes and len(events) > 1:
            dropped = events.popleft()
            self._bytes -= len(dropped.envelope.data)
            self._gone = dropped.offset
