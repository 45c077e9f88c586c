"""Admission control of one route: limits and access rules, before its handler runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from .._core.counts import Counts
from .._core.rates import Bucket
from ..threads import threads
from ..traced_sockets import HANDSHAKE_TIME
from ..transports import ASGITransport
from ..users import Identity, current_users, is_loaded, load_session
from ..websocket import ClientState, InboundWebSocket, WebSocket
from .access import Access
from .denials import Denial
from .limited_connection import LimitedConnection
from .process import counted_address, process_limits
from .receive_limiter import ReceiveLimiter
from .recording import record_denial
from .table import (
    CONNECTION_LIMITS,
    HANDSHAKE_RATE,
    IDLE_TIMEOUT,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_ADDRESS,
    MAX_CONNECTIONS_PER_USER,
    MAX_LIFETIME,
    MAX_MESSAGE_BYTES,
    MESSAGE_RATE,
    Limit,
    Limits,
)

__all__ = ["HANDSHAKE_TIME", "Admission", "ConnectionDenied"]


class ConnectionDenied(Exception):
    """A connection was denied, and has been answered."""


class Admission:
    """Admission control of one route: its limits, its access rules, and who is counted for it.

    Args:
        limits, access: of the route.
    """

    def __init__(self, limits: Limits, access: Access) -> None:
        self.limits = limits
        self.access = access
        self._counts = {limit: Counts() for limit in CONNECTION_LIMITS}
        self._handshakes = Bucket(time.monotonic())

    async def admit(
        self, ws: WebSocket, transport: ASGITransport, close: Callable[[int, str], Awaitable[None]]
    ) -> LimitedConnection | None:
        """Let a connection in, or deny it.

        What costs least is looked at first: what the route may hold, then who may connect, then the user's limit.

        Args:
            close: closes the connection from outside its handler.
        Returns:
            The connection, to be left when it is over; None if nothing limits it.
        Raises:
            ConnectionDenied: it was denied, and has been answered.
        """
        scope = transport.scope
        if not is_loaded(scope.get("session")):  # what a handler reads in async code
            with threads.assigned(scope):
                await load_session(scope)
        began = scope.pop(HANDSHAKE_TIME, None) or asyncio.get_running_loop().time()
        connection = LimitedConnection(transport, close, identity=Identity.of(scope), began=began)
        try:
            if connection.identity.is_known:
                current_users().add(connection)
            denial = (
                self._for_the_route(connection)
                or await self.access.denial(ws)
                or self._for_the_user(connection)
                or await self._ended(connection)
            )
            if denial is None and not ws.closed:
                return self._opened(ws, connection, transport)
        except BaseException:
            self.leave(connection)
            raise
        self.leave(connection)
        if denial is not None:
            record_denial(denial, scope)
            if ws.client_state is ClientState.CONNECTING:
                await transport.deny(denial.status, denial.text, denial.headers)
            else:  # a rule has accepted it
                await ws.close(1008, "denied")
        elif transport.state.is_denied and not connection.is_ended:
            record_denial(Denial("permission", 403, "Forbidden", "a rule has closed it"), scope)
        raise ConnectionDenied

    async def admit_user(
        self, transport: ASGITransport, close: Callable[[int, str], Awaitable[None]], user: Any, *, began: float
    ) -> LimitedConnection:
        """Admit the user of an open connection, who is known only now, by a token; the scope has that user then.

        As for one who is known by a session: the connections are counted, and ``disconnect()`` closes this one.

        Args:
            close: closes the connection from outside its handler.
            began: the loop's time at which the look-up of the user began; who was disconnected after that is denied.
        Returns:
            What is to be left when the connection is over.
        Raises:
            ConnectionDenied: the user has too many connections, or was disconnected meanwhile; the text says which.
        """
        scope, former = transport.scope, transport.scope.get("user")
        scope["user"] = user
        connection = LimitedConnection(transport, close, identity=Identity.of(scope), began=began)
        connection.start(None, None)
        is_admitted = False
        try:
            current_users().add(connection)
            denial = self._for_the_user(connection)
            if denial is not None:
                raise ConnectionDenied(denial.text)
            if await current_users().admitted(connection) is not None:
                raise ConnectionDenied("the user was disconnected meanwhile")
            is_admitted = True
        finally:
            if not is_admitted:
                scope["user"] = former
                self.leave(connection)
        if not connection.has_inbox:
            transport.wrap_receive(lambda receive: ReceiveLimiter(connection, receive, None, None).receive)
        return connection

    def leave(self, connection: LimitedConnection | None) -> None:
        """The connection is over, or was not let in."""
        if connection is not None:
            if connection.identity.is_known:
                current_users().discard(connection)
            connection.release()

    def _for_the_route(self, connection: LimitedConnection) -> Denial | None:
        rate = self.limits.get(HANDSHAKE_RATE)
        if rate is not None and (wait := self._handshakes.take(rate, time.monotonic())):
            return HANDSHAKE_RATE.denial(rate, retry_after=wait)
        return self._count(MAX_CONNECTIONS, connection, "") or self._count(
            MAX_CONNECTIONS_PER_ADDRESS, connection, counted_address(connection.scope)
        )

    def _for_the_user(self, connection: LimitedConnection) -> Denial | None:
        user = connection.identity.user
        return self._count(MAX_CONNECTIONS_PER_USER, connection, user or None, user)

    def _count(
        self, limit: Limit[int | None], connection: LimitedConnection, key: str | None, whose: str = ""
    ) -> Denial | None:
        """Count a connection for a limit, unless it is over it; under the key None it is not counted."""
        most = self.limits.get(limit)
        if most is None or key is None:
            return None
        counts = self._counts if self.limits.is_own(limit) else process_limits.counts
        return None if connection.acquire(counts[limit], key, most) else limit.denial(most, whose)

    async def _ended(self, connection: LimitedConnection) -> Denial | None:
        user = connection.identity.user
        status = await current_users().admitted(connection) if connection.identity.is_known else None
        if status is not None:
            connection.end("disconnect", *status)
        event = connection.disconnect_event()
        if event is None:
            return None
        return Denial("disconnect", 403, event["reason"], f"{user or 'the session'} was disconnected meanwhile")

    def _opened(
        self, ws: WebSocket, connection: LimitedConnection, transport: ASGITransport
    ) -> LimitedConnection | None:
        if isinstance(ws, InboundWebSocket):  # what a consumer is in cannot be joined
            ws.close_from_outside = connection.end
        get = self.limits.get
        idle, rate, max_bytes = get(IDLE_TIMEOUT), get(MESSAGE_RATE), get(MAX_MESSAGE_BYTES)
        connection.start(idle, get(MAX_LIFETIME))
        is_limited = (idle, rate, max_bytes) != (None, None, None)
        if is_limited or (not connection.has_inbox and connection.is_needed):
            transport.wrap_receive(lambda receive: ReceiveLimiter(connection, receive, rate, max_bytes).receive)
        elif not connection.is_needed:
            return None
        return connection
