"""Calls of a live socket: what is under way for its frames, and the FIFO of one room that runs them in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ClassVar

from .._core import live_frames
from .._core.live_frames import Id
from ..exceptions import LiveError, WebSocketDisconnect, WebSocketException
from .errors import FAILED, as_live_error, error_frame, logger, significant_error
from .event_handler import RELAYED, EventHandler

if TYPE_CHECKING:
    from .membership import Membership
    from .session import LiveSession

__all__ = ["Call", "CallQueue", "EventCall", "JoinCall", "LeaveCall"]

_CANCELLED = LiveError("cancelled", "the call was cancelled")


class Call:
    """What is under way for one frame: it waits in the FIFO of its room, runs, and is answered once.

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

    def __init__(self, id_: Id | None, membership: Membership) -> None:
        self.id = id_
        self.membership = membership
        self.task: asyncio.Task[None] | None = None
        self.is_cancelled = False

    async def perform(self, session: LiveSession) -> bytes:
        """Do it; returns the JSON of the answer.

        Raises:
            Exception: it has failed; what the client is told of that is in ``errors``.
        """
        raise NotImplementedError

    def answered(self) -> None:
        """The answer was sent. What follows is done in the same step."""

    @property
    def label(self) -> str:
        """What it is, for the log."""
        raise NotImplementedError

    async def run(self, session: LiveSession) -> None:
        """Perform it and send the answer. Raises nothing but the cancellation of the task itself."""
        # The cancel frame of a client cancels the task in which it runs, which may have others to run after it.
        self.task = asyncio.current_task()
        error: LiveError | None = None
        value = b""
        try:
            value = await self.perform(session)
        except asyncio.CancelledError as problem:
            if self._uncancelled():
                raise  # the socket is over
            error = _CANCELLED if self.is_cancelled else self._failed(problem)
        except Exception as problem:
            error = await self._error(session, problem)
        if self.is_cancelled and error is None:  # it has taken no notice of that, or returned because of it
            self._uncancelled()
            error = _CANCELLED
        session.ends(self)
        try:
            if self.id is None:
                return
            if error is None:
                await session.send(live_frames.answer(self.id, value))
                self.answered()
            else:
                await session.send(error_frame(self.id, error))
        except WebSocketDisconnect:
            pass  # nobody is left to be answered
        finally:
            session.ended(self)

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
            return FAILED  # which nobody hears
        if isinstance(found, WebSocketException):
            with contextlib.suppress(WebSocketDisconnect):
                await session.close(found.code, found.reason)
            return LiveError("failed", found.reason)
        return as_live_error(found) or self._failed(found)

    def _failed(self, problem: BaseException) -> LiveError:
        logger.error("%s failed in room %.200r", self.label, self.membership.name, exc_info=problem)
        return FAILED


class EventCall(Call):
    """An event of the client for its handler, or to be passed to the other members."""

    __slots__ = ("data", "handler")

    def __init__(self, id_: Id | None, membership: Membership, handler: EventHandler, data: Any) -> None:
        super().__init__(id_, membership)
        self.handler = handler
        self.data = data

    @property
    def is_concurrent(self) -> bool:  # type: ignore[override]
        return self.handler.concurrent

    async def perform(self, session: LiveSession) -> bytes:
        membership, handler = self.membership, self.handler
        if not membership.is_joined:
            raise LiveError("not_joined", "join the room first")
        arguments, self.data = handler.read(self.data), None
        if handler.is_relay:
            await membership.relay(handler.event, handler.encode(arguments[RELAYED]))
            return b"null"
        if handler.timeout is None:
            if handler.is_generator:
                return await self._call(session, arguments)
            # As _call() does it, without a coroutine more for nearly every event.
            called: Any = handler.call(session.socket, membership.room, membership.params, arguments)
            result = await called
            return b"null" if self.id is None else session.checked(handler.encode(result))
        try:
            async with asyncio.timeout(handler.timeout) as limit:
                return await self._call(session, arguments)
        except TimeoutError:
            if not limit.expired():
                raise
            raise LiveError("timeout", f"it took longer than {handler.timeout:g} seconds") from None

    async def _call(self, session: LiveSession, arguments: dict[str, Any]) -> bytes:
        membership, handler = self.membership, self.handler
        called: Any = handler.call(session.socket, membership.room, membership.params, arguments)
        if handler.is_generator:
            async with contextlib.aclosing(called) as items:
                async for one in items:
                    if self.id is not None:
                        await session.send(live_frames.item(self.id, session.checked(handler.encode(one))))
            return b"null"
        result = await called
        return b"null" if self.id is None else session.checked(handler.encode(result))

    @property
    def label(self) -> str:
        return f"event {self.handler.event!r}"


class JoinCall(Call):
    """A join: its answer has the state, and behind it the membership is live."""

    __slots__ = ()

    async def perform(self, session: LiveSession) -> bytes:
        value = await self.membership.join()
        if self.is_cancelled:  # and on_join or the state have taken no notice of that
            self.membership.leave()
        return value

    def answered(self) -> None:
        self.membership.go_live()

    @property
    def label(self) -> str:
        return "join"


class LeaveCall(Call):
    """The end of a membership that the client wants."""

    __slots__ = ()

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

    def add(self, call: Call) -> Coroutine[Any, Any, None] | None:
        """Take up a call: returns what runs it, and what comes meanwhile; None if it waits for those before it."""
        if call.is_concurrent and self._is_free():
            return call.run(self.session)
        if not self._is_busy:
            self._is_busy = True
            return self._work(call)
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

    async def _work(self, call: Call) -> None:
        session = self.session
        try:
            while True:
                if call.is_concurrent:
                    session.start_concurrent(call)
                else:
                    await call.run(session)
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
