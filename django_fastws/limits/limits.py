"""How much one may ask of a process: how many connections, handshakes and messages, and for how long.

Everything is counted in this process alone, and forgotten when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .. import metrics
from .._core.addresses import address_key
from .._core.counts import Counts
from .._core.rates import Bucket, Buckets, Rate, parse_rate
from ..conf import COUNT_OR_NONE, TIMEOUT_OR_NONE, conf
from ..types import Scope
from ..users import count_users
from .denials import Denial, denials_by_rule

__all__ = [
    "FROM_SETTINGS",
    "FromSettings",
    "Limits",
    "ProcessLimits",
    "Statistics",
    "process_limits",
    "statistics",
    "too_often",
]


class FromSettings(Enum):
    """What a limit of a route is that the route does not name."""

    FROM_SETTINGS = "as the settings say"

    def __repr__(self) -> str:
        return self.name


FROM_SETTINGS = FromSettings.FROM_SETTINGS

#: Limits that a route takes from a setting, unless it has its own, by the property of ``conf``.
_SETTINGS = {
    "max_connections_per_address": "max_connections_per_address",
    "max_connections_per_user": "max_connections_per_user",
    "rate": "message_rate",
    "idle_timeout": "idle_timeout",
    "max_lifetime": "max_lifetime",
}


class Limits:
    """The limits of one route.

    Args:
        values: as ``FastWS.websocket`` takes them, by name; None is no limit.
    Raises:
        ValueError: one of them cannot be; the text names it.
    """

    def __init__(self, **values: Any) -> None:
        self._values = {name: _checked(name, value) for name, value in values.items()}

    def get(self, name: str) -> Any:
        """A limit as it is now: a number, a ``Rate``, or None where there is none."""
        value = self._values.get(name, FROM_SETTINGS if name in _SETTINGS else None)
        return getattr(conf, _SETTINGS[name]) if value is FROM_SETTINGS else value

    def is_own(self, name: str) -> bool:
        """Whether the route names this limit itself, and so counts by itself."""
        return self._values.get(name, FROM_SETTINGS) is not FROM_SETTINGS


def _checked(name: str, value: Any) -> Any:
    if value is None or value is FROM_SETTINGS:
        return value
    if name in ("rate", "handshake_rate"):
        try:
            return parse_rate(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}={value!r}: {error}") from None
    is_time = name in ("idle_timeout", "max_lifetime")
    if not (TIMEOUT_OR_NONE if is_time else COUNT_OR_NONE).is_right(value):
        raise ValueError(f"{name}={value!r} is neither a positive number{' of seconds' if is_time else ''} nor None")
    return value


class ProcessLimits:
    """What the whole process takes up, whatever the route: the first thing that is looked at."""

    def __init__(self) -> None:
        self._connections = Counts()
        self._handshakes = Bucket(time.monotonic())
        self._handshakes_by_address = Buckets()
        #: Of the sockets of routes that leave these limits to the settings.
        self.by_address = Counts()
        self.by_user = Counts()

    @property
    def connections(self) -> int:
        """How many WebSockets there are, those in their handshake among them."""
        return self._connections[""]

    def enter(self, scope: Scope) -> Denial | None:
        """Count a handshake that has come. If this returns None, ``leave()`` is owed."""
        now = time.monotonic()
        rate, by_address, most = conf.handshake_rate, conf.handshake_rate_per_address, conf.max_connections
        if by_address is not None and (host := host_of(scope)) is not None:
            wait = self._handshakes_by_address.take(address_key(host), by_address, now)
            if wait:  # whoever is over his own rate takes nothing of what is there for all
                return too_often("handshake_rate_per_address", by_address, wait)
        if rate is not None and (wait := self._handshakes.take(rate, now)):
            return too_often("handshake_rate", rate, wait)
        if not self._connections.take("", most):
            kind = "max_connections"
            return Denial(kind, 429, "too many connections", f"FASTWS_MAX_CONNECTIONS={most} is reached")
        return None

    def leave(self) -> None:
        """The connection is over."""
        self._connections.give("")


def host_of(scope: Scope) -> str | None:
    """The client's address, without its port; None where the server has none to tell."""
    client = scope.get("client")
    return str(client[0]) if client else None


def too_often(kind: str, rate: Rate, wait: float) -> Denial:
    """The denial of a handshake that came too soon."""
    return Denial(kind, 429, "too many handshakes", f"{kind}={str(rate)!r} is exceeded", wait)


process_limits = ProcessLimits()
metrics.connections.read_from(lambda: process_limits.connections)
metrics.users.read_from(count_users)


@dataclass(frozen=True)
class Statistics:
    """What is and what was, in this process.

    Attributes:
        connections: WebSockets that are being served, from the handshake to the end of the handler.
        users: users who are logged in on one of them.
        refused: handshakes that a limit or a rule has refused, by its name.
        closed: sockets that were closed because of a limit, by ``disconnect()``, or with their session, by its name.
        dropped: broadcasts that were dropped because they came from Redis faster than they could be sent.
        cut_off: how often Redis has closed the connection of the subscriptions because it was not read fast enough.
    """

    connections: int
    users: int
    refused: Mapping[str, int]
    closed: Mapping[str, int]
    dropped: int = 0
    cut_off: int = 0


def statistics() -> Statistics:
    """What is being served; and what was refused, closed and dropped since the process started."""
    return Statistics(
        connections=process_limits.connections,
        users=count_users(),
        refused=denials_by_rule(),
        closed=metrics.forced_closes.by("reason"),
        dropped=int(metrics.broadcast_drops.total),
        cut_off=int(metrics.subscription_cut_offs.total),
    )
