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


conf = Conf()

#: Every setting there is, for the check that finds misspelt ones.
NAMES = frozenset(f"FASTWS_{name.upper()}" for name, value in vars(Conf).items() if isinstance(value, property))
