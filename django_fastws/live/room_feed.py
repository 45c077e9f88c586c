"""Feed of a room to one client: what it gets of the room, from which position on, and behind which answer."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._core import live_frames
from .._core.messages import Batch, Payload
from .._core.positions import Position
from ..conf import conf
from ..exceptions import LiveError, WebSocketConnectionError, WebSocketDisconnect
from ..rooms import HeldBroadcasts, Room, behind, current_hub, resume
from ..tasks import BackgroundTasks, is_being_cancelled
from ..user_keys import is_user
from ..websocket import InboundWebSocket
from .calls import CallQueue
from .live_errors import logger, significant_error, unavailable
from .live_room import LiveRoom
from .live_traces import restoring, state_failed
from .room_states import keyed_state, shared_state

if TYPE_CHECKING:
    from .session import LiveSession

__all__ = ["RoomFeed"]

_restoring = BackgroundTasks(logger)
#: Closes the socket of a member that has lost events, and for which no state could be made.
_NO_STATE = (1011, "events were lost")
_ATTEMPTS = 2  # to make a state before so much was broadcast meanwhile that it cannot be held


class RoomFeed(CallQueue):
    """Feed of one room to one live socket; the hub's member.

    While an answer is made that says where the client begins, what is broadcast is held, and sent behind it. A client
    begins with the state, or goes on from its position with what it has missed. Where something of a room with
    history is lost meanwhile, or the client is too slow for it, it is sent what it missed, or the state again.

    Attributes:
        name: of the room.
        live_room, params: its declaration, and the parameters in its name.
        is_joined: events of the client are handled.
    """

    __slots__ = (
        "_behind",
        "_held",
        "_is_joining",
        "_live_from",
        "_restoring",
        "_room",
        "_sent_from",
        "is_joined",
        "is_member",
        "live_room",
        "name",
        "params",
    )

    #: For the hub: it gets frames with the room and the event.
    takes_events = True

    def __init__(self, session: LiveSession, name: str, live_room: LiveRoom, params: Mapping[str, Any]) -> None:
        super().__init__(session)
        self.name = name
        self.live_room = live_room
        self.params = params
        self.is_joined = self._is_joining = False
        #: It is in the hub's room.
        self.is_member = False
        self._room: Room | None = None
        self._held: HeldBroadcasts | None = None
        self._restoring: asyncio.Task[None] | None = None
        #: What is stored behind this position was not sent, for the client is too slow; None while it is not.
        self._behind: Position | None = None
        #: What is stored behind this position was sent over this connection, or will be; None before the first join.
        self._sent_from: Position | None = None
        #: What comes from a fan-out that began while it was held, up to this position, it has.
        self._live_from: Position | None = None

    @property
    def room(self) -> Room:
        """The room."""
        if self._room is None:
            self._room = Room(self.name)
        return self._room

    @property
    def _is_settled(self) -> bool:
        return self.is_joined

    # What the hub needs

    @property
    def id(self) -> str:
        """The id of the socket."""
        return self.session.ws.id

    @property
    def socket(self) -> InboundWebSocket[Any]:
        """The socket."""
        return self.session.ws

    @property
    def client_id(self) -> str:
        """The id of the client."""
        return self.session.client_id

    @property
    def post(self) -> Any:
        """The function that sends without waiting; held while it joins."""
        return self.session.ws.post if self._held is None else self._hold

    @property
    def told_at(self) -> float:
        """When it last got a broadcast, or before that, by ``time.perf_counter()``; minus infinity if never."""
        return current_hub().told_at(self, self.name) if self.is_member and self._held is None else -math.inf

    def matches(self, user: str, client: str) -> bool:
        """Whether it is of a user, by the ``user_key``, or of a client, by its id or that of its socket."""
        session = self.session
        return is_user(session.ws.scope.get("user"), user) or bool(client and client in (session.client_id, self.id))

    def kick(self, code: int, reason: str) -> None:
        """End the membership from outside, at once."""
        raise NotImplementedError

    def _hold(self, batch: Payload | Batch) -> bool | None:
        """Hold what is broadcast while the member joins; what arrives on this way behind that is sent.

        A client that does not read the answer is as slow as any other, once as much is held as may wait for one.
        """
        held = self._held
        if held is not None and self._is_whole(held) and not held.fits(batch):
            self._release()
            held = self._held
        if held is None:
            for one in behind(batch, self._live_from):
                self.post(one)
            return False
        held.add(batch)
        return False

    # Where the client begins

    def prepare(self) -> None:
        """A join begins: what the client had coming is not sent any more."""
        self._is_joining = True
        if self._restoring is not None or self._behind is not None:
            self._sent_from = None
        self._stop_restoring()

    async def subscribe(self) -> None:
        """Become a member of the hub's room, if it is none; what is broadcast from now on is held.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        hub = current_hub()
        self._held = HeldBroadcasts()
        if self.is_member:
            hub.repost(self, self.name)
        else:
            self.is_member = True
            await hub.join(self, self.name)
        self._hold_from_now()

    async def answer(self, since: str | None) -> tuple[bytes, bool]:
        """The value of a join's answer, that the client goes on from a position, or the state; and if it goes on.

        Raises:
            LiveError: the layer cannot be reached, or more is broadcast than can be held.
            Exception: that of the function for the state.
        """
        answer = await self._resumed(since) if since is not None else None
        if answer is not None:
            return answer, True
        state = await self._state()
        self._sent_from = self._begins_at()
        return self.session.checked(live_frames.joined(self.name, state, self._sent_from)), False

    def answered(self) -> None:
        """The answer is about to be sent: what is held comes behind it."""
        self._behind = None  # what was not sent is in the answer, or behind it
        if self._held is not None:
            self._held.is_answered = True
        if self._sent_from is not None or self.live_room.latest is not None:
            self.session.listen_for_stored()

    def end(self) -> None:
        """The client is out, at once."""
        self._held = self._sent_from = self._behind = None
        self._stop_restoring()
        self.is_joined = False
        if self.is_member:
            self.is_member = False
            current_hub().drop(self, {self.name})

    def _hold_from_now(self) -> None:
        """What is sent behind an answer that is made from now on begins at this position."""
        if self._held is not None:
            self._held.position = current_hub().position(self, self.name)

    def _begins_at(self) -> Position | None:
        """The position of an answer that is made now; None in a room without history."""
        return None if self._held is None or self.live_room.history is None else self._held.position

    async def _resumed(self, since: str) -> bytes | None:
        """The answer to a client that can go on where it was; None if it needs the state.

        What it has missed is sent behind the answer, before what is held.
        """
        held, position = self._held, Position.parse(since)
        if held is None or held.is_useless or held.position is None or position is None:
            return None
        before = self._sent_from
        if before is not None:  # joined over this connection already, where nothing comes twice
            now = held.position
            is_on_the_way = before.epoch == position.epoch and before.offset <= position.offset <= now.offset
            return live_frames.resumed(self.name, position, now) if is_on_the_way else None
        try:
            missed = await self._missed(position, held)
        except WebSocketConnectionError as error:
            raise unavailable(error) from error
        if missed is None:
            return None
        held.missed, self._sent_from = missed, position
        return live_frames.resumed(self.name, position, held.position)

    async def _missed(self, since: Position, held: HeldBroadcasts) -> list[Payload] | None:
        """What the client has missed since a position, while what is new is held; None if it needs the state.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        hub, excluded_as = current_hub(), (self.id, self.client_id, self.session.excluded_as)
        events = await resume(hub, self, self.name, since, held)
        if events is None or self._held is not held:
            return None
        # Many who come back at once have as many events each: nothing is called for one that was encoded already.
        payloads: list[Payload] = []
        size, limit = 0, conf.send_buffer_bytes
        for event in events:
            payload: Payload | None = event.payload
            if payload is None:
                payload = hub.event_payload(self.name, event)
            if payload is not None and event.envelope.exclude in excluded_as:
                payload = payload.substitute()
            if payload is None:
                return None  # the room was left
            size += len(payload.raw)
            payloads.append(payload)
        return payloads if size <= limit else None

    # Losses while it is joined

    def lost(self) -> None:
        """Events of the room were lost: the client gets the state that has them, before anything else of the room."""
        if self._held is not None:  # a state is made, which begins anew, or was made, and another follows it
            self._held.is_broken = True
        elif self.is_joined:
            self._hold_anew()
            self._start_restoring()

    def fall_behind(self, position: Position) -> None:
        """The client does not read in time what is stored behind this position: nothing more is sent for now."""
        if self._held is None:
            self._drop_from_now()
        elif not self._held.is_answered:  # an answer is made, which then has it
            self._held.is_broken = True
        if self._behind is None:  # else it is further behind already
            begins = self._sent_from
            has_it = begins is not None and (begins.epoch != position.epoch or begins.offset > position.offset)
            self._behind = begins if has_it else position

    def catch_up(self) -> None:
        """The client reads again: it is sent what it has missed, or the state."""
        position = self._behind
        if position is not None and self.is_joined and not self._is_joining:
            self._behind = None
            self._start_restoring(position)

    def restored(self) -> None:
        """What was missed was sent, or the state: but for what is kept nowhere."""

    def _drop_from_now(self) -> None:
        """What comes is not even held: it is read from the history later."""
        self._hold_anew(is_behind=True).is_over = True

    def _hold_anew(self, *, is_behind: bool = False) -> HeldBroadcasts:
        held = self._held = HeldBroadcasts()
        current_hub().repost(self, self.name, is_behind=is_behind)
        return held

    async def _restore(self, since: Position | None = None) -> None:
        """Send what was missed since a position, or else the state, and behind it what was held meanwhile."""
        try:
            held = self._hold_anew()
            self._hold_from_now()
            missed = await self._missed(since, held) if since is not None else None
            if missed is not None:
                held.missed, held.is_answered = missed, True
            else:
                await self._send_state()
        except Exception as problem:
            found = significant_error(problem)
            state_failed(self, found)
            # It cannot go on over this connection; over the next one, its join is answered. One over this does not
            # stop that, though nothing is said before the client has read what waits.
            if self._restoring is asyncio.current_task():
                self._restoring = None
            with contextlib.suppress(WebSocketDisconnect):
                await self.session.close(*_NO_STATE)
        else:
            if self._restoring is asyncio.current_task():  # else it has begun anew, or is over
                self._restoring = None
                self.go_live()
                self.restored()
        finally:
            if self._restoring is asyncio.current_task():
                self._restoring = None

    async def _send_state(self) -> None:
        """Send the state by itself; in its turn, so that it is not dropped where the client is slow."""
        state = await self._state()
        held = self._held
        if held is not None and held.position is not None and not is_being_cancelled():
            at = self._begins_at()
            frame = self.session.checked(live_frames.lost(self.name, state, at))
            self._sent_from, self._behind, held.is_answered = at, None, True
            await self.session.send(frame)

    def _start_restoring(self, since: Position | None = None) -> None:
        self._stop_restoring()
        work = restoring(self, self._restore(since))
        self._restoring = _restoring.start(work, context=self.session.copy_context())

    def _stop_restoring(self) -> None:
        """The client leaves, or gets an answer of its own."""
        task, self._restoring = self._restoring, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _state(self) -> bytes | None:
        """The state as JSON; None where there is no function for it.

        Raises:
            LiveError: more was broadcast meanwhile than can be held.
        """
        hook = self.live_room.state_hook
        for _ in range(_ATTEMPTS):
            if self._held is not None and self._held.is_useless:
                self._held = HeldBroadcasts()  # what was dropped, or lost, is in a state that is made from now on
                self._hold_from_now()
            state: bytes | None = None
            if self.live_room.latest is not None:
                # What is held, and is older than the values, is not sent behind them.
                state, position = await keyed_state(self.name, self.live_room.latest, self.session.checked)
                if self._held is not None:
                    self._held.position = position
            elif hook is not None and hook.shared:
                state = await shared_state(hook, self.room, self.params, self.session.checked)
            elif hook is not None:
                state = hook.encode(await hook.call(self.session.socket, self.room, self.params))
            if self._held is None or not self._held.is_useless:
                return state
        raise LiveError("unavailable", "more is broadcast to the room than the join can hold; try again later")

    def go_live(self) -> None:
        """The answer was sent: send what was held, and whatever comes from now on directly.

        Who was too slow since the answer was made goes on when it reads again; if events were lost, the state comes
        once more.
        """
        held = self._held
        if held is None or not held.is_answered or self._restoring is not None:
            return
        if self._is_whole(held):
            self._release()
        elif self._behind is not None:
            self._drop_from_now()
        else:
            self._start_restoring()

    def _is_whole(self, held: HeldBroadcasts) -> bool:
        """Whether what is held can be sent behind the answer."""
        return held.is_answered and not held.is_broken and self._behind is None

    def _release(self) -> None:
        """Send what was held, behind the answer: that is sent, or waits to be."""
        held, self._held = self._held, None
        self._live_from = None if held is None else held.position
        for batch in held.to_send() if held is not None else ():
            self.post(batch)  # which drops it, once the client is too slow for all of it
        current_hub().repost(self, self.name)
