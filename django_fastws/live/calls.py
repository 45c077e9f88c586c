"""Calls of a live socket: what is under way for its frames, and the FIFO of one room that runs them in order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar

from .. import metrics, tracing
from .._core import live_frames
from .._core.live_frames import Id
from ..exceptions import LiveError, WebSocketDisconnect, WebSocketException
from ..slow_callbacks import describe_frames
from .event_handler import RELAYED, EventHandler
from .live_errors import FAILED, as_live_error, error_frame, logger, room_fields, significant_error
from .live_traces import begin_work

if TYPE_CHECKING:
    from .membership import Membership
    from .session import LiveSession

__all__ = ["Call", "CallQueue", "EventCall", "JoinCall", "LeaveCall"]

_ITEMS_IN_A_ROW = 32
_CANCELLED = LiveError("cancelled", "the call was cancelled")
_UNHEARD = LiveError(FAILED.code, "the connection is closed")


class Call:
    """Call: the work for one frame, which waits in the FIFO of its room, runs, and is answered once.

    Attributes:
        id: of the frame; None is not answered.
        task: in which it runs; None while it waits.
        is_cancelled: the client does not want it any more.
    """

    __slots__ = ("id", "is_cancelled", "membership", "task")

    #: Whether others may run at the same time.
    is_concurrent: ClassVar[bool] = False
    #: Whether the client may cancel it.
    is_cancellable: ClassVar[bool] = True
    #: What observers take it for.
    kind: ClassVar[tracing.WorkKind]

    def __init__(self, id_: Id | None, membership: Membership) -> None:
        self.id = id_
        self.membership = membership
        self.task: asyncio.Task[None] | None = None
        self.is_cancelled = False

    def begin(self, session: LiveSession) -> Awaitable[Any]:
        """Begin with it; returns what it waits for, of whose result ``value()`` makes the answer.

        Raises:
            Exception: as ``perform()``.
        """
        return self.perform(session)

    def value(self, session: LiveSession, result: Any) -> bytes:
        """The JSON of the answer.

        Raises:
            Exception: as ``perform()``.
        """
        value: bytes = result
        return value

    async def perform(self, session: LiveSession) -> bytes:
        """Do it; returns the JSON of the answer.

        Raises:
            Exception: it has failed; what the client is told of that is in ``live_errors``.
        """
        raise NotImplementedError

    #: Whether nothing has to follow the answer.
    ends_with_answer: ClassVar[bool] = True

    def answered(self) -> None:
        """The answer was sent. What follows is done in the same step."""

    def count(self, seconds: float, code: str | None) -> None:
        """Count it in the metrics, where calls of its kind are.

        Args:
            seconds: that it took, since its turn came.
            code: of the error that it ends with; None is none.
        """

    @property
    def event(self) -> str:
        """The event that it is for; "" for none."""
        return ""

    @property
    def label(self) -> str:
        """Name of the call, for the log."""
        raise NotImplementedError

    async def run(self, session: LiveSession, task: asyncio.Task[Any] | None = None) -> None:
        """Perform it and send the answer. Raises nothing but the cancellation of the task itself.

        Args:
            task: in which this is awaited, where that is known.
        """
        # The cancel frame of a client cancels the task in which it runs, which may have others to run after it.
        self.task = task or asyncio.current_task()
        began = time.perf_counter()
        observed = begin_work(self.kind, self.membership, self.event) if tracing.observers else None
        error: LiveError | None = None
        failure: BaseException | None = None
        value = b""
        try:
            if self.is_cancelled:  # between its turn and the beginning of its task
                raise asyncio.CancelledError
            value = self.value(session, await self.begin(session))
        except asyncio.CancelledError as problem:
            if self._uncancelled():
                self.count(time.perf_counter() - began, "cancelled")
                if observed is not None:
                    observed.end(code="cancelled")
                raise  # the socket is over
            error = _CANCELLED if self.is_cancelled else self._failed(problem)
            failure = problem
        except Exception as problem:
            error = await self._error(session, problem)
            failure = problem
        if self.is_cancelled and error is None:  # it has taken no notice of that, or returned because of it
            self._uncancelled()
            error = _CANCELLED
        session.ends(self)
        self.count(time.perf_counter() - began, None if error is None else error.code)
        if observed is not None:
            observed.end(failure if error is FAILED else None, "" if error is None else error.code)
        try:
            if self.id is None:
                return
            answer = live_frames.answer(self.id, value) if error is None else error_frame(self.id, error)
            sending = session.answering(answer) if self.ends_with_answer else session.sending(answer)
            if sending is not None:
                await sending
            if error is None:
                self.answered()
        except WebSocketDisconnect:
            pass  # nobody is left to be answered
        finally:
            session.count_ended()

    def _uncancelled(self) -> bool:
        """Take back the client's cancellation of the task; whether the task is cancelled all the same."""
        task = self.task
        if task is None:
            return False
        if self.is_cancelled:
            task.uncancel()
        return task.cancelling() > 0

    async def _error(self, session: LiveSession, problem: Exception) -> LiveError:
        if self.is_cancelled:
            self._uncancelled()
        found = significant_error(problem)
        if isinstance(found, WebSocketDisconnect) and session.is_over:
            return _UNHEARD
        if isinstance(found, WebSocketException):
            with contextlib.suppress(WebSocketDisconnect):
                await session.close(found.code, found.reason)
            return LiveError("failed", found.reason)
        return as_live_error(found) or self._failed(found)

    def _failed(self, problem: BaseException) -> LiveError:
        fields = room_fields(self.membership, event=self.event, code=FAILED.code)
        logger.error("%s failed in room %.200r", self.label, self.membership.name, exc_info=problem, extra=fields)
        return FAILED


