"""Rate limit and size limit of a route, for the messages of one connection.

The size limit that holds without one, ``FASTWS_MAX_MESSAGE_BYTES``, is the server's: ``server/server.py``.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from .._core.rates import Bucket, Rate
from .._core.suspension import Suspension
from ..types import Message, Receive
from .limited_connection import LimitedConnection
from .table import MAX_MESSAGE_BYTES, MESSAGE_RATE

__all__ = ["ReceiveLimiter"]


class ReceiveLimiter:
    """Rate and size limiter of received messages, between the transport and its server's ``receive``.

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
        connection.receive_limiter = self

    async def receive(self) -> Message:
        """The next event that is within the limits; over one, the connection is closed and its end is the next."""
        connection = self._connection
        event = connection.disconnect_event() or await self._watched_next()
        if event["type"] == "websocket.receive":
            over = self._over(event)
            if over is not None:
                await connection.aend(*over)
        return connection.disconnect_event() or event

    async def _watched_next(self) -> Message:
        """The server's next event; notes when nothing was waiting."""
        connection = self._connection
        if self._rate is None:
            return await (self._receive() if connection.has_inbox else self._next())
        if connection.has_inbox:
            is_empty = connection.is_drained
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
        """Suspend a waiting ``receive()`` until ``resume()``: some servers close no connection meanwhile."""
        if self._waiting is not None:
            loop = asyncio.get_running_loop()
            self._stopped, self._resumed = loop.create_future(), loop.create_future()
            self._waiting.cancel()
            await self._stopped

    def resume(self) -> None:
        """Resume the suspended task, which then receives the disconnect event."""
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    def _has_stopped(self) -> None:
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)

    def _over(self, event: Message) -> tuple[str, int, str] | None:
        """The limit that a message is over, with a close code and reason; None if it is within all."""
        now = self._connection.last_message_at = self._time()
        # What waited while the handler was busy may have come evenly, and is counted as if it had.
        if self._rate is not None and self._bucket.take(self._rate, now, self._empty_at):
            return MESSAGE_RATE.closing(self._rate)
        if self._max_bytes is not None and _is_over(event, self._max_bytes):
            return MAX_MESSAGE_BYTES.closing(self._max_bytes)
        return None


def _is_over(event: Message, limit: int) -> bool:
    text = event.get("text")
    if text is None:
        return len(event.get("bytes") or b"") > limit
    if len(text) > limit or len(text) * 4 <= limit or text.isascii():
        return len(text) > limit
    return len(text.encode("utf-8", "surrogatepass")) > limit
