"""Connection of an event loop to Redis: opened by redis-py, then read and written here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..._core.resp import ReplyReader
from ..errors import connection_closed, not_answering, not_redis, output_buffer_limit
from .compatibility import buffered, new_connection, release_streams, streams_of

__all__ = ["RedisConnection"]

_LARGE, _BEHIND = 64 * 1024, 512 * 1024  # bytes


class RedisConnection(asyncio.Protocol):
    """Connection as an asyncio protocol: bytes out, replies in, without a task, a lock or a future between.

    redis-py knows how to reach a server: addresses, TLS, passwords, Sentinel, versions of the protocol. Its way of
    reading and writing makes a chain of coroutines for each reply. So when it has connected, its transport gets
    this as its protocol.

    Args:
        name: of the Redis, for errors.
        received: called with the replies that have come, in order.
        lost: called once when the connection is lost, but not after ``close()``.
        writable: called when it takes bytes again, after ``can_write`` was False.
    """

    def __init__(
        self,
        name: str,
        received: Callable[[list[Any]], None],
        lost: Callable[[Exception], None],
        writable: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._received = received
        self._lost = lost
        self._writable = writable
        self._reader = ReplyReader()
        self._opened: Any = None
        self._streams: Any = None
        self._transport: Any = None
        #: Done when the connection has ended.
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.can_write = False
        self.is_open = False
        #: How many bytes have come in large reads since the last small one, without a pause, that is; and before it.
        self._unpaused = self._unpaused_before = 0
        #: What ended it, unless it was ``close()``.
        self.error: Exception | None = None

    async def open(self, pool: Any, seconds: float) -> None:
        """Connect, as a redis-py pool says.

        Args:
            pool: makes the connection; it does not count it.
            seconds: the longest that this may take.
        Raises:
            TimeoutError: it took longer.
            Exception: those of redis-py and of sockets.
        """
        connection = new_connection(pool)
        try:
            try:
                async with asyncio.timeout(seconds) as limit:
                    await connection.connect()
            except TimeoutError as error:
                raise (not_answering(self._name) if limit.expired() else error) from None
            await self._take(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise

    async def _take(self, connection: Any) -> None:
        """Replace the streams of a connection of redis-py as the protocol of its transport."""
        reader, writer = streams_of(connection)
        self._opened, self._transport = connection, writer.transport
        self._streams = self._transport.get_protocol()
        self._transport.set_protocol(self)
        self.can_write = self.is_open = True
        if early := await buffered(reader):
            self.data_received(early)

    def write(self, data: bytes) -> None:
        """Send. What cannot be sent at once is buffered; ``can_write`` says when that is too much."""
        self._transport.write(data)

    @property
    def unsent(self) -> int:
        """Number of bytes that are buffered."""
        return int(self._transport.get_write_buffer_size())

    def drop(self, error: Exception) -> None:
        """End it at once because of an error: ``lost`` is called with it."""
        if self.is_open:
            self._end(error)
            self._transport.abort()

    def _end(self, error: Exception) -> None:
        self.is_open = self.can_write = False
        self.error = error
        self._lost(error)

    async def close(self) -> None:
        """End it, and wait for the end; ``lost`` is not called."""
        self.is_open = self.can_write = False
        if self._transport is not None:
            self._transport.abort()
            await asyncio.wait([self.closed], timeout=1)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        if not self.is_open:
            return
        if len(data) >= _LARGE:
            self._unpaused += len(data)
        else:
            self._unpaused, self._unpaused_before = 0, self._unpaused
        try:
            replies = self._reader.feed(data)
        except ValueError as error:
            self.drop(not_redis(self._name, error))
            return
        self._received(replies)

    def connection_lost(self, exc: Exception | None) -> None:
        # redis-py's object would complain that nobody has closed it, and asyncio's would wait for ever.
        self._streams.connection_lost(exc)
        release_streams(self._opened)
        if not self.closed.done():
            self.closed.set_result(None)
        if self.is_open:
            # Who is far behind finds all that the kernel could hold, and then the end.
            unpaused = max(self._unpaused, self._unpaused_before)  # the last may be a small one
            is_behind = unpaused >= _BEHIND and isinstance(exc, ConnectionError | None)
            self._end(output_buffer_limit(self._name) if is_behind else exc or connection_closed(self._name))

    def pause_writing(self) -> None:
        self.can_write = False

    def resume_writing(self) -> None:
        self.can_write = self.is_open
        if self.can_write:
            self._writable()
