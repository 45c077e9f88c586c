"""The settings of this package: ``FASTWS_*`` in the project's settings, all optional, read live."""

from __future__ import annotations

import math
from typing import Any, Literal

from django.conf import Settings
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from ._core.masking import MASKED_PARAMETERS
from ._core.rates import Rate, parse_rate

__all__ = ["Conf", "check_settings", "conf", "is_count", "is_rate", "is_seconds", "is_timeout"]


SLOW_CONSUMER_POLICIES = ("disconnect", "drop_oldest", "drop_newest")
CLIENT_LIBRARIES = ("websockets", "picows")
DB_RESETS = ("close", "discard")


class Conf:
    """One property for each setting. Nothing is cached, so ``override_settings`` works."""

    @staticmethod
    def _get(name: str, default: Any) -> Any:
        settings = object.__getattribute__(django_settings, "_wrapped")  # not through Django's own, which is slow
        if type(settings) is Settings:
            # What was set is an attribute. Looking for what was not would cost microseconds, for every message.
            return settings.__dict__.get(name, default)
        return getattr(django_settings, name, default)  # overridden, or not loaded yet

    @property
    def consumers_module(self) -> str:
        """The module that is looked for in every installed app at start-up."""
        return str(self._get("FASTWS_CONSUMERS_MODULE", "consumers"))

    @property
    def max_message_bytes(self) -> int:
        """The largest message that is sent, in bytes."""
        return int(self._get("FASTWS_MAX_MESSAGE_BYTES", 1024 * 1024))

    @property
    def send_buffer_bytes(self) -> int:
        """How many bytes may wait to be sent on one socket."""
        return int(self._get("FASTWS_SEND_BUFFER_BYTES", 1024 * 1024))

    @property
    def slow_consumer(self) -> str:
        """What a broadcast does with a socket whose buffer is full: disconnect, drop_oldest or drop_newest."""
        value = self._get("FASTWS_SLOW_CONSUMER", "disconnect")
        return value if value in SLOW_CONSUMER_POLICIES else "disconnect"  # a check tells of any other

    @property
    def allowed_origins(self) -> list[str] | None:
        """Which Origin headers are let in; None means those whose host is in ALLOWED_HOSTS."""
        value = self._get("FASTWS_ALLOWED_ORIGINS", None)
        return None if value is None else list(value)

    @property
    def publish_timeout_seconds(self) -> float:
        """How long a broadcast or a join waits for the channel layer."""
        return float(self._get("FASTWS_PUBLISH_TIMEOUT_SECONDS", 10))

    @property
    def drain_seconds(self) -> float:
        """How long an orderly stop may take."""
        return float(self._get("FASTWS_DRAIN_SECONDS", 20))

    @property
    def db_threads(self) -> int:
        """How many threads the sync code of handlers shares, in each process."""
        return int(self._get("FASTWS_DB_THREADS", 4))

    @property
    def db_setup(self) -> Any:
        """What is called with the scope before each piece of sync code: a dotted path or a function."""
        return self._get("FASTWS_DB_SETUP", None)

    @property
    def db_reset(self) -> str | None:
        """What is done with the connections after each piece of sync code: "close", "discard" or None."""
        value = self._get("FASTWS_DB_RESET", None)
        if value is None or value is False:
            return None
        if value is True:
            return "close"
        if value in DB_RESETS:
            return str(value)
        raise ImproperlyConfigured(f"FASTWS_DB_RESET = {value!r} is neither True, False, 'close' nor 'discard'")

    @property
    def client_library(self) -> str:
        """The library that connects outbound routes: websockets or picows."""
        value = self._get("FASTWS_CLIENT_LIBRARY", "websockets")
        return value if value in CLIENT_LIBRARIES else "websockets"  # a check tells of any other

    @property
    def client_http_handler_seconds(self) -> float:
        """How long the sockets of outbound routes wait for the handler of an HTTP request that was answered."""
        return float(self._get("FASTWS_CLIENT_HTTP_HANDLER_SECONDS", 30))

    @property
    def client_backoff_base(self) -> float:
        """The delay before attempt n to connect again is at most this to the power of n, in seconds."""
        return float(self._get("FASTWS_CLIENT_BACKOFF_BASE", 2))

    @property
    def client_backoff_cap(self) -> float:
        """The longest delay before an attempt to connect again, in seconds."""
        return float(self._get("FASTWS_CLIENT_BACKOFF_CAP", 30))

    @property
    def client_backoff_jitter(self) -> float:
        """The part of that delay that is left to chance, from 0 to 1."""
        return float(self._get("FASTWS_CLIENT_BACKOFF_JITTER", 0.5))

    @property
    def client_stable_seconds(self) -> float:
        """A connection that stayed up for so long is a success: attempts are counted from zero again."""
        return float(self._get("FASTWS_CLIENT_STABLE_SECONDS", 60))

    @property
    def client_lease_seconds(self) -> float:
        """How long a process may be silent before another takes over the routes that it holds with lease=True."""
        return float(self._get("FASTWS_CLIENT_LEASE_SECONDS", 15))

    @property
    def publish_retry_seconds(self) -> float:
        """How long a broadcast is held and tried again while the Redis layer is out of reach."""
        return float(self._get("FASTWS_PUBLISH_RETRY_SECONDS", 10))

    @property
    def publish_retry_bytes(self) -> int:
        """How many bytes of broadcasts may wait for the Redis layer."""
        return int(self._get("FASTWS_PUBLISH_RETRY_BYTES", 16 * 1024 * 1024))

    @property
    def receive_buffer_messages(self) -> int:
        """How many messages of one socket may wait to be received, before its client is not read from."""
        return int(self._get("FASTWS_RECEIVE_BUFFER_MESSAGES", 64))

    @property
    def receive_buffer_bytes(self) -> int:
        """Likewise how many bytes."""
        return int(self._get("FASTWS_RECEIVE_BUFFER_BYTES", 1024 * 1024))

    @property
    def max_body_bytes(self) -> int | None:
        """The largest body of an HTTP request, in bytes; None for any."""
        return self._count("FASTWS_MAX_BODY_BYTES")

    @property
    def max_spool_bytes(self) -> int | None:
        """What the bodies of all HTTP requests may take together, in bytes; None for half of the free disk space."""
        return self._count("FASTWS_MAX_SPOOL_BYTES")

    @property
    def max_pending_per_address(self) -> int | None:
        """The most connections of one client address that have sent no complete request; None for any number."""
        return self._count("FASTWS_MAX_PENDING_PER_ADDRESS", 256)

    @property
    def request_timeout(self) -> float | None:
        """How long the head of an HTTP request may take, and its body be slow, in seconds; None for ever."""
        return self._seconds("FASTWS_REQUEST_TIMEOUT", 60)

    @property
    def log_masked_parameters(self) -> tuple[str, ...]:
        """The words in the names of parameters whose values the log does not show."""
        words = self._get("FASTWS_LOG_MASKED_PARAMETERS", MASKED_PARAMETERS)
        if not is_words(words):
            raise ImproperlyConfigured(f"FASTWS_LOG_MASKED_PARAMETERS = {words!r} is not a list of words")
        return tuple(map(str.lower, words))

    @property
    def health_path(self) -> str | None:
        """The path that says that the server lives; None for none."""
        value = self._get("FASTWS_HEALTH_PATH", "/healthz")
        return None if value is None else str(value)

    @property
    def ready_path(self) -> str | None:
        """The path that says whether the server takes connections; None for none."""
        value = self._get("FASTWS_READY_PATH", "/readyz")
        return None if value is None else str(value)

    # Limits. A value that means nothing is an error, not a limit that silently does not hold.

    @property
    def max_connections(self) -> int | None:
        """The most WebSockets that the process serves at a time."""
        return self._count("FASTWS_MAX_CONNECTIONS")

    @property
    def max_connections_per_address(self) -> int | None:
        """The most WebSockets of one client address, in the process."""
        return self._count("FASTWS_MAX_CONNECTIONS_PER_ADDRESS")

    @property
    def max_connections_per_user(self) -> int | None:
        """The most WebSockets of one user, in the process."""
        return self._count("FASTWS_MAX_CONNECTIONS_PER_USER")

    @property
    def handshake_rate(self) -> Rate | None:
        """How many handshakes the process takes up."""
        return self._rate("FASTWS_HANDSHAKE_RATE")

    @property
    def handshake_rate_per_address(self) -> Rate | None:
        """How many handshakes of one client address the process takes up."""
        return self._rate("FASTWS_HANDSHAKE_RATE_PER_ADDRESS")

    @property
    def message_rate(self) -> Rate | None:
        """How many messages one socket may send to us."""
        return self._rate("FASTWS_MESSAGE_RATE")

    @property
    def idle_timeout(self) -> float | None:
        """The longest time without a message from the client, in seconds."""
        return self._seconds("FASTWS_IDLE_TIMEOUT")

    @property
    def max_lifetime(self) -> float | None:
        """How long a socket may live, in seconds."""
        return self._seconds("FASTWS_MAX_LIFETIME")

    @property
    def close_on_logout(self) -> bool | Literal["session"]:
        """Whether sockets are closed when their user logs out, is deactivated or is deleted.

        With "session", a log-out closes those of the session that ends, and no others.
        """
        value = self._get("FASTWS_CLOSE_ON_LOGOUT", True)
        return "session" if value == "session" else bool(value)

    @property
    def session_check_seconds(self) -> float | None:
        """How often the sessions and users of open sockets are looked at again, in seconds; None is never."""
        return self._seconds("FASTWS_SESSION_CHECK_SECONDS", 60)

    def _count(self, name: str, default: int | None = None) -> int | None:
        value = self._get(name, default)
        if value is None or is_count(value):
            return value  # type: ignore[no-any-return]
        raise ImproperlyConfigured(f"{name} = {value!r} is neither a positive number nor None")

    def _seconds(self, name: str, default: float | None = None) -> float | None:
        value = self._get(name, default)
        if value is None or is_timeout(value):
            return value  # type: ignore[no-any-return]
        raise ImproperlyConfigured(f"{name} = {value!r} is neither a positive number of seconds nor None")

    def _rate(self, name: str) -> Rate | None:
        value = self._get(name, None)
        try:
            return None if value is None else parse_rate(value)
        except (TypeError, ValueError) as error:
            raise ImproperlyConfigured(f"{name}: {error}") from None


