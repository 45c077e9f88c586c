"""The hub: who is in which room, in this process and event loop, and the fan-out of what arrives for them.

A room is one subscription of the layer however many members it has here, and none when it has none.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any

from .. import metrics
from .._core.envelope import BROADCAST, Envelope
from .._core.groups import group_name
from .._core.history_checks import is_history_check
from .._core.ids import Ids
from .._core.json import dumps
from .._core.kicks import decode_kick
from .._core.latest_values import LatestValues
from .._core.messages import Payload, StoredPayload, VolatilePayload
from .._core.positions import Position
from .._core.presence_payloads import PresencePayload
from .._core.room_events import EventPayload, KeyedPayload
from ..exceptions import WebSocketConnectionError, check_close
from ..loops import PerLoop
from .held_broadcasts import HeldBroadcasts
from .histories import Histories
from .latest_rooms import LatestRooms
from .local_room import LocalEventRoom, LocalRoom, Member
from .presence_reporter import current_presence
from .presence_rooms import PresenceRoom, PresenceRooms
from .recent_events import RecentEvent
from .room_traces import note_arrival
from .scheduler import FanOutScheduler
from .subscriptions import Subscriptions

__all__ = ["Hub", "current_hub", "ids"]

logger = logging.getLogger("django_fastws.rooms")

_CATCH_UP_SECONDS, _CATCH_UP_POLL_SECONDS = 2.0, 0.005

#: The ids of sockets.
ids: Ids[Any] = Ids()


class Hub:
    """The rooms of one event loop that have members there."""

    def __init__(self) -> None:
        #: By group: the members that get broadcasts as they are, and those that get them as events.
        self._rooms: dict[str, LocalRoom] = {}
        self._event_rooms: dict[str, LocalEventRoom] = {}
        self._histories = Histories(self._deliver, self._lost, lambda group: self._subscriptions.is_subscribed(group))
        self._latest = LatestRooms(self._deliver)
        self._presence = PresenceRooms(self._deliver_presence)
        self._subscriptions = Subscriptions(self.deliver, what="a room", logger=logger, on_restored=self._restored)
        self._scheduler = FanOutScheduler(self._subscriptions)
        self._has_failed = self._has_failed_binary = False
        self._lag = metrics.layer_lag_seconds.cell()

    async def join(self, member: Member, name: str, held: HeldBroadcasts | None = None) -> None:
        """Add a member; returns when it cannot miss a broadcast any more. Joining twice is joining once.

        Args:
            held: holds what is sent to a new member, until ``repost()``.
        Raises:
            WebSocketConnectionError: the layer cannot be reached; the member is not in the room.
        """
        group = group_name(name)
        room = self._room_for(member, group, name)
        if self._subscriptions.is_ready(group) and self._histories.is_open(group):
            room.add(member, held=held)
        else:
            join = object()
            room.add(member, join, held)
            try:
                await self._subscriptions.subscribe(group)
                await self._histories.open(group)
            except BaseException:
                room.has_not_joined(member, join)
                if self._is_over(room):
                    self._subscriptions.release(group)
                raise
            room.has_joined(member, join)

    def position(self, member: Member, name: str) -> Position | None:
        """Position of the last broadcast that a member would not get if it joined now; None without a history."""
        group = group_name(name)
        room, newest = self._find(member, group), self._histories.position(group)
        return None if room is None or newest is None else room.position(newest)

    async def caught_up(self, member: Member, name: str, since: Position) -> bool:
        """Wait until a member's room has come to a position that the member had from another process.

        Returns:
            False if the room's history has no such position, or it does not come in time.
        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        group, ends = group_name(name), time.monotonic() + _CATCH_UP_SECONDS
        await self._histories.checked(group)
        newest = self._histories.position(group)
        if newest is None or newest.epoch != since.epoch or newest.offset < since.offset:
            return False
        while (now := self.position(member, name)) is not None and now.epoch == since.epoch:
            if now.offset >= since.offset:
                return True
            if time.monotonic() >= ends:
                break
            await asyncio.sleep(_CATCH_UP_POLL_SECONDS)  # until a fan-out has taken up what has arrived
        return False

    async def missed(self, name: str, since: Position, now: Position) -> list[RecentEvent] | None:
        """The stored events between two positions in a room that has members here; see ``RecentEvents.between``.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        return await self._histories.missed(group_name(name), since, now)

    def event_payload(self, name: str, event: RecentEvent) -> EventPayload | None:
        """A stored event for the live members of a room that has such here, made once; None for one of bytes."""
        if event.payload is None and (room := self._event_rooms.get(group_name(name))) is not None:
            event.payload = room.payload(event.envelope)
        return event.payload

    def seen(self, name: str, values: LatestValues) -> None:
        """A live member of a keyed room begins with these values."""
        self._latest.seen(group_name(name), values)

    def presence(self, name: str) -> PresenceRoom | None:
        """Who is present in a room that has members here; None if it is declared without presence."""
        return self._presence.find(name)

    def _deliver_presence(self, group: str, payload: PresencePayload) -> None:
        room = self._event_rooms.get(group)
        if room is not None:
            self._scheduler.add(room, payload, None)

    def _lost(self, group: str) -> None:
        """Stored broadcasts of a room were lost: its live members get the state, which has them."""
        if (event_room := self._event_rooms.get(group)) is not None:
            self._scheduler.finish(event_room)
            self._scheduler.drop_stored(event_room)
        for room in (self._rooms.get(group), self._event_rooms.get(group)):
            for member in list(room.members) if room is not None else ():
                member.lost()

    def _room_for(self, member: Member, group: str, name: str) -> LocalRoom:
        room = self._find(member, group)
        if room is not None:
            return room
        if group not in self._rooms and group not in self._event_rooms:
            self._histories.begin(group, name)
            self._latest.begin(group, name)
            self._presence.begin(group, name)
        if member.takes_events:
            room = self._event_rooms[group] = LocalEventRoom(group, name)
        else:
            room = self._rooms[group] = LocalRoom(group, name)
        return room

    def _find(self, member: Member, group: str) -> LocalRoom | None:
        return (self._event_rooms if member.takes_events else self._rooms).get(group)

    def has(self, member: Member, name: str) -> bool:
        """Whether it is in a room, or about to be."""
        room = self._find(member, group_name(name))
        return room is not None and member in room.members

    def local_rooms(self) -> list[LocalRoom]:
        """The rooms that have members here: those who get events are in one of their own, of the same name."""
        return [*self._rooms.values(), *self._event_rooms.values()]

    def local_rooms_of(self, name: str) -> list[LocalRoom]:
        """Those of one name: up to two, with members of either kind, those among them whose join goes on."""
        group = group_name(name)
        rooms = (self._rooms.get(group), self._event_rooms.get(group))
        return [room for room in rooms if room is not None]

    def newest_position(self, name: str) -> Position | None:
        """Position of the last stored broadcast that has arrived here; None without members, or a history."""
        return self._histories.position(group_name(name))

    def repost(self, member: Member, name: str, *, is_behind: bool = False) -> None:
        """Ask a member for its ``post`` again: what is sent from now on goes there; see ``LocalRoom.repost``."""
        room = self._find(member, group_name(name))
        if room is not None:
            room.repost(member, is_behind=is_behind)

    def told_at(self, member: Member, name: str) -> float:
        """When a member that gets events last got one of a room, or before that, by ``time.perf_counter()``.

        Minus infinity before the first, and for who is not in the room.
        """
        room = self._event_rooms.get(group_name(name))
        return room.told_at(member) if room is not None and member in room.members else -math.inf

    async def leave(self, member: Member, name: str) -> None:
        """Remove a member; returns when the room's subscription, if it was the last one, is given back."""
        room = self._find(member, group_name(name))
        if room is not None and member in room.members:
            room.remove(member)
            if not room.members and self._is_over(room):
                try:
                    await self._subscriptions.unsubscribe(room.group)
                except WebSocketConnectionError as error:
                    logger.warning("Left a room here, but: %s", error)

    def drop(self, member: Member, names: set[str]) -> None:
        """Remove a member from these rooms at once; subscriptions are given back soon. Never raises."""
        for name in names:
            room = self._find(member, group_name(name))
            if room is not None:
                room.remove(member)
                if not room.members and self._is_over(room):
                    self._subscriptions.release(room.group)

    def _is_over(self, room: LocalRoom) -> bool:
        """Whether a room has just lost its last member of either kind; a local room without members is removed."""
        group = room.group
        rooms: dict[str, Any] = self._event_rooms if isinstance(room, LocalEventRoom) else self._rooms
        if room.members or rooms.get(group) is not room:
            return False
        del rooms[group]
        if group in self._rooms or group in self._event_rooms:
            return False
        self._histories.end(group)
        self._latest.end(group)
        self._presence.end(group)
        return True

    async def settled(self) -> None:
        """Wait until every subscription that is not needed any more is given back."""
        await self._subscriptions.settled()

    def deliver(self, envelope: Envelope) -> None:
        """Queue a broadcast for the members here. Never raises: this is called by the broker."""
        if envelope.published:
            self._lag.observe(max(0.0, time.time() - envelope.published))
        if envelope.presence is not None:
            self._presence.receive(envelope.room, envelope.presence)
        elif envelope.keyed is not None:
            if not self._latest.receive(envelope):
                self._deliver(envelope)
        elif envelope.position is None or not self._histories.receive(envelope):
            self._deliver(envelope)

    def _restored(self) -> None:
        """Broadcasts may have been missed."""
        self._histories.check_all()
        self._latest.check_all()
        current_presence().restored()
        self._presence.restored()

    def _deliver(self, envelope: Envelope) -> None:
        group = envelope.room
        room = self._rooms.get(group)
        try:
            if envelope.kind != BROADCAST:
                self._take_control(envelope)
                return
            if room is not None:
                payload = _payload(envelope)
                self._scheduler.add(room, payload, envelope.exclude)
                if envelope.trace is not None:
                    note_arrival(room, payload, envelope.trace)
            if self._event_rooms and (event_room := self._event_rooms.get(group)) is not None:
                self._deliver_event(event_room, envelope)
        except Exception as error:
            # Any publisher of the layer can send anything: it is said once, and no traceback helps.
            if not self._has_failed:
                self._has_failed = True
                logger.warning("Ignoring broadcasts that are none: %s: %s", type(error).__name__, str(error)[:200])

    def _take_control(self, envelope: Envelope) -> None:
        if is_history_check(envelope):
            self._histories.check(envelope.room)
            return
        kick = decode_kick(envelope)
        if kick is None:
            return
        check_close(kick.code, kick.reason)
        for room in (self._rooms.get(envelope.room), self._event_rooms.get(envelope.room)):
            for member in list(room.members) if room is not None else ():
                if member.matches(kick.user, kick.client):
                    member.kick(kick.code, kick.reason)

    def _deliver_event(self, room: LocalEventRoom, envelope: Envelope) -> None:
        payload = room.payload(envelope)
        if payload is not None:
            self._scheduler.add(room, payload, envelope.exclude)
            if envelope.trace is not None:
                note_arrival(room, payload, envelope.trace)
        elif not self._has_failed_binary:
            self._has_failed_binary = True
            logger.warning("Live members do not get broadcasts of bytes, which have no JSON; sockets that joined do")


def _payload(envelope: Envelope) -> Payload:
    if envelope.keyed is not None:
        data = envelope.data if isinstance(envelope.data, bytes) else envelope.data.encode()
        return KeyedPayload(b"", envelope.keyed, data if envelope.is_json else dumps(envelope.data), None)
    if envelope.position is not None:
        return StoredPayload(envelope.data, envelope.position)
    return (VolatilePayload if envelope.is_volatile else Payload)(envelope.data)


_hubs = PerLoop(Hub)


def current_hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.get()