describe_frames(Call.run, lambda found: room_fields(found["self"].membership, event=found["self"].event))


class EventCall(Call):
    """An event of the client for its handler, or to be passed to the other members."""

    __slots__ = ("data", "handler", "is_concurrent")

    kind = tracing.CALL

    #: Whether it is handled though the client, who was in the room when it was taken up, is not any more.
    outlives_connection: ClassVar[bool] = False

    def __init__(self, id_: Id | None, membership: Membership, handler: EventHandler, data: Any) -> None:
        # As Call does it. One is made for each event.
        self.id = id_
        self.membership = membership
        self.task = None
        self.is_cancelled = False
        self.handler = handler
        self.data = data
        self.is_concurrent = handler.concurrent  # type: ignore[misc]

    def begin(self, session: LiveSession) -> Awaitable[Any]:
        # Nothing stands between nearly every event and its handler: a coroutine more would cost as much as all else.
        return self._called(session) if self.handler.is_plain else self.perform(session)

    def value(self, session: LiveSession, result: Any) -> bytes:
        return self._encoded(session, result) if self.handler.is_plain else result

    async def perform(self, session: LiveSession) -> bytes:
        handler = self.handler
        if handler.is_plain:
            return self._encoded(session, await self._called(session))
        if handler.is_relay:
            await self.membership.relay(handler.event, handler.encode(self._arguments()[RELAYED]))
            return b"null"
        try:
            async with asyncio.timeout(handler.timeout) as limit:
                if handler.is_generator:
                    return await self._items(session)
                return self._encoded(session, await self._called(session))
        except TimeoutError:
            if not limit.expired():
                raise
            raise LiveError("timeout", f"it took longer than {handler.timeout:g} seconds") from None

    def _arguments(self) -> dict[str, Any]:
        if not self.membership.is_joined and not self.outlives_connection:
            raise LiveError("not_joined", "join the room first")
        arguments, self.data = self.handler.read(self.data), None
        return arguments

    def _called(self, session: LiveSession) -> Any:
        """The handler, called: a coroutine or an async generator."""
        return self.handler.call(session.socket, self.membership.room, self.membership.params, self._arguments())

    def _encoded(self, session: LiveSession, result: Any) -> bytes:
        return b"null" if self.id is None else session.checked(self.handler.encode(result))

    async def _items(self, session: LiveSession) -> bytes:
        count = 0
        async with contextlib.aclosing(self._called(session)) as items:
            async for one in items:
                count += 1
                if not count % _ITEMS_IN_A_ROW:
                    await asyncio.sleep(0)  # neither the generator nor the sending may ever wait
                if self.is_cancelled or session.is_over:
                    break  # and it has taken no notice of that
                if self.id is not None:
                    await session.send(live_frames.item(self.id, self._encoded(session, one)))
        return b"null"

    def count(self, seconds: float, code: str | None) -> None:
        metrics.count_call(self.membership.live_room.pattern, self.handler.event, seconds, code)

    @property
    def event(self) -> str:
        return self.handler.event

    @property
    def label(self) -> str:
        return f"event {self.handler.event!r}"


