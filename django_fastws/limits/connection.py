"""The place of one connection: what it is counted for, when it has to end, and how it is closed from outside."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from .._core.counts import Counts
from .._core.rates import Bucket, Rate
from .._core.suspension import Suspension
from ..tasks import BackgroundTasks
from ..transports import ASGITransport
from ..types import Message, Receive, Scope
from ..users import Identity
from .denials import count_close

__all__ = ["ReceiveLimiter", "LimitedConnection"]

logger = logging.getLogger("django_fastws.limits")

_PATIENCE = 1.0  # seconds for a client to take its close frame
_NOBODY = Identity()
_closing = BackgroundTasks(logger)


class LimitedConnection:
    """The place of one connection, from its admission to the end of its handler.

    One timer serves the idle time-out and the lifetime together. Messages do not move it: when it is due, it looks at
    when the last one came, and is set anew.

    Args:
        transport: of the connection.
        close: closes it as its handler would, with a code and a reason.
        identity: its user and session; None where nobody is logged in.
        began: when the handshake came, in the loop's time.

    Attributes:
        heard: when the last message came, in the loop's time.
        ended: close code and reason, once it was closed from outside.
        meter: what its messages pass, if they pass one.
    """

    __slots__ = (
        "_close",
        "_held",
        "_idle_timeout",
        "_inbox",
        "_is_open",
        "_lives_until",
        "_timer",
        "_transport",
        "began",
        "ended",
        "heard",
        "identity",
        "meter",
    )

    def __init__(
        self,
        transport: ASGITransport,
        close: Callable[[int, str], Awaitable[None]],
        *,
        identity: Identity | None = None,
        began: float = 0.0,
    ) -> None:
        self._transport = transport
        self._close = close
        self._inbox = transport.inbox
        self._held: tuple[tuple[Counts, str], ...] = ()
        self._is_open = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle_timeout: float | None = None
        self._lives_until: float | None = None
        self.identity = identity or _NOBODY
        self.began = began
        self.heard = began
        self.ended: tuple[int, str] | None = None
        self.meter: ReceiveLimiter | None = None

    def hold(self, counts: Counts, key: str, limit: int | None) -> bool:
        """Be counted until it leaves, unless that were over the limit; whether it is."""
        if not counts.take(key, limit):
            return False
        self._held += ((counts, key),)
        return True

    def leave(self) -> None:
        """The connection is over, or was not let in: give back all that it was counted for."""
        held, self._held = self._held, ()
        for counts, key in held:
            counts.give(key)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Time

    def open(self, idle_timeout: float | None, max_lifetime: float | None) -> None:
        """The connection is let in. From now on it ends by itself, and is closed by ``end()``.

        Args:
            idle_timeout: seconds without a message after which it ends; None is without end.
            max_lifetime: seconds after which it ends in any case; None is without end.
        """
        self._is_open = True
        if idle_timeout is None and max_lifetime is None:
            return
        now = asyncio.get_running_loop().time()
        self.heard = now
        self._idle_timeout = idle_timeout
        self._lives_until = None if max_lifetime is None else now + max_lifetime
        self._set_timer()

    def _set_timer(self) -> None:
        idle_until = None if self._idle_timeout is None else self.heard + self._idle_timeout
        due = min(until for until in (idle_until, self._lives_until) if until is not None)
        self._timer = asyncio.get_running_loop().call_at(due, self._look)

    def _look(self) -> None:
        if self._transport.gone is not None:
            return  # it is over, and its handler has not ended yet
        now = asyncio.get_running_loop().time()
        if self._lives_until is not None and now >= self._lives_until:
            self.end("max_lifetime", 1013, "the lifetime is over, connect again")
            return
        if self._idle_timeout is not None:
            if not self._transport.answered or not self.is_read:
                self.heard = now  # the client is not to blame: it could not send yet, or was not heard
            elif now >= self.heard + self._idle_timeout:
                self.end("idle_timeout", 1008, "idle for too long")
                return
        self._set_timer()

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do when the connection is over, or to end it before."""
        return bool(self.identity.user or self._held or self._timer)

    @property
    def scope(self) -> Scope:
        """Of the connection."""
        return self._transport.scope

    @property
    def is_mute(self) -> bool:
        """Whether the server has no inbox to be seen, where whoever waits for a message could be told of the end."""
        return self._inbox is None

    @property
    def is_read(self) -> bool:
        """Whether all that has come was received, as far as the server lets it be seen."""
        return self._inbox is None or self._inbox.empty()

    # Its end

    def end(self, kind: str, code: int, reason: str) -> None:
        """Close the connection from outside its handler, soon. The first call counts.

        Before ``open()`` it is only remembered, for whoever decides whether to let it in.
        """
        if not self._is_open:
            self.ended = self.ended or (code, reason)
        elif self.ended is None:
            _closing.start(self.aend(kind, code, reason))

    async def aend(self, kind: str, code: int, reason: str) -> None:
        """Close it, and have whoever waits for a message learn of it; returns after a second at the latest.

        Args:
            kind: of what it is counted as: the limit that it is over, "disconnect", or "session".
        """
        if self.ended is not None or self._transport.gone is not None:
            return
        self.ended = (code, reason)
        count_close(kind, self._transport.scope, code, reason)
        closing = _closing.start(self._close_now(code, reason))
        try:
            # Not asyncio.timeout(): there is a server whose close swallows a cancellation.
            await asyncio.wait([closing], timeout=_PATIENCE)
            if not closing.done():  # the client does not even take its close frame
                closing.cancel()
                self._transport.gone = (code, reason)
                self._transport.cut()
        finally:
            if self.meter is not None:
                self.meter.resume()
            if self._inbox is not None:
                # The server's own event comes when the client has answered: too late, and behind what it still sends.
                with contextlib.suppress(asyncio.QueueFull):
                    self._inbox.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    async def _close_now(self, code: int, reason: str) -> None:
        try:
            if self.meter is not None:
                await self.meter.interrupt()
            await self._close(code, reason)
        except Exception:
            logger.exception("A WebSocket could not be closed")

    def farewell(self) -> Message | None:
        """The event that tells of the end; None before it was closed from outside."""
        if self.ended is None:
            return None
        code, reason = self.ended
        return {"type": "websocket.disconnect", "code": code, "reason": reason}


