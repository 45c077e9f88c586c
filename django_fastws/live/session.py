"""Session of a live socket: reads the frames of ``fastws.v1``, runs what they ask for, and answers each once."""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar

from .. import metrics
from .._core import live_frames
from .._core.exclusions import exclusion
from .._core.json import loads
from .._core.live_frames import (
    AnswerFrame,
    BadFrame,
    CallFrame,
    CancelFrame,
    Frame,
    HelloFrame,
    Id,
    JoinFrame,
    LeaveFrame,
)
from .._core.messages import Payload
from .._core.positions import Position
from .._core.rates import Buckets
from ..conf import conf
from ..exceptions import LiveError
from ..tasks import BackgroundTasks
from ..user_keys import presence_key, user_key
from ..websocket import InboundWebSocket
from .asks import Asks
from .calls import Call, EventCall, JoinCall, LeaveCall
from .frame_reader import FrameReader, Taken
from .heartbeat import current_heartbeat
from .introduction import Introduction, owner_of
from .live_errors import error_frame, logger
from .membership import Membership
from .once import OnceCall
from .room_registry import find
from .socket import LiveSocket

__all__ = ["LiveSession"]

_IN_USE = "the id is that of a call which is under way"
_PING = Payload(live_frames.PING, is_text=True)
_ending = BackgroundTasks(logger)


