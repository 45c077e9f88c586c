"""Membership of a live socket in one room: joining with its rules, events, leaving, and its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import metrics, tracing
from .._core import live_frames
from .._core.envelope import Envelope
from .._core.groups import group_name
from .._core.messages import Payload
from .._core.rates import Rate
from ..clock import process_clock
from ..exceptions import LiveError
from ..layer import get_broker
from ..rooms import begin_broadcast, count_joined
from ..tasks import BackgroundTasks
from .event_handler import EventHandler
from .join_rules import Counted, check_access, count_join, give_back
from .live_errors import logger, room_fields
from .live_room import LiveRoom
from .live_traces import begin_work
from .member_presence import MemberPresence
from .room_feed import RoomFeed

if TYPE_CHECKING:
    from .session import LiveSession

__all__ = ["Membership"]

_leaving = BackgroundTasks(logger)


class Membership(RoomFeed):
    """Membership of one live socket in one room, with its events in their order.

    It begins with the first join that is wanted, and ends when it is not joined and nothing waits in its FIFO.

    Attributes:
        counted: what it is counted for.
        has_entered: its on_join has run, and its on_leave has not.
        presence: that of the member; None in a room without.
    """

    __slots__ = ("_leaving", "_left_with", "counted", "has_entered", "presence")

    def __init__(self, session: LiveSession, name: str, live_room: LiveRoom, params: Mapping[str, Any]) -> None:
        super().__init__(session, name, live_room, params)
        self.has_entered = False
        self.presence = None if live_room.presence is None else MemberPresence(self)
        self.counted: tuple[Counted, ...] = ()
        self._leaving: asyncio.Task[None] | None = None
        #: With which code and reason others have ended it during its join.
        self._left_with: tuple[int, str] | None = None

    @property
    def owner(self) -> str:
        """The owner of the client id, for the hub."""
        return self.session.owner

    def kick(self, code: int, reason: str) -> None:
        """End the membership from outside, at once; the client is told, by the answer of a join that goes on."""
        if self.is_member:
            self._left_with = (code, reason)
            if self.is_joined:
                self.session.post(live_frames.left(self.name, code, reason))
            self.leave()

    def catch_up(self) -> None:
        """The client reads again: it is sent what it has missed, or the state, and who is present."""
        super().catch_up()
        if self.presence is not None and self.presence.is_behind and self._held is None:
            self.presence.catch_up()

    def restored(self) -> None:
        if self.presence is not None:
            self.presence.catch_up()

    # Joining

    async def join(self, since: str | None = None, v: int | None = None) -> bytes:
        """Join the room, or join it again; returns the value of the answer.

        From now on broadcasts are held until ``go_live()``. A join that fails leaves nothing behind.

        Args:
            since: the position in the room's history at which the client would go on.
            v: the number of the newest diff that the client has had of who is present.
        """
        self.prepare()
        try:
            await self.left()  # an on_leave that still runs
            self._left_with = None
            await check_access(self)
            is_new = not self.is_member
            if not self.counted:
                self.counted = count_join(self)
            await self.subscribe()
            hook = self.live_room.join_hook
            if hook is not None:
                await hook.call(self.session.socket, self.room, self.params)
            self._check_not_left()
            self.has_entered = True
            answer, recovered = await self.answer(since)
            self._check_not_left()
            if self.presence is not None:
                await self.presence.begin()
                self._check_not_left()
                answer = self.presence.added_to(answer, v)
            self.is_joined = True
            self.answered()
            if is_new:
                count_joined(self.live_room.pattern, recovered=recovered)
            if self.presence is not None:
                self.presence.is_behind = False
                self.session.listen_for_stored()
        except BaseException:
            self.leave()
            await self.left()
            raise
        finally:
            self._is_joining = False
        return answer

    def _check_not_left(self) -> None:
        if not self.is_member:
            raise LiveError("forbidden", (self._left_with or (0, ""))[1] or "removed from the room")

    # Events

    def over_rate(self, handler: EventHandler) -> float:
        """Seconds until an event is within the rates of the room and of the event; 0 if it is now, and counted."""
        of_room, of_event = self.live_room.rate, handler.rate
        wait = 0.0 if of_room is None else self._take("", of_room)
        if of_event is not None and not wait:
            wait = self._take(handler.event, of_event)
        return wait

    def _take(self, event: str, rate: Rate) -> float:
        return self.session.buckets.take(f"{event}\0{self.name}", rate, process_clock.monotonic())

    async def relay(self, event: str, data: bytes) -> None:
        """Pass an event of the client to the other members."""
        payload = Payload(self.session.checked(data), is_text=True)
        group, author, exclude = group_name(self.name), self.session.key, self.session.excluded_as
        envelope = Envelope.broadcast(
            group, payload, exclude, is_json=True, event=event, is_volatile=True, author=author
        )
        if tracing.observers:
            with begin_broadcast(self.name, envelope):
                await get_broker().apublish(envelope)
        else:
            await get_broker().apublish(envelope)
        metrics.broadcasts.add(1, self.live_room.pattern)

    # Leaving

    def leave(self) -> None:
        """The member is out, at once, whatever of its joins goes on; its on_leave runs, once. Idempotent."""
        self.end()
        if self.presence is not None:
            self.presence.end()
        counted, self.counted = self.counted, ()
        give_back(counted)
        if self.has_entered:
            self.has_entered = False
            if self.live_room.leave_hook is not None:
                self._leaving = _leaving.start(self._run_leave_hook(), context=self.session.copy_context())
        if self.is_idle:
            self._became_idle()

    async def _run_leave_hook(self) -> None:
        hook = self.live_room.leave_hook
        assert hook is not None
        observed = begin_work(tracing.ON_LEAVE, self) if tracing.observers else None
        failure: Exception | None = None
        try:
            await hook.call(self.session.socket, self.room, self.params)
        except Exception as error:
            failure = error
            logger.error("on_leave failed in room %.200r", self.name, exc_info=error, extra=room_fields(self))
        finally:
            if observed is not None:
                observed.end(failure)
            self._leaving = None
            if self.is_idle:
                self._became_idle()

    async def left(self) -> None:
        """Wait until on_leave, if it runs, has ended; it goes on if this is cancelled.

        An on_leave does not wait for another: they could wait for each other.
        """
        if self._leaving is not None and asyncio.current_task() not in _leaving:
            await asyncio.wait([self._leaving])

    def _became_idle(self) -> None:
        if not self.is_member and self._leaving is None:
            self.session.forget(self)