class ReceiveLimiter:
    """What is between a transport and its server's ``receive`` on a connection whose messages are limited.

    Args:
        connection: of the connection; it is told when a message came.
        receive: the server's.
        rate: of messages; None is no limit.
        max_bytes: of a message; None is no limit.
    """

    __slots__ = (
        "_bucket",
        "_connection",
        "_empty_at",
        "_max_bytes",
        "_rate",
        "_receive",
        "_resumed",
        "_stopped",
        "_time",
        "_waiting",
    )

    def __init__(
        self, connection: LimitedConnection, receive: Receive, rate: Rate | None, max_bytes: int | None
    ) -> None:
        self._connection = connection
        self._receive = receive
        self._rate = rate
        self._max_bytes = max_bytes
        self._time = asyncio.get_running_loop().time
        self._bucket = Bucket(self._time())
        #: When it was last certain that no message waited to be received: what is received came after that.
        self._empty_at = self._time()
        # On servers without an inbox: who waits for a message, and is stopped for the end.
        self._waiting: asyncio.Task[Any] | None = None
        self._stopped: asyncio.Future[None] | None = None
        self._resumed: asyncio.Future[None] | None = None
        connection.meter = self

    async def receive(self) -> Message:
        """The next event that is within the limits; over one, the connection is closed and its end is the next."""
        connection = self._connection
        event = connection.farewell() or await self._watched_next()
        if event["type"] == "websocket.receive":
            over = self._over(event)
            if over is not None:
                await connection.aend(*over)
        return connection.farewell() or event

    async def _watched_next(self) -> Message:
        """The server's next event; notes when nothing was waiting."""
        connection = self._connection
        if self._rate is None:
            return await (self._next() if connection.is_mute else self._receive())
        if not connection.is_mute:
            is_empty = connection.is_read
            try:
                return await self._receive()
            finally:
                if is_empty:
                    self._empty_at = self._time()
        waiting = Suspension(self._next())
        try:
            return await waiting
        finally:
            if waiting.has_waited:
                self._empty_at = self._time()

    async def _next(self) -> Message:
        """The server's next event, unless ``interrupt()`` is called."""
        task = self._waiting = asyncio.current_task()
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if self._stopped is None or task is None:
                raise
            self._has_stopped()
            if task.uncancel():  # others have cancelled it, too
                raise
            await cast("asyncio.Future[None]", self._resumed)
            return {"type": "websocket.disconnect", "code": 1006}
        finally:
            self._waiting = None
            self._has_stopped()

    async def interrupt(self) -> None:
        """Have whoever waits for a message stop until ``resume()``; some servers close nobody who is waited for."""
        if self._waiting is not None:
            loop = asyncio.get_running_loop()
            self._stopped, self._resumed = loop.create_future(), loop.create_future()
            self._waiting.cancel()
            await self._stopped

    def resume(self) -> None:
        """Have whoever was stopped learn of the end."""
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    def _has_stopped(self) -> None:
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)

    def _over(self, event: Message) -> tuple[str, int, str] | None:
        """The limit that a message is over, with a close code and reason; None if it is within all."""
        now = self._connection.heard = self._time()
        # What waited while the handler was busy may have come evenly, and is counted as if it had.
        if self._rate is not None and self._bucket.take(self._rate, now, self._empty_at):
            return "rate", 1008, f"over the rate of {self._rate} messages"
        if self._max_bytes is not None and _is_over(event, self._max_bytes):
            return "max_message_bytes", 1009, f"over {self._max_bytes} bytes"
        return None


def _is_over(event: Message, limit: int) -> bool:
    text = event.get("text")
    if text is None:
        return len(event.get("bytes") or b"") > limit
    if len(text) > limit or len(text) * 4 <= limit or text.isascii():
        return len(text) > limit
    return len(text.encode("utf-8", "surrogatepass")) > limit
