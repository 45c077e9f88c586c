"""Histories of the rooms that have members in an event loop: what each has had, and whether there is more."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import random
from collections import defaultdict
from collections.abc import Callable

from .._core.envelope import Envelope
from .._core.positions import Position
from ..conf import conf
from ..exceptions import WebSocketConnectionError
from ..tasks import BackgroundTasks
from .continuity import Continuity
from .histories_by_name import kept_history
from .recent_events import RecentEvent, RecentEvents
from .room_history import RoomHistory

__all__ = ["Histories"]

logger = logging.getLogger("django_fastws.rooms")

_JITTER = 0.2  # the part of the time between checks that is left to chance, so that processes do not ask all at once

_checks = BackgroundTasks(logger)


class _LocalHistory:
    """History of one room that has members here."""

    __slots__ = ("continuity", "recent")

    def __init__(self, continuity: Continuity, recent: RecentEvents) -> None:
        self.continuity = continuity
        self.recent = recent


class Histories:
    """Histories of the rooms of one event loop.

    A room that is quiet here may have missed the last of its broadcasts. So all are asked for their newest position
    every ``FASTWS_HISTORY_CHECK_SECONDS``, together, and after an outage.

    Args:
        deliver: called with each stored broadcast of a room, once, in order; must not raise.
        lost: called with a room's group where broadcasts were lost, before what comes after them; must not raise.
        is_subscribed: whether a room's group is subscribed to; if not, it is looked at when it is again.
    """

    def __init__(
        self,
        deliver: Callable[[Envelope], None],
        lost: Callable[[str], None],
        is_subscribed: Callable[[str], bool],
    ) -> None:
        self._deliver = deliver
        self._lost = lost
        self._is_subscribed = is_subscribed
        self._rooms: dict[str, _LocalHistory] = {}
        #: Events of rooms that have no members here any more, until they are forgotten: one who comes and goes all
        #: the time costs no read each time.
        self._left: dict[str, RecentEvents] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._check: asyncio.Task[None] | None = None
        #: Whether they have to be looked at, once more if that is going on.
        self._must_check = False

    def begin(self, group: str, name: str) -> None:
        """A room is about to have its first member here."""
        history = kept_history(name)
        if history is None:
            return
        recent = self._left.pop(group, None) or RecentEvents(history)
        recent.history = history

        def deliver(envelope: Envelope) -> None:
            recent.heard(envelope)
            self._deliver(envelope)

        def lost() -> None:
            recent.clear()
            self._lost(group)

        self._rooms[group] = _LocalHistory(Continuity(history, deliver, lost), recent)
        if self._timer is None:
            self._set_timer()

    def end(self, group: str) -> None:
        """A room has no members here any more."""
        room = self._rooms.pop(group, None)
        if room is not None:
            room.continuity.close()
            if room.recent.are_kept:
                self._left[group] = room.recent
                room.recent.forgotten = functools.partial(self._left.pop, group, None)
            if not self._rooms and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def is_open(self, group: str) -> bool:
        """Whether ``open()`` has nothing to do."""
        room = self._rooms.get(group)
        return room is None or room.continuity.position is not None

    async def open(self, group: str) -> None:
        """Find out where a room is that is subscribed to.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        room = self._rooms.get(group)
        if room is not None:
            await room.continuity.open()

    def position(self, group: str) -> Position | None:
        """Position of the last broadcast of a room that was delivered; None without a history."""
        room = self._rooms.get(group)
        return None if room is None else room.continuity.position

    def receive(self, envelope: Envelope) -> bool:
        """Take a stored broadcast as it arrives; False if its room has no history here."""
        room = self._rooms.get(envelope.room)
        if room is None:
            return False
        room.continuity.receive(envelope)
        return True

    def check(self, group: str) -> None:
        """Look whether a room's history has what has not arrived."""
        room = self._rooms.get(group)
        if room is not None:
            room.continuity.check()

    async def checked(self, group: str) -> None:
        """Wait until a room has what its history has now.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        room = self._rooms.get(group)
        if room is not None:
            await room.continuity.checked()

    def check_all(self) -> None:
        """Look at all of them: broadcasts may have been missed."""
        self._must_check = bool(self._rooms)
        if self._check is None and self._rooms:
            self._check = _checks.start(self._check_all())

    async def missed(self, group: str, since: Position, now: Position) -> list[RecentEvent] | None:
        """The stored events of a room between two positions; see ``RecentEvents.between``.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        room = self._rooms.get(group)
        return None if room is None else await room.recent.between(since, now)

    async def _check_all(self) -> None:
        try:
            while self._must_check:
                self._must_check = False
                by_kind: defaultdict[type[RoomHistory], list[Continuity]] = defaultdict(list)
                for group, room in self._rooms.items():
                    if self._is_subscribed(group):  # else it would only be waited for a server that is away
                        by_kind[type(room.continuity.history)].append(room.continuity)
                await asyncio.gather(*(self._check_some(kind, rooms) for kind, rooms in by_kind.items()))
        finally:
            self._check = None

    async def _check_some(self, kind: type[RoomHistory], rooms: list[Continuity]) -> None:
        try:
            pages = await kind.atops([room.history for room in rooms])
        except WebSocketConnectionError as error:  # it is asked again when the layer is back
            logger.debug("Histories cannot be looked at: %s", error)
            return
        # What has arrived before the answer does not make it a hole.
        for room, page in zip(rooms, pages, strict=True):
            if page is not None:
                room.found(page)

    def _set_timer(self) -> None:
        delay = conf.history_check_seconds * random.uniform(1 - _JITTER, 1)
        loop = asyncio.get_running_loop()
        # In no context: the one here is of some socket, with its thread.
        self._timer = loop.call_later(delay, self._due, context=contextvars.Context())

    def _due(self) -> None:
        if self._check is None:
            self.check_all()
        self._set_timer()