class LiveSession(FrameReader):
    """Session of one live socket, from the accepted handshake to the last on_leave.

    Args:
        ws: the socket, accepted.
        introduction: who the client is; a ``hello`` tells more of that.

    Attributes:
        was_in: the rooms that it was in when it was closed.
        due: for its heartbeat.
    """

    __slots__ = (
        "__weakref__",
        "_asks",
        "_buckets",
        "_calls",
        "_context",
        "_memberships",
        "_socket",
        "due",
        "introduction",
        "was_in",
    )

    def __init__(self, ws: InboundWebSocket, introduction: Introduction) -> None:
        super().__init__(ws)
        self.introduction = introduction
        self.was_in: frozenset[str] = frozenset()
        self._memberships: dict[str, Membership] = {}
        self._context = contextvars.copy_context()
        self.due = 0.0
        # Made when they are needed, which on an idle socket they are not.
        self._calls: dict[Id, Call] | None = None
        self._socket: LiveSocket | None = None
        self._asks: Asks | None = None
        self._buckets: Buckets | None = None

    # Who

    @property
    def socket(self) -> LiveSocket:
        """The socket as handlers and hooks hold it."""
        if self._socket is None:
            self._socket = LiveSocket(self)
        return self._socket

    @property
    def user_key(self) -> str:
        """Key of the user; "" where nobody is logged in."""
        return user_key(self.ws.scope.get("user"))

    @property
    def client_id(self) -> str:
        """The client's own id, else that of the socket."""
        return self.introduction.client_id or self.ws.id

    @property
    def owner(self) -> str:
        """Owner of what the client id stands for: the user, else the session, else ""."""
        return owner_of(self)

    @property
    def excluded_as(self) -> str:
        """Id under which broadcasts exclude the client; its own id counts together with its owner."""
        client_id = self.introduction.client_id
        return exclusion(client_id, self.owner) if client_id else self.ws.id

    @property
    def is_named(self) -> bool:
        """Whether the client has an id of its own, by which it is known when it comes back."""
        return bool(self.introduction.client_id)

    @property
    def key(self) -> str:
        """Key of the client in presence and in relayed events: the user's primary key, else the client id."""
        return presence_key(self.ws.scope.get("user")) or self.client_id

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that it is in; once it is closed, of those that it was in."""
        if self.is_over:
            return self.was_in
        return frozenset(name for name, one in self._memberships.items() if one.is_member)

    def copy_context(self) -> contextvars.Context:
        """A copy of the context in which the socket is served, for what others have it do: kicks, and losses."""
        return self._context.copy()

    # Frames

    async def run(self) -> None:
        """Serve the client until the connection is closed, by either end and however; then all rooms are left."""
        current_heartbeat().add(self)
        self.ws.live = self
        try:
            await self.read_all()
        finally:
            await self._end()

    def take(self, frame: Frame) -> Taken:
        """Take a frame up: returns what it is answered with at once, or what runs it, if it does not wait."""
        if type(frame) is not CallFrame:
            take: Callable[[Any], Taken] = self._TAKERS[type(frame)].__get__(self)
            return take(frame)
        id_, room, event, data, once = frame
        if id_ is not None and self._calls is not None and id_ in self._calls:
            return _in_use(id_)
        membership = self._memberships.get(room)
        if membership is None:
            found = find(room)
            if found is None:
                metrics.calls.add(1, "", "", "unknown_room")
                return _unknown_room(id_, room)
            metrics.calls.add(1, found[0].pattern, event if event in found[0].events else "", "not_joined")
            return _refused(id_, "not_joined", "join the room first")
        handler = membership.live_room.events.get(event)
        if handler is None:
            metrics.calls.add(1, membership.live_room.pattern, "", "unknown_event")
            return _refused(id_, "unknown_event", f"the room has no event {event[:100]!r}")
        if wait := membership.over_rate(handler):
            metrics.calls.add(1, membership.live_room.pattern, event, "rate_limited")
            return _refused(id_, "rate_limited", "too many events", retry_after=wait)
        # An id that clients of a kind would make alike, such as a number, says nothing after a reconnect.
        call = OnceCall if once and type(id_) is str else EventCall
        return self._start(call(id_, membership, handler, data))

    def _join(self, frame: JoinFrame) -> Taken:
        membership = self._memberships.get(frame.room)
        if self._calls is not None and frame.id in self._calls:
            return _in_use(frame.id)
        if membership is None:
            found = find(frame.room)
            if found is None:
                return _unknown_room(frame.id, frame.room)
            if len(self._memberships) >= (most := conf.live_max_rooms):
                return _refused(frame.id, "forbidden", f"a socket is in at most {most} rooms: leave one")
            membership = self._memberships[frame.room] = Membership(self, frame.room, *found)
        return self._start(JoinCall(frame.id, membership, frame.since, frame.v))

    def _leave(self, frame: LeaveFrame) -> Taken:
        membership = self._memberships.get(frame.room)
        if self._calls is not None and frame.id in self._calls:
            return _in_use(frame.id)
        if membership is None:
            return live_frames.answer(frame.id, b"null")
        return self._start(LeaveCall(frame.id, membership))

    def _cancel(self, frame: CancelFrame) -> bytes | None:
        """Cancel a call; one that is not under way has been answered, or never was one."""
        call = self._calls.get(frame.id) if self._calls is not None else None
        if call is None or call.is_cancelled or not call.is_cancellable:
            return None
        call.is_cancelled = True
        if call.membership.withdraw(call):
            self.ends(call)
            self.count_ended()
            call.count(0.0, "cancelled")
            return _refused(frame.id, "cancelled", "the call was cancelled")
        if call.task is not None:
            call.task.cancel()
        return None

    def _answer(self, frame: AnswerFrame) -> bytes | None:
        if self._asks is not None:
            self._asks.answer(frame)
        return None

    @staticmethod
    def _bad(frame: BadFrame) -> bytes | None:
        return live_frames.error(*frame)

    async def hello(self, frame: HelloFrame) -> bytes:
        """The answer to a hello."""
        if self._calls is not None and frame.id in self._calls:
            return live_frames.error(frame.id, "bad_request", _IN_USE)
        try:
            return live_frames.answer(frame.id, await self.introduction.hello(self, frame))
        except LiveError as error:
            return error_frame(frame.id, error)

    _TAKERS: ClassVar[dict[type, Any]] = {
        JoinFrame: _join,
        LeaveFrame: _leave,
        CancelFrame: _cancel,
        AnswerFrame: _answer,
        BadFrame: _bad,
    }

    # What is under way

    def _start(self, call: Call) -> Coroutine[Any, Any, None] | None:
        """Have a call run in its turn; returns what runs it, if it need not wait for its turn."""
        self.pending += 1
        if call.id is not None:
            if self._calls is None:
                self._calls = {}
            self._calls[call.id] = call
        return call.membership.add(call, self.reader)

    def start_concurrent(self, call: Call) -> None:
        """Run a call beside all others."""
        self.start_task(call.run(self))

    def ends(self, call: Call) -> None:
        """A call is about to be answered: it cannot be cancelled any more, and its id is free."""
        if call.id is not None and self._calls is not None:
            self._calls.pop(call.id, None)
            if not self._calls:
                self._calls = None

    def forget(self, membership: Membership) -> None:
        """A membership is over."""
        if self._memberships.get(membership.name) is membership and not self.is_over:
            del self._memberships[membership.name]

    @property
    def memberships(self) -> dict[str, Membership]:
        """The memberships, by the names of the rooms; also those that begin or end just now."""
        return self._memberships

    @property
    def buckets(self) -> Buckets:
        """Token buckets of the rates of its events, by event and room; they outlive the memberships."""
        if self._buckets is None:
            self._buckets = Buckets()
        return self._buckets

    # A client that is too slow for what is stored

    def listen_for_stored(self) -> None:
        """Learn what becomes of stored events that the client does not read in time, from now on."""
        self.ws.transport.stored_listener = self

    def fell_behind(self, payloads: Sequence[Payload]) -> None:
        """These stored events are not sent: their rooms wait for ``caught_up()``."""
        first: dict[bytes, Position] = {}
        for payload in payloads:
            if payload.position is not None:
                first.setdefault(payload.room, payload.position)
            elif (one := self._memberships.get(loads(payload.room))) is not None and one.presence is not None:
                one.presence.is_behind = True
        for room, position in first.items():
            membership = self._memberships.get(loads(room))
            if membership is not None:
                membership.fall_behind(Position(position.epoch, position.offset - 1))

    def caught_up(self) -> None:
        """The client has read all that waited for it."""
        if not self.is_over:
            for membership in list(self._memberships.values()):
                membership.catch_up()

    # The heartbeat

    def beat(self) -> float:
        """Ping, if nothing was said for so long; returns the seconds until that may be so again."""
        now, seconds = time.perf_counter(), conf.live_ping_seconds
        if now - self.spoke >= seconds:
            self.spoke = max(self.spoke, *(one.told_at for one in self._memberships.values()), -math.inf)
        if now - self.spoke >= seconds:
            self.spoke = now
            self.ws.post(_PING)
        return self.spoke + seconds - now

    # Asking the client

    @property
    def asks(self) -> Asks:
        """Asks that wait for the client's answer."""
        if self._asks is None:
            self._asks = Asks(self)
        return self._asks

    # The end

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, behind the answers that are held."""
        sending = self.flush()
        if sending is not None:
            await sending
        await self.ws.close(code, reason)

    def over(self) -> None:
        """The connection is over: nothing more is read, and what is under way is cancelled. Idempotent."""
        if self.is_over:
            return
        self.is_over = True
        current_heartbeat().discard(self)
        self.ws.transport.stored_listener = None
        self.introduction.over()
        if self._asks is not None:
            self._asks.over()
        self.was_in = frozenset(name for name, one in self._memberships.items() if one.is_member)
        for one in self._memberships.values():
            one.clear()
        self.stop_tasks()

    async def _end(self) -> None:
        """Wait for what was cancelled, then leave every room."""
        self.over()
        if self.has_tasks or any(one.live_room.leave_hook is not None for one in self._memberships.values()):
            await asyncio.shield(_ending.start(self._leave_in_order()))
        else:
            self._leave_all()

    async def _leave_in_order(self) -> None:
        await self.tasks_ended()
        memberships = list(self._memberships.values())
        self._leave_all()
        for one in memberships:
            await one.left()

    def _leave_all(self) -> None:
        for one in list(self._memberships.values()):
            one.leave()
        self._memberships = {}


def _refused(id_: Id | None, code: str, message: str, retry_after: float | None = None) -> bytes | None:
    """The error that answers a frame at once; nothing for one without an id."""
    return None if id_ is None else live_frames.error(id_, code, message, retry_after=retry_after)


def _unknown_room(id_: Id | None, room: str) -> bytes | None:
    remedy = ": a room's name has no slash in front" if room.startswith("/") else ""
    return _refused(id_, "unknown_room", f"no room is called {room[:100]!r}{remedy}")


def _in_use(id_: Id) -> bytes | None:
    return _refused(id_, "bad_request", _IN_USE)
