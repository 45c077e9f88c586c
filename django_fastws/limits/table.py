"""Table of limits, and the limits of one route. One row is a limit's name, setting, kind, code and wording.

Parsing and checks of the options of ``FastWS.websocket``, ``Limits``, the denials and close reasons, the log levels
and the tables of the documentation are made from it.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import Any, Generic, TypeVar

from .._core.rates import Rate
from ..conf import Conf, Setting, ValueKind, kinds
from .denials import Denial

__all__ = [
    "CONNECTION_LIMITS",
    "FROM_SETTINGS",
    "HANDSHAKE_RATE",
    "IDLE_TIMEOUT",
    "LIMITS",
    "MAX_CONNECTIONS",
    "MAX_CONNECTIONS_PER_ADDRESS",
    "MAX_CONNECTIONS_PER_USER",
    "MAX_LIFETIME",
    "MAX_MESSAGE_BYTES",
    "MESSAGE_RATE",
    "OPTIONS",
    "PROCESS_CONNECTIONS",
    "PROCESS_HANDSHAKE_RATE",
    "PROCESS_HANDSHAKE_RATE_PER_ADDRESS",
    "FromSettings",
    "Limit",
    "Limits",
]

Value = TypeVar("Value")


class FromSettings(Enum):
    """Value of an option that a route leaves to the settings."""

    FROM_SETTINGS = "as the settings say"

    def __repr__(self) -> str:
        return self.name


FROM_SETTINGS = FromSettings.FROM_SETTINGS


class Limit(Generic[Value]):
    """Row of the table of limits.

    Args:
        name: of the option of ``FastWS.websocket``; of a limit of the process, of the setting in lower case and
            without its prefix. Metrics, statistics and the log know the limit by it.
        source: the setting that it comes from: always for a limit of the process, else where the route does not name
            it. Or which values it takes, if only the route can name it.
        code: what is over the limit is denied with this HTTP status, or closed with this close code.
        reason: the text for the client; ``{limit}`` stands for the limit itself.
        wording: what is limited, for the documentation, which puts the scope behind it.
        scope: what is counted together, or "socket" where each is limited for itself.
        is_option: whether routes have it.
        level: of the log.
    """

    def __init__(
        self,
        name: str,
        source: Setting[Value] | ValueKind[Value],
        code: int,
        reason: str,
        wording: str,
        *,
        scope: str,
        is_option: bool = True,
        level: int = logging.WARNING,
    ) -> None:
        self.name = name
        self.setting = source if isinstance(source, Setting) else None
        self.kind = source.kind if isinstance(source, Setting) else source
        self.code = code
        self.reason = reason
        self.wording = wording
        self.scope = scope
        self.is_option = is_option
        self.level = level

    @property
    def default(self) -> FromSettings | None:
        """The default of the option."""
        return None if self.setting is None else FROM_SETTINGS

    def checked(self, value: Any) -> Any:
        """A route's own value of the limit, read.

        Raises:
            ValueError: it cannot be.
        """
        if value is FROM_SETTINGS and self.setting is not None:
            return value
        try:
            return self.kind.read(value)
        except (TypeError, ValueError):
            raise ValueError(f"{self.name}={value!r} is not {self.kind.wanted}") from None

    def denial(self, value: Value, whose: str = "", retry_after: float | None = None) -> Denial:
        """The denial of a handshake that is over the limit.

        Args:
            value: the limit.
            whose: who is over it, for the log.
            retry_after: seconds after which it makes sense to try again.
        """
        label = self.name if self.is_option or self.setting is None else self.setting.name
        detail = f"{label}={str(value)!r} is exceeded" if isinstance(value, Rate) else f"{label}={value} is reached"
        detail += f" by {whose}" if whose else ""
        return Denial(self.name, self.code, self.reason.format(limit=value), detail, retry_after)

    def closing(self, value: Value | None = None) -> tuple[str, int, str]:
        """The arguments of ``LimitedConnection.end`` for one that is over the limit: name, close code and reason.

        Args:
            value: the limit, if the reason shows it.
        """
        return self.name, self.code, self.reason.format(limit=value)


# Handshakes and connections. The code is an HTTP status.

MAX_CONNECTIONS = Limit(
    "max_connections",
    kinds.CONNECTIONS_OR_NONE,
    429,
    "too many connections",
    "sockets at a time",
    scope="route",
)
PROCESS_CONNECTIONS = Limit(
    "max_connections",
    Conf.max_connections,
    429,
    "too many connections",
    "sockets at a time",
    scope="process",
    is_option=False,
)
MAX_CONNECTIONS_PER_ADDRESS = Limit(
    "max_connections_per_address",
    Conf.max_connections_per_address,
    429,
    "too many connections from this address",
    "sockets at a time",
    scope="client address",
)
MAX_CONNECTIONS_PER_USER = Limit(
    "max_connections_per_user",
    Conf.max_connections_per_user,
    429,
    "too many connections of this user",
    "sockets at a time",
    scope="logged-in user",
)
HANDSHAKE_RATE = Limit("handshake_rate", kinds.RATE_OR_NONE, 429, "too many handshakes", "handshakes", scope="route")
PROCESS_HANDSHAKE_RATE = Limit(
    "handshake_rate",
    Conf.handshake_rate,
    429,
    "too many handshakes",
    "handshakes",
    scope="process",
    is_option=False,
)
PROCESS_HANDSHAKE_RATE_PER_ADDRESS = Limit(
    "handshake_rate_per_address",
    Conf.handshake_rate_per_address,
    429,
    "too many handshakes",
    "handshakes",
    scope="client address",
    is_option=False,
)

# Messages and time. The code is a close code.

MESSAGE_RATE = Limit(
    "rate", Conf.message_rate, 1008, "over the rate of {limit} messages", "messages from the client", scope="socket"
)
IDLE_TIMEOUT = Limit(
    "idle_timeout",
    Conf.idle_timeout,
    1008,
    "idle for too long",
    "seconds without a message from the client",
    scope="socket",
    level=logging.INFO,
)
MAX_LIFETIME = Limit(
    "max_lifetime",
    Conf.max_lifetime,
    1013,
    "the lifetime is over, connect again",
    "seconds from the handshake on",
    scope="socket",
    level=logging.INFO,
)
MAX_MESSAGE_BYTES = Limit(
    "max_message_bytes",
    kinds.BYTES_OR_NONE,
    1009,
    "over {limit} bytes",
    "bytes of a message from the client",
    scope="socket",
)

#: Every limit, in the order of the reference.
LIMITS: tuple[Limit[Any], ...] = tuple(value for value in list(globals().values()) if isinstance(value, Limit))
#: Those that routes have, by the name of the option.
OPTIONS: dict[str, Limit[Any]] = {limit.name: limit for limit in LIMITS if limit.is_option}
#: Those of the options that count connections.
CONNECTION_LIMITS: tuple[Limit[int | None], ...] = tuple(
    limit for limit in OPTIONS.values() if limit.kind is kinds.CONNECTIONS_OR_NONE
)


class Limits:
    """The limits of one route.

    Args:
        values: the options of ``FastWS.websocket``, by name; None is no limit.
    Raises:
        ValueError: one of them cannot be; the text names it.
    """

    def __init__(self, **values: Any) -> None:
        self._values = {name: OPTIONS[name].checked(value) for name, value in values.items()}

    def get(self, limit: Limit[Value]) -> Value:
        """A limit as it is now; None where there is none."""
        value: Any = self._values.get(limit.name, FROM_SETTINGS)
        if value is not FROM_SETTINGS:
            return value  # type: ignore[no-any-return]
        setting = limit.setting
        return None if setting is None else setting.__get__(limit)  # type: ignore[return-value]

    def is_own(self, limit: Limit[Any]) -> bool:
        """Whether the route names this limit itself, and so counts by itself."""
        return self._values.get(limit.name, FROM_SETTINGS) is not FROM_SETTINGS

    def own(self, limit: Limit[Value]) -> Value | None:
        """A limit that the route or the live room names itself; None where it names none."""
        return self.get(limit) if self.is_own(limit) else None
