"""A line to one Redis, made when it is needed and made again when it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ...tasks import cancel_and_wait
from ..errors import silence
from ..outages import Server
from .connection import Connection

__all__ = ["Line"]


class Line:
    """What the lines that publish and that are subscribed have in common. It belongs to one event loop.

    Args:
        server: is told when the line is lost and when it is back.
        pool: of redis-py; makes the connections.
        reached: called when Redis is there again, after the line was lost, and before the line is back.
        changed: called after the line was lost, and after it is back.
    """

    _ATTEMPT_SECONDS = 3.0  # that connecting may take, with everything that comes before the first command
    _FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5  # seconds between attempts
    _PULSE_SECONDS = 0.5  # between two looks at whether Redis says anything
    _PATIENCE = 3  # pulses without an answer

    def __init__(
        self,
        server: Server,
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
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._pulse: asyncio.TimerHandle | None = None
        self._has_heard = False
        self._silent = 0
        #: Seconds that connecting took: as slow may an answer be, until one was faster.
        self._slowness = 0.0

    @property
    def is_lost(self) -> bool:
        """Whether it broke, and could not be made again yet."""
        return self._server.is_missed_by(self)

    def _connect(self) -> None:
        if self._connecting is None:
            self._connecting = self._loop.create_task(self._keep_connecting())

    async def _keep_connecting(self) -> None:
        pause = self._FIRST_PAUSE
        try:
            while self._connection is None and self._is_needed():
                connection = Connection(self._server.name, self._received, self._broken, self._flush)
                started = self._loop.time()
                try:
                    await connection.open(self._pool, self._ATTEMPT_SECONDS)
                    slowness = self._loop.time() - started
                    if self.is_lost:
                        self._reached()
                    await self._prepare(connection)
                    if connection.error is not None:
                        raise connection.error
                    self._connection, self._has_heard, self._slowness = connection, True, slowness
                except asyncio.CancelledError:
                    await connection.close()
                    raise
                except Exception as error:
                    await connection.close()
                    self._forget()
                    if self._is_needed():
                        self._missed(error)
                        await asyncio.sleep(pause)
                        pause = min(self._LONGEST_PAUSE, pause * 2)
        finally:
            self._connecting = None
        self._returned()
        self._flush()

    def _broken(self, error: Exception) -> None:
        if self._connection is None:
            return  # whoever prepares it looks at its error
        self._connection = None
        self._lost(error)

    def _missed(self, error: Exception) -> None:
        was_lost = self._server.is_lost
        self._server.lost(self, error)
        if not was_lost:
            self._changed()

    def _returned(self) -> None:
        if self._server.is_lost:
            self._server.back(self, None)
            self._changed()

    # Is anybody there?

    def _watch(self) -> None:
        if self._pulse is None:
            self._has_heard, self._silent = False, 0
            self._pulse = self._loop.call_later(self._PULSE_SECONDS, self._look)

    def _look(self) -> None:
        # A loop that was held up counts as one pulse, and has read before it comes here.
        self._pulse = None
        connection = self._connection
        if connection is None or not (patience := self._patience(connection)):
            return
        patience += 2 * self._slowness / self._PULSE_SECONDS
        if self._has_heard:
            if self._silent == 1:
                self._slowness = 0.0
            self._has_heard, self._silent = False, 0
            self._server.back(None)  # a thread that misses it need not
        else:
            self._silent += 1
        if self._silent > patience:
            connection.drop(silence(self._server.name))
            return
        if self._silent == 1:
            self._probe(connection)
        self._pulse = self._loop.call_later(self._PULSE_SECONDS, self._look)

    # For the two kinds

    def _is_needed(self) -> bool:
        """Whether somebody waits for the line."""
        raise NotImplementedError

    async def _prepare(self, connection: Connection) -> None:
        """What is to be done with a new connection before it is used."""
        raise NotImplementedError

    def _received(self, replies: list[Any]) -> None:
        raise NotImplementedError

    def _flush(self) -> None:
        """Send what waits, if the line is ready."""
        raise NotImplementedError

    def _patience(self, connection: Connection) -> float:
        """For how many pulses Redis may say nothing; 0 if nothing is expected of it."""
        raise NotImplementedError

    def _probe(self, connection: Connection) -> None:
        """Redis has said nothing for a pulse: make it say something."""

    def _forget(self) -> None:
        """What was sent over a connection that is gone."""

    def _lost(self, error: Exception) -> None:
        """A line that was ready has broken."""
        raise NotImplementedError

    async def close(self) -> None:
        """End it."""
        if self._connecting is not None:
            await cancel_and_wait(self._connecting)
        if self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        self._server.back(self)
