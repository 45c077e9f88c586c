"""What a connection has to pass before its route serves it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from .._core.addresses import address_key
from .._core.counts import Counts
from .._core.rates import Bucket, Rate
from ..threads import threads
from ..transports import ASGITransport
from ..users import Identity, current_users, is_loaded, load_session
from ..websocket import ClientState, WebSocket
from .access import Access
from .connection import LimitedConnection, ReceiveLimiter
from .denials import Denial, count_denial
from .limits import Limits, host_of, process_limits, too_often

__all__ = ["HANDSHAKE_TIME", "Admission", "ConnectionDenied"]

#: Where the scope has the time, of the loop, at which the handshake came.
HANDSHAKE_TIME = "django_fastws.began"


class ConnectionDenied(Exception):
    """A connection was denied, and has been answered."""


class Admission:
    """The limits and the rules of one route, and who is counted for it.

    Args:
        limits, access: of the route.
    """

    def __init__(self, limits: Limits, access: Access) -> None:
        self.limits = limits
        self.access = access
        self._connections = Counts()
        self._by_address = Counts()
        self._by_user = Counts()
        self._handshakes = Bucket(time.monotonic())

    async def admit(
        self, ws: WebSocket, transport: ASGITransport, close: Callable[[int, str], Awaitable[None]]
    ) -> LimitedConnection | None:
        """Let a connection in, or deny it.

        What costs least is looked at first: what the route may hold, then who may connect, then the user's limit.

        Args:
            close: closes the connection from outside its handler.
        Returns:
            Its connection, to be left when it is over; None if it needs none.
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
            if connection.identity.user:
                current_users().add(connection)
            denial = (
                self._for_the_route(connection, transport)
                or await self.access.denial(ws)
                or self._for_the_user(connection)
                or await self._ended(connection)
            )
            if denial is None and not ws.closed:
                return self._opened(connection, transport)
        except BaseException:
            self.leave(connection)
            raise
        self.leave(connection)
        if denial is not None:
            count_denial(denial, scope)
            if ws.client_state is ClientState.CONNECTING:
                await transport.deny(denial.status, denial.text, denial.headers)
            else:  # a rule has accepted it
                await ws.close(1008, "denied")
        raise ConnectionDenied

    def leave(self, connection: LimitedConnection | None) -> None:
        """The connection is over, or was not let in."""
        if connection is not None:
            if connection.identity.user:
                current_users().discard(connection)
            connection.leave()

    def _for_the_route(self, connection: LimitedConnection, transport: ASGITransport) -> Denial | None:
        get = self.limits.get
        rate: Rate | None = get("handshake_rate")
        if rate is not None and (wait := self._handshakes.take(rate, time.monotonic())):
            return too_often("handshake_rate", rate, wait)
        most = get("max_connections")
        if most is not None and not connection.hold(self._connections, "", most):
            return Denial("max_connections", 429, "too many connections", f"max_connections={most} is reached")
        kind = "max_connections_per_address"
        most, host = get(kind), host_of(transport.scope)
        if most is not None and host is not None:
            counts = self._by_address if self.limits.is_own(kind) else process_limits.by_address
            if not connection.hold(counts, address_key(host), most):
                return Denial(kind, 429, "too many connections from this address", f"{kind}={most} is reached")
        return None

    def _for_the_user(self, connection: LimitedConnection) -> Denial | None:
        kind = "max_connections_per_user"
        most = self.limits.get(kind)
        user = connection.identity.user
        if most is not None and user:
            counts = self._by_user if self.limits.is_own(kind) else process_limits.by_user
            if not connection.hold(counts, user, most):
                detail = f"{kind}={most} is reached by {user}"
                return Denial(kind, 429, "too many connections of this user", detail)
        return None

    async def _ended(self, connection: LimitedConnection) -> Denial | None:
        ended = await current_users().admitted(connection) if connection.identity.user else None
        ended = ended or connection.ended
        if ended is None:
            return None
        return Denial("disconnect", 403, ended[1], f"{connection.identity.user} was disconnected meanwhile")

    def _opened(self, connection: LimitedConnection, transport: ASGITransport) -> LimitedConnection | None:
        get = self.limits.get
        idle, rate, max_bytes = get("idle_timeout"), get("rate"), get("max_message_bytes")
        connection.open(idle, get("max_lifetime"))
        if not all(limit is None for limit in (idle, rate, max_bytes)) or (
            connection.is_mute and connection.is_needed
        ):
            transport.meter(lambda receive: ReceiveLimiter(connection, receive, rate, max_bytes).receive)
        elif not connection.is_needed:
            return None
        return connection
