"""What a connection has to pass before its route serves it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from .._core.addresses import address_key
from .._core.counts import Counts
from .._core.rates import Bucket, Rate
from ..threads import threads
from ..transports import Wire
from ..users import Identity, current_users, is_loaded, load_session
from ..websocket import ClientState, WebSocket
from .access import Access
from .connection import Meter, Seat
from .denials import Refusal, count_refused
from .limits import Limits, host_of, process, too_often

__all__ = ["BEGAN", "Admission", "NotAdmitted"]

#: Where the scope has the time, of the loop, at which the handshake came.
BEGAN = "django_fastws.began"


class NotAdmitted(Exception):
    """A connection was refused."""


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

    async def admit(self, ws: WebSocket, wire: Wire, close: Callable[[int, str], Awaitable[None]]) -> Seat | None:
        """Let a connection in, or refuse it.

        What costs least is looked at first: what the route may hold, then who may connect, then the user's limit.

        Args:
            close: closes the connection from outside its handler.
        Returns:
            Its seat, to be left when it is over; None if it needs none.
        Raises:
            NotAdmitted: it was refused, and has been answered.
        """
        scope = wire.scope
        if not is_loaded(scope.get("session")):  # what a handler reads in async code
            with threads.assigned(scope):
                await load_session(scope)
        began = scope.pop(BEGAN, None) or asyncio.get_running_loop().time()
        seat = Seat(wire, close, identity=Identity.of(scope), began=began)
        try:
            if seat.identity.user:
                current_users().add(seat)
            refusal = (
                self._for_the_route(seat, wire)
                or await self.access.refusal(ws)
                or self._for_the_user(seat)
                or await self._ended(seat)
            )
            if refusal is None and not ws.closed:
                return self._opened(seat, wire)
        except BaseException:
            self.leave(seat)
            raise
        self.leave(seat)
        if refusal is not None:
            count_refused(refusal, scope)
            if ws.client_state is ClientState.CONNECTING:
                await wire.deny(refusal.status, refusal.text, refusal.headers)
            else:  # a rule has accepted it
                await ws.close(1008, "refused")
        raise NotAdmitted

    def leave(self, seat: Seat | None) -> None:
        """The connection is over, or was not let in."""
        if seat is not None:
            if seat.identity.user:
                current_users().discard(seat)
            seat.leave()

    def _for_the_route(self, seat: Seat, wire: Wire) -> Refusal | None:
        get = self.limits.get
        rate: Rate | None = get("handshake_rate")
        if rate is not None and (wait := self._handshakes.take(rate, time.monotonic())):
            return too_often("handshake_rate", rate, wait)
        most = get("max_connections")
        if most is not None and not seat.hold(self._connections, "", most):
            return Refusal("max_connections", 429, "too many connections", f"max_connections={most} is reached")
        kind = "max_connections_per_address"
        most, host = get(kind), host_of(wire.scope)
        if most is not None and host is not None:
            counts = self._by_address if self.limits.is_own(kind) else process.by_address
            if not seat.hold(counts, address_key(host), most):
                return Refusal(kind, 429, "too many connections from this address", f"{kind}={most} is reached")
        return None

    def _for_the_user(self, seat: Seat) -> Refusal | None:
        kind = "max_connections_per_user"
        most = self.limits.get(kind)
        user = seat.identity.user
        if most is not None and user:
            counts = self._by_user if self.limits.is_own(kind) else process.by_user
            if not seat.hold(counts, user, most):
                detail = f"{kind}={most} is reached by {user}"
                return Refusal(kind, 429, "too many connections of this user", detail)
        return None

    async def _ended(self, seat: Seat) -> Refusal | None:
        ended = await current_users().admitted(seat) if seat.identity.user else None
        ended = ended or seat.ended
        if ended is None:
            return None
        return Refusal("disconnect", 403, ended[1], f"{seat.identity.user} was disconnected meanwhile")

    def _opened(self, seat: Seat, wire: Wire) -> Seat | None:
        get = self.limits.get
        idle, rate, max_bytes = get("idle_timeout"), get("rate"), get("max_message_bytes")
        seat.open(idle, get("max_lifetime"))
        if not all(limit is None for limit in (idle, rate, max_bytes)) or (seat.is_mute and seat.is_needed):
            wire.meter(lambda receive: Meter(seat, receive, rate, max_bytes).receive)
        elif not seat.is_needed:
            return None
        return seat
