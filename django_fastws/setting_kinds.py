"""Kinds of the settings: which values each takes, and how that is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import conf
from ._core.origins import parse_pattern

__all__ = ["KINDS"]


def _is_duration(value: Any) -> bool:
    return conf.is_seconds(value) or (value == 0 and not isinstance(value, bool))


def _is_fraction(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _is_module(value: Any) -> bool:
    return isinstance(value, str) and all(part.isidentifier() for part in value.split("."))


def _is_path(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.startswith("/"))


def _is_origins(value: Any) -> bool:
    return value is None or (isinstance(value, (list, tuple, set)) and all(map(_is_origin, value)))


def _is_origin(value: Any) -> bool:
    return isinstance(value, str) and (value in ("*", "null") or parse_pattern(value) is not None)


def _or_none(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_right(value)


_LIMIT = (_or_none(conf.is_count), "None or a positive number of connections")
_TIME_LIMIT = (_or_none(conf.is_timeout), "None or a positive number of seconds")
_RATE = (_or_none(conf.is_rate), "None or a rate such as '20/s' or '100/m burst 20'")

#: By the name of each setting: whether a value is right, and what it should be.
KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "FASTWS_ALLOWED_ORIGINS": (
        _is_origins,
        "None or a list of origins such as 'https://example.com' or 'https://*.example.com'",
    ),
    "FASTWS_CLIENT_BACKOFF_BASE": (conf.is_seconds, "a positive number"),
    "FASTWS_CLIENT_BACKOFF_CAP": (conf.is_seconds, "a positive number of seconds"),
    "FASTWS_CLIENT_BACKOFF_JITTER": (_is_fraction, "a number from 0 to 1"),
    "FASTWS_CLIENT_HTTP_HANDLER_SECONDS": (conf.is_seconds, "a positive number of seconds"),
    "FASTWS_CLIENT_LEASE_SECONDS": (conf.is_seconds, "a positive number of seconds"),
    "FASTWS_CLIENT_LIBRARY": (
        lambda value: value in conf.CLIENT_LIBRARIES,
        "one of " + ", ".join(map(repr, conf.CLIENT_LIBRARIES)),
    ),
    "FASTWS_CLIENT_STABLE_SECONDS": (conf.is_seconds, "a positive number of seconds"),
    "FASTWS_CLOSE_ON_LOGOUT": (
        lambda value: isinstance(value, bool) or value == "session",
        "True, False or 'session'",
    ),
    "FASTWS_CONSUMERS_MODULE": (_is_module, "the name of a module"),
    "FASTWS_DB_RESET": (
        lambda value: value is None or isinstance(value, bool) or value in conf.DB_RESETS,
        "None, True, False, 'close' or 'discard'",
    ),
    "FASTWS_DB_SETUP": (
        lambda value: value is None or (_is_module(value) if isinstance(value, str) else callable(value)),
        "None or the dotted path of a function that takes the scope",
    ),
    "FASTWS_DB_THREADS": (conf.is_count, "a positive number of threads"),
    "FASTWS_DRAIN_SECONDS": (_is_duration, "a number of seconds, or 0"),
    "FASTWS_HANDSHAKE_RATE": _RATE,
    "FASTWS_HANDSHAKE_RATE_PER_ADDRESS": _RATE,
    "FASTWS_HEALTH_PATH": (_is_path, "None or a path that begins with '/'"),
    "FASTWS_IDLE_TIMEOUT": _TIME_LIMIT,
    "FASTWS_LOG_MASKED_PARAMETERS": (conf.is_words, "a list of words of letters and digits"),
    "FASTWS_MAX_BODY_BYTES": (_or_none(conf.is_count), "None or a positive number of bytes"),
    "FASTWS_MAX_CONNECTIONS": _LIMIT,
    "FASTWS_MAX_CONNECTIONS_PER_ADDRESS": _LIMIT,
    "FASTWS_MAX_CONNECTIONS_PER_USER": _LIMIT,
    "FASTWS_MAX_LIFETIME": _TIME_LIMIT,
    "FASTWS_MAX_MESSAGE_BYTES": (conf.is_count, "a positive number of bytes"),
    "FASTWS_MAX_PENDING_PER_ADDRESS": _LIMIT,
    "FASTWS_MAX_SPOOL_BYTES": (_or_none(conf.is_count), "None or a positive number of bytes"),
    "FASTWS_MESSAGE_RATE": _RATE,
    "FASTWS_PUBLISH_RETRY_BYTES": (conf.is_count, "a positive number of bytes"),
    "FASTWS_PUBLISH_RETRY_SECONDS": (_is_duration, "a number of seconds, or 0"),
    "FASTWS_PUBLISH_TIMEOUT_SECONDS": (conf.is_seconds, "a positive number of seconds"),
    "FASTWS_READY_PATH": (_is_path, "None or a path that begins with '/'"),
    "FASTWS_RECEIVE_BUFFER_BYTES": (conf.is_count, "a positive number of bytes"),
    "FASTWS_RECEIVE_BUFFER_MESSAGES": (conf.is_count, "a positive number of messages"),
    "FASTWS_REQUEST_TIMEOUT": _TIME_LIMIT,
    "FASTWS_SEND_BUFFER_BYTES": (conf.is_count, "a positive number of bytes"),
    "FASTWS_SESSION_CHECK_SECONDS": _TIME_LIMIT,
    "FASTWS_SLOW_CONSUMER": (
        lambda value: value in conf.SLOW_CONSUMER_POLICIES,
        "one of " + ", ".join(map(repr, conf.SLOW_CONSUMER_POLICIES)),
    ),
}
