"""The settings of this package: ``FASTWS_*`` in the project's settings, all optional, read live."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings

__all__ = ["Conf", "conf"]


SLOW_CONSUMER_POLICIES = ("disconnect", "drop_oldest", "drop_newest")


class Conf:
    """One property for each setting. Nothing is cached, so ``override_settings`` works."""

    @staticmethod
    def _get(name: str, default: Any) -> Any:
        return getattr(django_settings, f"FASTWS_{name}", default)

    @property
    def consumers_module(self) -> str:
        """The module that is looked for in every installed app at start-up."""
        return str(self._get("CONSUMERS_MODULE", "consumers"))

    @property
    def max_message_bytes(self) -> int:
        """The largest message that is sent, in bytes."""
        return int(self._get("MAX_MESSAGE_BYTES", 1024 * 1024))

    @property
    def send_buffer_bytes(self) -> int:
        """How many bytes may wait to be sent on one socket."""
        return int(self._get("SEND_BUFFER_BYTES", 1024 * 1024))

    @property
    def slow_consumer(self) -> str:
        """What a broadcast does with a socket whose buffer is full: disconnect, drop_oldest or drop_newest."""
        value = self._get("SLOW_CONSUMER", "disconnect")
        return value if value in SLOW_CONSUMER_POLICIES else "disconnect"  # a check tells of any other

    @property
    def allowed_origins(self) -> list[str] | None:
        """Which Origin headers are let in; None means those whose host is in ALLOWED_HOSTS."""
        value = self._get("ALLOWED_ORIGINS", None)
        return None if value is None else list(value)

    @property
    def publish_timeout_seconds(self) -> float:
        """How long a broadcast or a join waits for the channel layer."""
        return float(self._get("PUBLISH_TIMEOUT_SECONDS", 10))

    @property
    def drain_seconds(self) -> float:
        """How long an orderly stop may take."""
        return float(self._get("DRAIN_SECONDS", 20))

    @property
    def db_threads(self) -> int:
        """How many threads the sync code of outbound handlers shares."""
        return int(self._get("DB_THREADS", 4))

    @property
    def client_backoff_base(self) -> float:
        """The delay before attempt n to connect again is at most this to the power of n, in seconds."""
        return float(self._get("CLIENT_BACKOFF_BASE", 2))

    @property
    def client_backoff_cap(self) -> float:
        """The longest delay before an attempt to connect again, in seconds."""
        return float(self._get("CLIENT_BACKOFF_CAP", 30))

    @property
    def client_backoff_jitter(self) -> float:
        """The part of that delay that is left to chance, from 0 to 1."""
        return float(self._get("CLIENT_BACKOFF_JITTER", 0.5))

    @property
    def client_stable_seconds(self) -> float:
        """A connection that stayed up for so long is a success: attempts are counted from zero again."""
        return float(self._get("CLIENT_STABLE_SECONDS", 60))

    @property
    def client_lease_seconds(self) -> float:
        """How long a process may be silent before another takes over the routes that it holds with lease=True."""
        return float(self._get("CLIENT_LEASE_SECONDS", 15))


conf = Conf()

#: Every setting there is, for the check that finds misspelt ones.
NAMES = frozenset(f"FASTWS_{name.upper()}" for name, value in vars(Conf).items() if isinstance(value, property))