def is_count(value: Any) -> bool:
    """Whether a value is a positive number of things."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def is_seconds(value: Any) -> bool:
    """Whether a value is a positive number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0  # NaN is not


def is_timeout(value: Any) -> bool:
    """Whether a value is a number of seconds after which something ends."""
    return is_seconds(value) and value < math.inf


def is_words(value: Any) -> bool:
    """Whether a value is a list of words of letters and digits."""
    return isinstance(value, (list, tuple, set)) and all(isinstance(item, str) and item.isalnum() for item in value)


def is_rate(value: Any) -> bool:
    """Whether a value is a rate such as "20/s"."""
    try:
        parse_rate(value)
    except (TypeError, ValueError):
        return False
    return True


conf = Conf()

#: Every setting there is, for the check that finds misspelt ones.
NAMES = frozenset(f"FASTWS_{name.upper()}" for name, value in vars(Conf).items() if isinstance(value, property))


def check_settings() -> None:
    """Read every setting, so that one that means nothing stops the process that starts, and no connection later.

    Raises:
        ImproperlyConfigured: a setting cannot be what it is.
    """
    for name in sorted(NAMES):
        try:
            getattr(conf, name.removeprefix("FASTWS_").lower())
        except (TypeError, ValueError) as error:
            raise ImproperlyConfigured(f"{name}: {error}") from None
