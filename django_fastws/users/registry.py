"""Registry of the connections that have a user or a session, and how they are closed.

An event loop that has such connections subscribes to one group of the layer, on which ``disconnect()`` publishes. So
it costs one subscription for each process, however many users there are, and one message to each such process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from .._core.control import GROUP, CloseRequest, decode, is_close_request
from .._core.envelope import Envelope
from ..exceptions import check_close
from ..loops import PerLoop
from ..rooms import Subscriptions
from ..signals import layer_restored
from .rechecks import Rechecks, UserConnection

__all__ = ["Users", "count_users", "current_users"]

logger = logging.getLogger("django_fastws.users")

_MEMORY_SECONDS = 60.0  # for handshakes that began before, or that come with the cookie of a session that has ended
_MEMORY_SIZE = 10_000
_SPREAD = 5.0  # seconds over which processes ask the database after an outage of the layer


class Users:
    """The sockets of one event loop that have a user or a session."""

    def __init__(self) -> None:
        #: By user key; under "" those that have a session and no user.
        self._connections: dict[str, dict[UserConnection, None]] = {}
        self._expected = 0
        #: Close requests of late, by user and session: when, with which code and reason.
        self._closed: OrderedDict[tuple[str, str], tuple[float, int, str]] = OrderedDict()
        self._rechecks = Rechecks(self._all)
        self._subscriptions = Subscriptions(
            self.deliver, what="disconnect()", logger=logger, on_subscribed=self._rechecks.soon
        )
        self._has_failed = False

    def __len__(self) -> int:
        """Number of users."""
        return len(self._connections.keys() - {""})

    def _all(self) -> list[UserConnection]:
        return [connection for connections in self._connections.values() for connection in connections]

    # Looking up a user comes after subscribing: a log-out after the look is received, one before it is seen.

    def expect(self) -> None:
        """Subscribe from now on, before looking up a user who may be logged in, until ``unexpect()``."""
        self._expected += 1
        self._subscriptions.keep(GROUP)

    @property
    def is_subscribed(self) -> bool:
        """Whether other processes can close sockets here."""
        return self._subscriptions.is_subscribed(GROUP)

    async def wait_until_subscribed(self) -> None:
        """Wait until other processes can close sockets here. If the layer is away, that is not waited for."""
        if not self._subscriptions.stands(GROUP):
            await self._subscriptions.wait(GROUP)

    def unexpect(self) -> None:
        """Take back one ``expect()``: nobody is logged in after all, or the socket is over."""
        self._expected -= 1
        self._stop_if_idle()

    def add(self, connection: UserConnection) -> None:
        """Add a socket. From now on it is ended with its user; before it is open, that is only remembered."""
        self._connections.setdefault(connection.identity.user, {})[connection] = None
        self._subscriptions.keep(GROUP)  # if it has to begin only now, the socket is looked at again then
        self._rechecks.start()

    async def admitted(self, connection: UserConnection) -> tuple[int, str] | None:
        """Wait until other processes can close a socket that was added.

        Returns:
            Close code and reason, if it was ended while its handshake was on its way; None if it may go on.
        """
        if not self._subscriptions.stands(GROUP):
            await self._subscriptions.wait(GROUP)
        return self._close_status(connection)

    def discard(self, connection: UserConnection) -> None:
        """Remove a socket, if it is there."""
        user = connection.identity.user
        connections = self._connections.get(user)
        if connections is not None:
            connections.pop(connection, None)
            if not connections:
                del self._connections[user]
                self._stop_if_idle()

    def _stop_if_idle(self) -> None:
        if not self._connections:
            self._rechecks.stop()
            if not self._expected:
                self._subscriptions.release(GROUP)

    async def settled(self) -> None:
        """Wait until the layer's subscription, if nobody is left, is given back."""
        await self._rechecks.settled()
        await self._subscriptions.settled()

    def _close_status(self, connection: UserConnection) -> tuple[int, str] | None:
        user, session = connection.identity.user, connection.identity.session
        for key in ((user, ""), ("", session)):
            at, code, reason = self._closed.get(key, (-1.0, 0, ""))
            if at >= connection.began:
                return code, reason
        # A session that has ended never comes back, so a handshake with its cookie was quicker than the log-out.
        ended = self._closed.get((user, session)) if user and session else None
        return None if ended is None else ended[1:]

    def recheck(self, within: float) -> None:
        """Look at sessions and users again, within so many seconds."""
        self._rechecks.soon(within)

    def deliver(self, envelope: Envelope) -> None:
        """Carry out close requests. Never raises: this is called by the broker."""
        if not is_close_request(envelope):
            return  # of another release
        try:
            for request in decode(envelope):
                check_close(request.code, request.reason)
                self._close(request)
        except Exception as error:
            # Any publisher of the layer can send anything: no traceback helps, and what it holds may be long.
            if not self._has_failed:
                self._has_failed = True
                what = f"{type(error).__name__}: {str(error)[:200]}"
                logger.warning("Ignoring messages about users that make no sense: %s", what)

    def _close(self, request: CloseRequest) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for session in {request.session, ""} if request.others else {request.session}:
            self._closed[request.user, session] = (now, request.code, request.reason)
            self._closed.move_to_end((request.user, session))
        while len(self._closed) > _MEMORY_SIZE or next(iter(self._closed.values()))[0] < now - _MEMORY_SECONDS:
            self._closed.popitem(last=False)
        # Nothing finds sockets by their session alone: it is rarely asked for, and there are not that many here.
        candidates = self._connections.get(request.user, ()) if request.user else self._all()
        meant = [
            connection
            for connection in candidates
            if request.others or connection.identity.session == request.session
        ]
        if request.delay and meant:
            loop.call_later(request.delay, _close_all, meant, request)
        else:
            _close_all(meant, request)


def _close_all(connections: Iterable[UserConnection], request: CloseRequest) -> None:
    for connection in connections:
        connection.end("disconnect", request.code, request.reason)


_users = PerLoop(Users)


def current_users() -> Users:
    """The sockets of the running event loop."""
    return _users.get()


def count_users() -> int:
    """Number of users who have a socket in this process."""
    return len({key for _, users in _users.items() for key in list(users._connections)} - {""})


def _recheck_all(**kwargs: Any) -> None:
    """The layer is back: what was published meanwhile was not heard."""
    for loop, users in _users.items():
        with contextlib.suppress(RuntimeError):  # of a loop that is closed
            loop.call_soon_threadsafe(users.recheck, _SPREAD)


layer_restored.connect(_recheck_all, dispatch_uid="django_fastws.users")
