"""Reading of a live socket: which task reads, what is run where it was read, and how much may be pending."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from .._core.live_frames import CallFrame, Frame, HelloFrame, JoinFrame, LeaveFrame, parse
from ..conf import conf
from ..exceptions import WebSocketDisconnect
from ..transports import POLL_SECONDS
from ..websocket import InboundWebSocket
from .frame_writer import FrameWriter
from .inline_work import SuspendedWork, begin
from .parked_sockets import current_parked_sockets

__all__ = ["FrameReader", "Taken"]

Taken = bytes | Coroutine[Any, Any, None] | None
"""What has become of a frame: an answer, what runs it, or nothing for now."""

_PENDING = (CallFrame, JoinFrame, LeaveFrame)


class FrameReader(FrameWriter):
    """Reader of the frames of one live socket, and the tasks that run what they ask for.

    One task at a time reads, and runs inline what it has read. If that has to wait, another task reads on, and the
    former ends with its work; but for the task of the socket, which is parked until it is to read again or all is
    over. So an idle socket has no task but its own, and a call that waits for nothing costs none.

    Args:
        ws: the socket, accepted.

    Attributes:
        is_over: the connection is closed, and nothing can be sent.
        pending: how many frames are under way or waiting. From ``FASTWS_LIVE_PENDING`` on, nothing is read.
        reader: the task that reads; None before there is one.
    """

    __slots__ = (
        "_below",
        "_failure",
        "_inbox",
        "_is_looked_after",
        "_is_main_cancelled",
        "_is_reclaimed",
        "_is_stalled",
        "_look",
        "_main",
        "_parked",
        "_tasks",
        "is_over",
        "pending",
        "reader",
    )

    def __init__(self, ws: InboundWebSocket) -> None:
        super().__init__(ws)
        #: The server's queue of what was read, where it can be seen.
        self._inbox = ws.transport.inbox
        self.is_over = False
        self.pending = 0
        #: Done when fewer are pending; there is one while nothing is read because of that.
        self._below: asyncio.Future[None] | None = None
        self.reader: asyncio.Task[Any] | None = None
        #: The task of the socket, and those beside it, while there are any.
        self._main: asyncio.Task[Any] | None = None
        self._tasks: set[asyncio.Task[None]] | None = None
        #: Done when the task of the socket is to read again, or all is over; there is one while it does not read.
        self._parked: asyncio.Future[None] | None = None
        self._is_main_cancelled = self._is_reclaimed = self._is_stalled = self._is_looked_after = False
        self._failure: BaseException | None = None
        #: The next look at whether the connection is lost, while nothing is read.
        self._look: asyncio.TimerHandle | None = None

    # For the session to say

    def take(self, frame: Frame) -> Taken:
        """Take a frame up: returns what it is answered with at once, or what runs it, if it need not wait."""
        raise NotImplementedError

    async def hello(self, frame: HelloFrame) -> bytes:
        """The answer to a hello. Nothing is read before that, for the client may be somebody else then."""
        raise NotImplementedError

    def over(self) -> None:
        """The connection is over; called in the task that has found out. Idempotent."""
        raise NotImplementedError

    # Reading

    async def read_all(self) -> None:
        """Read until the connection is closed, by either end and however. Called in the task of the socket.

        Raises:
            Exception: that of the server's ``receive``.
        """
        main = self._main = asyncio.current_task()
        assert main is not None
        try:
            while not self.is_over:
                await self._read()
                if not self.is_over:
                    self._parked = asyncio.get_running_loop().create_future()
                    await self._parked
                    self._parked = None
        except asyncio.CancelledError:
            if not self._is_main_cancelled or main.cancelling() > 1:
                raise  # by the server
        finally:
            if self._is_main_cancelled:
                main.uncancel()
        if self._failure is not None:
            raise self._failure

    async def _read(self) -> None:
        """Read frames, until the connection is closed or another task reads."""
        reader, inbox = asyncio.current_task(), self._inbox
        self.reader = reader
        suspended: SuspendedWork | None = None
        try:
            while True:
                frame = parse(await self.ws.receive_data("receive"), conf.live_max_bytes)
                if self.pending and self.pending >= conf.live_pending and isinstance(frame, _PENDING):
                    await self._wait_until_below()
                taken = self.take(frame) if type(frame) is not HelloFrame else await self._taken_hello(frame)
                self.holds = has_more = inbox is not None and not inbox.empty()
                if type(taken) is bytes:
                    await self._reply(self.answering(taken))
                elif taken is not None:
                    suspended = begin(taken)  # type: ignore[arg-type]
                self.holds = False
                if suspended is not None:
                    if self._held is not None:
                        self.flush_soon()  # what has begun is awaited at once: this task is cancelled for it
                    self._read_elsewhere()
                    await suspended
                    suspended = None
                    if self.reader is not reader:
                        return
                elif self._held is not None and not has_more:
                    await self._reply(self.flush())
        except WebSocketDisconnect:
            pass
        self.over()

    def _read_elsewhere(self) -> None:
        """Let another task read on, for what this one has read has to wait."""
        if not self.is_over:
            self.reader = self.start_task(self._read_in_task())
            if not self._is_looked_after:
                self._is_looked_after = True
                current_parked_sockets().add(self)

    async def _read_in_task(self) -> None:
        try:
            await self._read()
        except asyncio.CancelledError:
            if not self._is_reclaimed or self._parked is None:
                raise
            self._is_reclaimed = False
            if not self._parked.done():
                self._parked.set_result(None)

    async def _taken_hello(self, frame: HelloFrame) -> bytes:
        with self._stalled():  # a hello may take as long as the project's function for tokens
            return await self.hello(frame)

    async def _reply(self, sending: Coroutine[Any, Any, None] | None) -> None:
        """Wait until answers are sent; nothing is read meanwhile, so a client that does not read is not read from."""
        if sending is not None:
            with self._stalled():
                await sending

    @contextmanager
    def _stalled(self) -> Iterator[None]:
        """Nothing is read within. That the connection is lost, which is received behind what waits, is looked for."""
        self._is_stalled = True
        self._look_later()
        try:
            yield
        finally:
            self._is_stalled = False
            if self._look is not None:
                self._look.cancel()
                self._look = None

    def _look_later(self) -> None:
        self._look = asyncio.get_running_loop().call_later(POLL_SECONDS, self._look_now)

    def _look_now(self) -> None:
        if self.ws.transport.is_open:
            self._look_later()
        else:
            self.over()

    # The bound

    def count_ended(self) -> None:
        """A frame that was pending is answered."""
        self.pending -= 1
        below = self._below
        if below is not None and not below.done() and self.pending <= conf.live_pending // 2:
            below.set_result(None)

    async def _wait_until_below(self) -> None:
        """Wait until half of what may be pending has ended."""
        self._below = asyncio.get_running_loop().create_future()
        try:
            with self._stalled():
                await self._below
        finally:
            self._below = None

    def look_after(self) -> bool:
        """Have the socket's own task read again, if it does not and the socket is idle.

        Returns:
            Whether this is to be tried again.
        """
        if not self.is_over and self.reader is not self._main and self.reader is not None:
            if self._parked is None or self.pending or self._is_stalled:
                return True
            self._is_reclaimed = True
            self.reader.cancel()
        self._is_looked_after = False
        return False

    # Tasks

    def start_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task of this socket, which ends with it."""
        task = asyncio.get_running_loop().create_task(work)
        if self._tasks is None:
            self._tasks = set()
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if self._tasks is not None:
            self._tasks.discard(task)
            if not self._tasks:
                self._tasks = None
        if not self.is_over:
            failure = asyncio.CancelledError() if task.cancelled() else task.exception()
            if failure is not None:  # and nothing would read on, or answer the call
                self._failure = failure
                self.over()

    def stop_tasks(self) -> None:
        """Cancel all tasks but the one that calls this; what the socket's own runs is cancelled, too."""
        current = asyncio.current_task()
        for task in self._tasks or ():
            if task is not current:
                task.cancel()
        main = self._main
        if self._parked is not None:
            if not self._parked.done():
                self._parked.set_result(None)
        elif main is not None and main is not current:
            self._is_main_cancelled = True
            main.cancel()

    @property
    def has_tasks(self) -> bool:
        """Whether there are tasks besides that of the socket."""
        return self._tasks is not None

    async def tasks_ended(self) -> None:
        """Wait until there are no tasks besides that of the socket."""
        while self._tasks:
            await asyncio.wait(self._tasks)
