"""Periodic re-check of the sessions and users of open sockets, for changes that no signal announces."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from asgiref.sync import sync_to_async

from ..conf import conf
from ..threads import threads
from ..types import Scope
from .identity import Identity
from .verification import verify

__all__ = ["CODE", "Rechecks", "UserConnection"]

logger = logging.getLogger("django_fastws.users")

#: "Log in again": of the codes for applications (RFC 6455 section 7.4.2), the one that is like HTTP's 401.
CODE = 4401
_BATCH = 1000  # sockets that are looked at in one go
_FAILURES = 10  # looks in a row
_SOON = 0.05  # seconds within which others may have to be looked at, too
_JITTER = 0.2  # the part of the time that is left to chance, so that processes do not ask all at once


class UserConnection(Protocol):
    """A connection of a user who is logged in.

    Attributes:
        began: the loop's time at which its handshake began.
    """

    began: float

    @property
    def identity(self) -> Identity: ...

    @property
    def scope(self) -> Scope: ...

    def end(self, kind: str, code: int, reason: str) -> None:
        """Close the socket, soon."""


class Rechecks:
    """Looks at sessions and users again every ``FASTWS_SESSION_CHECK_SECONDS``, and closes whose are not the same.

    It belongs to one event loop: one timer, and one task while it looks. A database that fails closes nobody.

    Args:
        connections: says which connections there are.
    """

    def __init__(self, connections: Callable[[], Iterable[UserConnection]]) -> None:
        self._connections = connections
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_wanted = self._has_failed = False

    def start(self) -> None:
        """Start the re-checks: there are connections."""
        self._is_wanted = True
        if self._timer is None and self._task is None:
            self._set_timer()

    def stop(self) -> None:
        """Stop the re-checks: there are no connections any more."""
        self._is_wanted = False
        self._cancel_timer()

    def soon(self, within: float = _SOON) -> None:
        """Look at all before long, whenever they were looked at last.

        Args:
            within: seconds.
        """
        if self._is_wanted and conf.close_on_logout and conf.session_check_seconds is not None:
            delay = random.uniform(0, within)
            if self._timer is None or self._timer.when() > asyncio.get_running_loop().time() + delay:
                self._set_timer(delay)

    async def settled(self) -> None:
        """Wait until nothing is looked at."""
        while self._task is not None:
            await asyncio.wait([self._task])

    def _set_timer(self, delay: float | None = None) -> None:
        if delay is None:
            seconds = conf.session_check_seconds
            if seconds is None:
                return
            delay = seconds * random.uniform(1 - _JITTER, 1)
        self._cancel_timer()
        # In no context: the one here is of some socket, with its thread.
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(delay, self._due, context=contextvars.Context())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        else:
            self._set_timer(_SOON)  # somebody has come since the look that is on its way

    async def _run(self) -> None:
        try:
            if conf.close_on_logout:
                await self._look_at_all(
                    [connection for connection in self._connections() if connection.identity.is_stored]
                )
                self._has_failed = False
        except Exception as error:
            if not self._has_failed:
                self._has_failed = True
                logger.warning("Sessions and users of sockets cannot be looked at, which is tried again: %s", error)
        finally:
            self._task = None
            if self._is_wanted and self._timer is None:
                self._set_timer()

    async def _look_at_all(self, connections: list[UserConnection]) -> None:
        """Look at these; one that fails does not keep the others from being looked at.

        Raises:
            Exception: that of the first that failed. After some in a row it is the database's: the rest is left.
        """
        # One by one, where FASTWS_DB_SETUP says for each in which schema or as whom it is asked.
        size = _BATCH if conf.db_setup is None else 1
        random.shuffle(connections)  # so that what is left is not the same each time
        first: Exception | None = None
        in_a_row = 0
        for at in range(0, len(connections), size):
            try:
                await self._look(connections[at : at + size])
                in_a_row = 0
            except Exception as error:
                first, in_a_row = first or error, in_a_row + 1
                if in_a_row == _FAILURES:
                    break
        if first is not None:
            raise first

    async def _look(self, connections: Collection[UserConnection]) -> None:
        with threads.assigned(next(iter(connections)).scope), threads.unblocked():
            ended = await sync_to_async(verify)([connection.identity for connection in connections])
        for connection in connections:
            if reason := ended.get(connection.identity):
                connection.end("session", CODE, reason)
