"""Limits of the whole process: connections and rate limits of handshakes, whatever the route; and its statistics.

Everything is counted in this process alone, and forgotten when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from .. import metrics
from .._core.address_keys import address_key
from .._core.counts import Counts
from .._core.rates import Bucket, Buckets
from ..conf import conf
from ..types import Scope
from ..users import count_users
from .denials import Denial
from .recording import denials_by_rule
from .table import (
    CONNECTION_LIMITS,
    PROCESS_CONNECTIONS,
    PROCESS_HANDSHAKE_RATE,
    PROCESS_HANDSHAKE_RATE_PER_ADDRESS,
)

__all__ = ["ProcessLimits", "Statistics", "counted_address", "process_limits", "statistics"]


class ProcessLimits:
    """Limits of the process, which are looked at before anything else.

    Attributes:
        counts: of the sockets of routes that leave a limit to the settings, by the limit.
    """

    def __init__(self) -> None:
        self._connections = Counts()
        self._handshakes = Bucket(time.monotonic())
        self._handshakes_by_address = Buckets()
        self.counts = {limit: Counts() for limit in CONNECTION_LIMITS}

    @property
    def connections(self) -> int:
        """Number of WebSockets, those in their handshake among them."""
        return self._connections[""]

    def enter(self, scope: Scope) -> Denial | None:
        """Count a handshake that has come. If this returns None, ``leave()`` is owed."""
        now = time.monotonic()
        rate, by_address, most = conf.handshake_rate, conf.handshake_rate_per_address, conf.max_connections
        if by_address is not None and (address := counted_address(scope)) is not None:
            wait = self._handshakes_by_address.take(address, by_address, now)
            if wait:  # an address over its own rate takes nothing of what is there for all
                return PROCESS_HANDSHAKE_RATE_PER_ADDRESS.denial(by_address, retry_after=wait)
        if rate is not None and (wait := self._handshakes.take(rate, now)):
            return PROCESS_HANDSHAKE_RATE.denial(rate, retry_after=wait)
        if not self._connections.take("", most):
            return PROCESS_CONNECTIONS.denial(most)
        return None

    def leave(self) -> None:
        """The connection is over."""
        self._connections.give("")


def counted_address(scope: Scope) -> str | None:
    """The address that a client is counted as, or its network over IPv6; None where the server tells none."""
    client = scope.get("client")
    return address_key(str(client[0])) if client else None


process_limits = ProcessLimits()
metrics.users.read_from(count_users)


@dataclass(frozen=True)
class Statistics:
    """Statistics of this process.

    Attributes:
        connections: WebSockets that are being served, from the handshake to the end of the handler.
        users: users who are logged in on one of them.
        denied: handshakes that a limit or a rule has denied, by its name.
        closed: sockets closed because of a limit, a ``disconnect()``, a kick, or their session, by its name.
        dropped: broadcasts that were dropped because they came from Redis faster than they could be sent.
        cut_off: how often Redis has closed the connection of the subscriptions because it was not read fast enough.
    """

    connections: int
    users: int
    denied: Mapping[str, int]
    closed: Mapping[str, int]
    dropped: int = 0
    cut_off: int = 0


def statistics() -> Statistics:
    """Statistics of this process: what it serves, and what it has denied, closed and dropped."""
    return Statistics(
        connections=process_limits.connections,
        users=count_users(),
        denied=denials_by_rule(),
        closed=metrics.forced_closes.by("reason"),
        dropped=int(metrics.dropped_broadcasts.total),
        cut_off=int(metrics.subscription_cut_offs.total),
    )