class JoinCall(Call):
    """A join: its answer has the state, or says that the client goes on; behind it the membership is live."""

    __slots__ = ("since", "v")

    kind = tracing.JOIN
    ends_with_answer = False

    def __init__(self, id_: Id, membership: Membership, since: str | None, v: int | None) -> None:
        super().__init__(id_, membership)
        self.since = since
        self.v = v

    async def perform(self, session: LiveSession) -> bytes:
        value = await self.membership.join(self.since, self.v)
        if self.is_cancelled:  # and on_join or the state have taken no notice of that
            self.membership.leave()
        return value

    def answered(self) -> None:
        self.membership.go_live()

    @property
    def label(self) -> str:
        return "join"


class LeaveCall(Call):
    """A leave: the client ends its membership."""

    __slots__ = ()

    kind = tracing.LEAVE
    is_cancellable = False

    async def perform(self, session: LiveSession) -> bytes:
        self.membership.leave()
        await self.membership.left()
        return b"null"

    @property
    def label(self) -> str:
        return "leave"


class CallQueue:
    """FIFO of one room of one live socket: its calls run one after the other, in one task as long as there are any.

    An idle one has neither a task nor a queue.
    """

    __slots__ = ("_is_busy", "_waiting", "session")

    def __init__(self, session: LiveSession) -> None:
        self.session = session
        self._is_busy = False
        self._waiting: deque[Call] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits in it."""
        return not self._is_busy

    def add(self, call: Call, task: asyncio.Task[Any] | None = None) -> Coroutine[Any, Any, None] | None:
        """Take up a call: returns what runs it, and what comes meanwhile; None if it waits for those before it.

        Args:
            task: in which what is returned will run, where that is known.
        """
        if call.is_concurrent and self._is_free():
            return call.run(self.session, task)
        if not self._is_busy:
            self._is_busy = True
            return self._work(call, task)
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(call)
        return None

    def _is_free(self) -> bool:
        """Whether a concurrent event need not wait: nothing before it decides about the membership."""
        return not self._is_busy or (
            self._is_settled and not any(not isinstance(call, EventCall) for call in self._waiting or ())
        )

    @property
    def _is_settled(self) -> bool:
        """Whether calls may run whatever runs now."""
        raise NotImplementedError

    async def _work(self, call: Call, task: asyncio.Task[Any] | None) -> None:
        session = self.session
        try:
            while True:
                if call.is_concurrent:
                    session.start_concurrent(call)
                else:
                    await call.run(session, task)
                if not self._waiting:
                    return
                call = self._waiting.popleft()
        finally:
            self._is_busy = False
            self._waiting = None
            self._became_idle()

    def _became_idle(self) -> None:
        """Nothing runs or waits any more."""

    def withdraw(self, call: Call) -> bool:
        """Take out a call that waits; False if it does not."""
        if self._waiting is None or call not in self._waiting:
            return False
        self._waiting.remove(call)
        return True

    def clear(self) -> None:
        """Drop what waits: the socket is over."""
        if self._waiting is not None:
            self._waiting.clear()
