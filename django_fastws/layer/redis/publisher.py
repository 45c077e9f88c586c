"""Publishing to one Redis: pipelined, in batches, with a bounded queue and retries after a lost connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from ..._core.resp import ErrorReply, command
from ...conf import conf
from ...exceptions import WebSocketConnectionError
from ..errors import connection_closed, is_replica, loading, not_redis, unreachable
from ..outages import LayerServer
from .connection import RedisConnection
from .deadlines import Deadlines
from .history_commands import is_loading, is_of_replica, is_unknown_script, refusal
from .reconnecting import ReconnectingConnection
from .script_loads import LOAD_SCRIPTS, with_script

__all__ = ["RedisPublisher"]

_DOING = "broadcast"


class RedisPublisher(ReconnectingConnection):
    """Pipeline of commands and their replies, over a connection of its own.

    What is sent within one turn of the loop is written once, at the turn's end. Replies come in the order of the
    commands, so each caller has a future and nothing else. What was not answered when the connection broke is sent
    again, in order and before what came later. So is what was answered late, if there was an outage in between: who
    should have got it may have been cut off just then.

    Args:
        is_held: while it is true, nothing is sent.
        settle: for how many seconds a new connection has to wait before it is used.
    """

    _WINDOW_BYTES = 512 * 1024  # bytes that Redis may owe an answer for
    _UNCHECKED_BYTES = 64 * 1024  # bytes that may wait without a look at the settings
    _LATE_HEARTBEATS = 2
    _LEAST_BYTES_PER_SECOND = 64 * 1024  # a Redis that takes less is as good as silent

    def __init__(
        self,
        server: LayerServer,
        pool: Any,
        *,
        is_held: Callable[[], bool],
        settle: Callable[[], float],
        **hooks: Callable[[], None],
    ) -> None:
        super().__init__(server, pool, **hooks)
        self._is_held = is_held
        self._settle = settle
        self._deadlines = Deadlines(_DOING, server)
        self._queue: deque[tuple[bytes, asyncio.Future[Any]]] = deque()
        self._sent: deque[tuple[bytes, asyncio.Future[Any]]] = deque()
        self._queued_bytes = self._sent_bytes = self._unsent = 0
        self._waiting_for_space: deque[asyncio.Future[Any]] = deque()
        self._is_flushing = self._is_admitting = False
        #: How many connections were lost.
        self.losses = 0
        #: How many outages there had been when the first command was sent that is not answered.
        self._outages = 0
        #: Whether scripts are called; whether they have to be loaded before anything is sent; the replies to that.
        self._uses_scripts = self._must_load = False
        self._loading: list[asyncio.Future[Any]] = []
        #: What Redis has to be asked, for it has said that it cannot serve yet: it was reading its data from disk,
        #: or was a replica; and its reply.
        self._question = b""
        self._is_ready: asyncio.Future[Any] | None = None

    def send(self, data: bytes) -> asyncio.Future[Any]:
        """Send a command; the future is its reply.

        It fails with ``WebSocketConnectionError`` if Redis refuses the command or cannot be reached in time.
        """
        future = self._deadlines.add()
        self._queue.append((data, future))
        self._queued_bytes += len(data)
        if self._connection is None:
            self._connect()
        elif not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)
        if self._waiting_for_space:
            self._admit_next()
        return future

    # Bounds

    @property
    def may_be_full(self) -> bool:
        """Whether ``wait_for_space()`` has to be awaited before the next command."""
        return (
            self._queued_bytes + self._sent_bytes > self._UNCHECKED_BYTES
            or bool(self._waiting_for_space)
            or self._server.is_lost
        )

    async def wait_for_space(self) -> None:
        """Wait, in the order of the calls, until less than ``FASTWS_PUBLISH_RETRY_BYTES`` are unanswered.

        Raises:
            WebSocketConnectionError: Redis is away, or does not take them in time.
        """
        if not self._is_full() and not self._waiting_for_space and not self._is_admitting:
            return
        join = self._waiting_for_space.append
        while True:
            if self._server.is_lost:
                raise self._full()
            future = self._deadlines.add()
            join(future)
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._is_admitting = False
                    self._admit_next()
                raise
            self._is_admitting = False
            if not self._is_full():
                return
            join = self._waiting_for_space.appendleft

    def _is_full(self) -> bool:
        limit = conf.publish_retry_bytes
        if self._queued_bytes + self._sent_bytes < limit:
            return False
        while self._queue and self._queue[0][1].done():  # whose caller has waited long enough
            self._queued_bytes -= len(self._queue.popleft()[0])
        return self._queued_bytes + self._sent_bytes >= limit

    def _full(self) -> WebSocketConnectionError:
        waiting = f"{self._queued_bytes + self._sent_bytes} bytes of broadcasts wait (FASTWS_PUBLISH_RETRY_BYTES)"
        return unreachable(_DOING, f"{self._server.error}; {waiting}")

    def _admit_next(self) -> None:
        """Let the first that waits for space send; it admits the next in its turn."""
        while self._waiting_for_space and not self._is_admitting and not self._is_full():
            future = self._waiting_for_space.popleft()
            if not future.done():
                future.set_result(None)
                self._is_admitting = True

    # The connection

    def _is_needed(self) -> bool:
        # Once it is lost, it is tried until it is back, so that the end of the outage is noticed.
        return self.is_lost or any(not future.done() for _, future in self._queue)

    async def _prepare(self, connection: RedisConnection) -> None:
        if self._question:
            self._is_ready = self._loop.create_future()
            connection.write(self._question)
            async with asyncio.timeout(self._ATTEMPT_SECONDS):
                reply = await self._is_ready
            if (error := self._readiness_error(reply)) is not None:
                raise error
            self._question = b""
        # Redis has just come back: other processes that were cut off must have subscribed again first.
        await asyncio.sleep(self._settle())

    def _readiness_error(self, reply: Any) -> Exception | None:
        """Why Redis cannot serve yet, by its reply to the question."""
        if is_loading(reply):
            return loading(self._server.name)
        if isinstance(reply, bytes) and b"role:slave" in reply:
            return is_replica(self._server.name)
        return None

    def _flush(self) -> None:
        self._is_flushing = False
        connection, queue = self._connection, self._queue
        if connection is None or not queue or self._is_held():
            return
        if self._must_load:
            self._put_scripts_first()
        if not self._sent:
            self._outages = self._server.outages
        while queue and connection.can_write and self._sent_bytes < self._WINDOW_BYTES:
            chunks = []
            while queue and self._sent_bytes < self._WINDOW_BYTES:
                item = queue.popleft()
                size = len(item[0])
                self._queued_bytes -= size
                if not item[1].done():  # a caller that has gone does not want it any more
                    self._sent.append(item)
                    self._sent_bytes += size
                    chunks.append(item[0])
            if chunks:
                connection.write(b"".join(chunks))
        self._watch()

    def use_scripts(self) -> None:
        """The scripts of histories are about to be called: load them first, over each new connection."""
        if not self._uses_scripts:
            self._uses_scripts = self._must_load = True

    def _put_scripts_first(self) -> None:
        self._must_load = False
        for future in self._loading:
            future.cancel()  # so that it is not sent again, if it was not answered
        self._loading = [self._loop.create_future() for _ in LOAD_SCRIPTS]
        for item in zip(reversed(LOAD_SCRIPTS), self._loading, strict=True):
            item[1].add_done_callback(_seen)
            self._queue.appendleft(item)
            self._queued_bytes += len(item[0])

    def _received(self, replies: list[Any]) -> None:
        if (
            self._silent_heartbeats >= self._LATE_HEARTBEATS
            and self._outages != self._server.outages
            and self._connection is not None
        ):
            self._reached()
            self._connection.drop(connection_closed(self._server.name))
            return
        if self._is_ready is not None:
            if not self._is_ready.done():
                self._is_ready.set_result(replies[0])
            self._is_ready = None
            return
        self._has_heard = True
        sent = self._sent
        for reply in replies:
            if type(reply) is tuple:  # a notice that nobody asked for
                continue
            if not sent:
                if self._connection is not None:
                    self._connection.drop(not_redis(self._server.name, f"it answers {reply!r} unasked"))
                return
            if type(reply) is ErrorReply and self._connection is not None:
                if is_unknown_script(reply):
                    # Redis was told to forget its scripts. What was sent behind it, in whose place it must not come,
                    # is sent again behind it: receivers know what they have.
                    data, future = sent[0]
                    sent[0] = with_script(data), future
                    self._sent_bytes += len(sent[0][0]) - len(data)
                    self._connection.drop(connection_closed(self._server.name))
                    return
                if is_loading(reply):
                    self._drop_until_ready(command(b"PING"), loading(self._server.name))
                    return
                if is_of_replica(reply):  # it was the master, or whoever names the master does not know the new one
                    self._drop_until_ready(command(b"INFO", b"replication"), is_replica(self._server.name))
                    return
                if self._is_redirected(reply):
                    continue
            data, future = sent.popleft()
            self._sent_bytes -= len(data)
            if future.done():
                continue
            if type(reply) is ErrorReply:
                refused = f"cannot {_DOING}: Redis refuses: {refusal(reply.text)}"
                future.set_exception(WebSocketConnectionError(refused))
            else:
                future.set_result(reply)
        if self._queue:
            self._flush()
        if self._waiting_for_space:
            self._admit_next()

    def _is_redirected(self, reply: ErrorReply) -> bool:
        """Whether another Redis is to execute the oldest command, which has been taken care of."""
        return False

    def _drop_until_ready(self, question: bytes, error: Exception) -> None:
        """Redis cannot serve yet: what it owes an answer for is held until its reply to a question says it can."""
        self._question = question
        if self._connection is not None:
            self._connection.drop(error)

    def _allowed_silence(self, connection: RedisConnection) -> float:
        if not self._sent:
            return 0
        if (unsent := connection.unsent) != self._unsent:  # it takes what it gets, if slowly
            self._silent_heartbeats, self._unsent = 0, unsent
        return self._TIMEOUT_HEARTBEATS + self._sent_bytes / self._LEAST_BYTES_PER_SECOND / self._HEARTBEAT_SECONDS

    def _lost(self, error: Exception) -> None:
        self._queue.extendleft(reversed(self._sent))
        self._queued_bytes += self._sent_bytes
        self._sent.clear()
        self._sent_bytes = 0
        self.losses += 1
        self._must_load = self._uses_scripts
        if isinstance(error, TimeoutError) or self._question:
            self._report_lost(error)
        if self._is_needed():
            self._connect()
        # else it was idle, and Redis closes such connections as it likes. The next command connects.

    def check(self) -> None:
        """The layer was lost, or is back."""
        self._deadlines.check()
        if self._server.is_lost and self._is_full():
            while self._waiting_for_space:
                future = self._waiting_for_space.popleft()
                if not future.done():
                    future.set_exception(self._full())
        if self._queue:
            self._flush()

    async def close(self) -> None:
        await super().close()
        self._deadlines.fail(unreachable(_DOING, "it was closed"))
        self._queue.clear()
        self._sent.clear()
        self._queued_bytes = self._sent_bytes = 0


def _seen(future: asyncio.Future[Any]) -> None:
    """Look at the error of a future that nobody awaits: whose script was not loaded sends it."""
    if not future.cancelled():
        future.exception()
