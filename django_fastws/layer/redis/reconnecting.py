"""Reconnecting connection to one Redis: made when it is needed, retried with a backoff, watched by heartbeats.

Base of ``publisher.py`` and ``subscriber.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ...tasks import cancel_and_wait
from ..errors import not_answering
from ..outages import LayerServer
from .connection import RedisConnection

__all__ = ["ReconnectingConnection"]


class ReconnectingConnection:
    """Reconnecting connection, as publishers and subscribers have it in common. It belongs to one event loop.

    Args:
        server: is told when the connection is lost and when it is back.
        pool: of redis-py; makes the connections.
        reached: called when Redis is there again, after the connection was lost, and before it is back.
        changed: called after the connection was lost, and after it is back.
    """

    _ATTEMPT_SECONDS = 3.0  # that connecting may take, with everything that comes before the first command
    _FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5  # seconds between attempts
    _HEARTBEAT_SECONDS = 0.5  # between two looks at whether Redis says anything
    _TIMEOUT_HEARTBEATS = 3  # without an answer

    def __init__(
        self,
        server: LayerServer,
        pool: Any,
        *,
        reached: Callable[[], None] = lambda: None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._server = server
        self._pool = pool
        self._reached = reached
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        #: Ready to be used; None while it is being made.
        self._connection: RedisConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._heartbeat: asyncio.TimerHandle | None = None
        self._has_heard = False
        self._silent_heartbeats = 0
        #: Seconds that connecting took: as slow may an answer be, until one was faster.
        self._connect_seconds = 0.0

    @property
    def is_lost(self) -> bool:
        """Whether it broke, and could not be made again yet."""
        return self._server.is_lost_for(self)

    def _connect(self) -> None:
        if self._connecting is None:
            self._connecting = self._loop.create_task(self._keep_connecting())

    async def _keep_connecting(self) -> None:
        pause = self._FIRST_PAUSE
        try:
            while self._connection is None and self._is_needed():
                connection = RedisConnection(self._server.name, self._received, self._connection_broke, self._flush)
                started = self._loop.time()
                try:
                    await connection.open(self._pool, self._ATTEMPT_SECONDS)
                    connect_seconds = self._loop.time() - started
                    if self.is_lost:
                        self._reached()
                    await self._prepare(connection)
                    if connection.error is not None:
                        raise connection.error
                    self._connection, self._has_heard, self._connect_seconds = connection, True, connect_seconds
                except asyncio.CancelledError:
                    await connection.close()
                    raise
                except Exception as error:
                    await connection.close()
                    self._forget()
                    if self._is_needed():
                        self._report_lost(error)
                        await asyncio.sleep(pause)
                        pause = min(self._LONGEST_PAUSE, pause * 2)
        finally:
            self._connecting = None
        self._end_outage()
        self._flush()

    def _connection_broke(self, error: Exception) -> None:
        if self._connection is None:
            return  # the task that prepares it looks at its error
        self._connection = None
        self._lost(error)

    def _report_lost(self, error: Exception) -> None:
        was_lost = self._server.is_lost
        self._server.report_lost(self, error)
        if not was_lost:
            self._changed()

    def _end_outage(self) -> None:
        if self._server.is_lost:
            (self._server.give_up if self._connection is None else self._server.report_restored)(self, None)
            self._changed()

    # Heartbeats

    def _watch(self) -> None:
        if self._heartbeat is None:
            self._has_heard, self._silent_heartbeats = False, 0
            self._heartbeat = self._loop.call_later(self._HEARTBEAT_SECONDS, self._check_heartbeat)

    def _check_heartbeat(self) -> None:
        # A loop that was held up counts as one heartbeat, and has read before it comes here.
        self._heartbeat = None
        connection = self._connection
        if connection is None or not (allowed := self._allowed_silence(connection)):
            return
        allowed += 2 * self._connect_seconds / self._HEARTBEAT_SECONDS
        if self._has_heard:
            if self._silent_heartbeats == 1:
                self._connect_seconds = 0.0
            self._has_heard, self._silent_heartbeats = False, 0
            self._server.report_restored(None)  # a thread that misses it need not
        else:
            self._silent_heartbeats += 1
        if self._silent_heartbeats > allowed:
            connection.drop(not_answering(self._server.name))
            return
        if self._silent_heartbeats == 1:
            self._probe(connection)
        self._heartbeat = self._loop.call_later(self._HEARTBEAT_SECONDS, self._check_heartbeat)

    # For the two kinds

    def _is_needed(self) -> bool:
        """Whether somebody waits for the connection."""
        raise NotImplementedError

    async def _prepare(self, connection: RedisConnection) -> None:
        """Prepare a new connection before it is used."""
        raise NotImplementedError

    def _received(self, replies: list[Any]) -> None:
        raise NotImplementedError

    def _flush(self) -> None:
        """Send what waits, if the connection is ready."""
        raise NotImplementedError

    def _allowed_silence(self, connection: RedisConnection) -> float:
        """Number of heartbeats for which Redis may say nothing; 0 if nothing is expected of it."""
        raise NotImplementedError

    def _probe(self, connection: RedisConnection) -> None:
        """Redis has said nothing for a heartbeat: make it answer."""

    def _forget(self) -> None:
        """Forget what was sent over a connection that is gone."""

    def _lost(self, error: Exception) -> None:
        """A connection that was ready has broken."""
        raise NotImplementedError

    async def close(self) -> None:
        """End it."""
        if self._connecting is not None:
            await cancel_and_wait(self._connecting)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        self._server.give_up(self)
