"""The hub: who is in which room, in this process and event loop, and the fan-out of what arrives for them.

A room is one subscription of the layer however many members it has here, and none when it has none.
"""

from __future__ import annotations

import logging
from typing import Any

from .. import metrics
from .._core.envelope import BROADCAST, Envelope
from .._core.groups import group_name
from .._core.ids import Ids
from .._core.messages import Payload
from ..exceptions import WebSocketConnectionError
from ..loops import PerLoop
from .local_room import LocalRoom, Member
from .scheduler import FanOutScheduler
from .subscriptions import Subscriptions

__all__ = ["Hub", "current_hub", "ids"]

logger = logging.getLogger("django_fastws.rooms")

#: The ids of sockets.
ids: Ids[Any] = Ids()


class Hub:
    """The rooms of one event loop that have members there."""

    def __init__(self) -> None:
        self._rooms: dict[str, LocalRoom] = {}
        self._subscriptions = Subscriptions(self.deliver, what="a room", logger=logger)
        self._scheduler = FanOutScheduler(self._subscriptions)
        self._has_failed = False

    async def join(self, member: Member, name: str) -> None:
        """Add a member; returns when it cannot miss a broadcast any more. Joining twice is joining once.

        Raises:
            WebSocketConnectionError: the layer cannot be reached; the member is not in the room.
        """
        group, join = group_name(name), object()
        room = self._rooms.get(group)
        if room is None:
            room = self._rooms[group] = LocalRoom(group)
        is_new = member not in room.members
        room.add(member, join)
        try:
            await self._subscriptions.subscribe(group)
        except BaseException:
            room.has_not_joined(member, join)
            if self._is_over(room):
                self._subscriptions.release(group)
            raise
        room.has_joined(member, join)
        if is_new:
            metrics.joins.add()

    def has(self, member: Member, name: str) -> bool:
        """Whether it is in a room, or about to be."""
        room = self._rooms.get(group_name(name))
        return room is not None and member in room.members

    async def leave(self, member: Member, name: str) -> None:
        """Remove a member; returns when the room's subscription, if it was the last one, is given back."""
        room = self._rooms.get(group_name(name))
        if room is not None and member in room.members:
            room.remove(member)
            if self._is_over(room):
                try:
                    await self._subscriptions.unsubscribe(room.group)
                except WebSocketConnectionError as error:
                    logger.warning("Left a room here, but: %s", error)

    def drop(self, member: Member, names: set[str]) -> None:
        """Remove a member from these rooms at once; subscriptions are given back soon. Never raises."""
        for name in names:
            room = self._rooms.get(group_name(name))
            if room is not None:
                room.remove(member)
                if self._is_over(room):
                    self._subscriptions.release(room.group)

    def _is_over(self, room: LocalRoom) -> bool:
        """Whether a room has just lost its last member; then it is removed."""
        if room.members or self._rooms.get(room.group) is not room:
            return False
        del self._rooms[room.group]
        return True

    async def settled(self) -> None:
        """Wait until every subscription that is not needed any more is given back."""
        await self._subscriptions.settled()

    def deliver(self, envelope: Envelope) -> None:
        """Queue a broadcast for the members here. Never raises: this is called by the broker."""
        room = self._rooms.get(envelope.room)
        if room is None or envelope.kind != BROADCAST:
            return
        try:
            self._scheduler.add(room, Payload(envelope.data), envelope.exclude)
        except Exception as error:
            # Any publisher of the layer can send anything: it is said once, and no traceback helps.
            if not self._has_failed:
                self._has_failed = True
                logger.warning("Ignoring broadcasts that are none: %s: %s", type(error).__name__, str(error)[:200])


_hubs = PerLoop(Hub)


def current_hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.get()
