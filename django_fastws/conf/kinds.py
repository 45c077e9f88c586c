"""Kinds of settings and limits: which values each takes, how that is said, and how a value is read."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from .._core.origins import parse_pattern
from .._core.publish_keys import PublishKey, read_publish_keys
from .._core.rates import Rate, parse_rate

__all__ = [
    "BYTES_OR_NONE",
    "CLOSE_ON_LOGOUT",
    "CONNECTIONS_OR_NONE",
    "DB_RESET",
    "DURATION",
    "FINITE_DURATION",
    "FINITE_SECONDS",
    "FLAG",
    "FRACTION",
    "FUNCTION",
    "FUNCTION_OF_TOKENS",
    "MODULE",
    "NUMBER",
    "OBJECTS_OR_NONE",
    "ORIGINS",
    "PUBLISH_KEYS",
    "RATE_OR_NONE",
    "SECONDS",
    "SECONDS_IN_DEBUG",
    "TIMEOUT_OR_NONE",
    "URL_PATH",
    "WORDS",
    "InDebug",
    "ValueKind",
    "choice",
    "count_of",
    "whole_number",
]

Value = TypeVar("Value")


@dataclass(frozen=True)
class ValueKind(Generic[Value]):
    """ValueKind of a value.

    Attributes:
        wanted: which values are right, behind "is not" and "Set it to".
        is_right: whether a value is one of them, for the system check.
        read: makes what the package uses of a value; TypeError, ValueError or OverflowError for one that means
            nothing. It may be more lenient than ``is_right``.
        is_secret: whether a value must not be shown; then what ``read`` says of it is.
    """

    wanted: str
    is_right: Callable[[Any], bool]
    read: Callable[[Any], Value]
    is_secret: bool = False

    def wrong(self, name: str, value: Any) -> str:
        """What is said of a setting whose value is none of these."""
        if not self.is_secret:
            return f"{name} = {value!r} is not {self.wanted}"
        try:
            self.read(value)
        except (TypeError, ValueError) as error:
            return f"{name} is not {self.wanted}: {error}"
        return f"{name} is not {self.wanted}"


# Numbers

_MOST_SECONDS = sys.float_info.max


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_seconds(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return 0 < value <= _MOST_SECONDS or value == math.inf  # NaN is neither, nor is what no float can be


def _is_duration(value: Any) -> bool:
    return _is_seconds(value) or (value == 0 and not isinstance(value, bool))


def _is_timeout(value: Any) -> bool:
    return _is_seconds(value) and bool(value < math.inf)


def _is_finite_duration(value: Any) -> bool:
    return _is_duration(value) and bool(value < math.inf)


def _is_fraction(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def count_of(things: str) -> ValueKind[int]:
    """Kind of a positive number of things."""
    return ValueKind(f"a positive number of {things}", _is_count, int)


def whole_number(least: int, most: int) -> ValueKind[int]:
    """Kind of a whole number in a range. One beyond it is read as the nearest; the system check tells of it."""
    return ValueKind(
        f"a whole number from {least} to {most}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most,
        lambda value: min(max(int(value), least), most),
    )


def _or_none(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_right(value)


def _strict(wanted: str, is_right: Callable[[Any], bool]) -> ValueKind[Any]:
    """A kind of limits: a value that means nothing is an error, not a limit that silently does not hold."""

    def read(value: Any) -> Any:
        if not is_right(value):
            raise ValueError(f"not {wanted}")
        return value

    return ValueKind(wanted, is_right, read)


BYTES_OR_NONE: ValueKind[int | None] = _strict("None or a positive number of bytes", _or_none(_is_count))
CONNECTIONS_OR_NONE: ValueKind[int | None] = _strict("None or a positive number of connections", _or_none(_is_count))
OBJECTS_OR_NONE: ValueKind[int | None] = _strict("None or a positive number of objects", _or_none(_is_count))
TIMEOUT_OR_NONE: ValueKind[float | None] = _strict("None or a positive number of seconds", _or_none(_is_timeout))
NUMBER: ValueKind[float] = ValueKind("a positive number", _is_seconds, float)
SECONDS: ValueKind[float] = ValueKind("a positive number of seconds", _is_seconds, float)
DURATION: ValueKind[float] = ValueKind("a number of seconds, or 0", _is_duration, float)
#: Of what ends some time, such as a timer or a key of Redis.
FINITE_SECONDS: ValueKind[float] = _strict("a positive number of seconds", _is_timeout)
FINITE_DURATION: ValueKind[float] = _strict("a number of seconds, or 0", _is_finite_duration)
FRACTION: ValueKind[float] = ValueKind("a number from 0 to 1", _is_fraction, float)


class InDebug(NamedTuple):
    """Default that is a number while ``DEBUG`` is on, and else None; who reads the setting looks at that."""

    value: float

    def __repr__(self) -> str:
        return f"{self.value} if DEBUG else None"


SECONDS_IN_DEBUG: ValueKind[float | InDebug | None] = _strict(
    "None or a positive number of seconds",
    lambda value: isinstance(value, InDebug) or value is None or _is_timeout(value),
)


def _read_rate(value: Any) -> Rate | None:
    return None if value is None else parse_rate(value)


def _is_rate(value: Any) -> bool:
    try:
        _read_rate(value)
    except (TypeError, ValueError):
        return False
    return True


RATE_OR_NONE: ValueKind[Rate | None] = ValueKind(
    "None or a rate such as '20/s' or '100/m burst 20'", _is_rate, _read_rate
)


# Words


def choice(*values: str) -> ValueKind[str]:
    """Kind of a choice among words. Any other is read as the first; the system check tells of it."""
    wanted = "one of " + ", ".join(map(repr, values))
    return ValueKind(wanted, lambda value: value in values, lambda value: value if value in values else values[0])


def _is_module(value: Any) -> bool:
    return isinstance(value, str) and all(part.isidentifier() for part in value.split("."))


def _is_url_path(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.startswith("/"))


def _is_function(value: Any) -> bool:
    return value is None or (_is_module(value) if isinstance(value, str) else callable(value))


def _is_words(value: Any) -> bool:
    return isinstance(value, (list, tuple, set)) and all(isinstance(item, str) and item.isalnum() for item in value)


def _read_words(value: Any) -> tuple[str, ...]:
    if not _is_words(value):
        raise ValueError("not a list of words")
    return tuple(map(str.lower, value))


def _is_origins(value: Any) -> bool:
    return value is None or (isinstance(value, (list, tuple, set)) and all(map(_is_origin, value)))


def _is_origin(value: Any) -> bool:
    return isinstance(value, str) and (value in ("*", "null") or parse_pattern(value) is not None)


MODULE: ValueKind[str] = ValueKind("the name of a module", _is_module, str)
URL_PATH: ValueKind[str | None] = ValueKind(
    "None or a path that begins with '/'", _is_url_path, lambda value: None if value is None else str(value)
)
FUNCTION: ValueKind[Any] = ValueKind(
    "None or the dotted path of a function that takes the scope", _is_function, lambda value: value
)
FUNCTION_OF_TOKENS: ValueKind[Any] = ValueKind(
    "None or the dotted path of an async function that takes a token and the scope", _is_function, lambda value: value
)
WORDS: ValueKind[tuple[str, ...]] = ValueKind("a list of words of letters and digits", _is_words, _read_words)
ORIGINS: ValueKind[list[str] | None] = ValueKind(
    "None or a list of origins such as 'https://example.com' or 'https://*.example.com'",
    _is_origins,
    lambda value: None if value is None else list(value),
)


# Keys of HTTP publish


def _is_publish_keys(value: Any) -> bool:
    try:
        read_publish_keys(value)
    except ValueError:
        return False
    return True


PUBLISH_KEYS: ValueKind[Mapping[str, PublishKey]] = ValueKind(
    "a dict of keys such as {'shop': {'secret': '...', 'rooms': ['orders/*']}}",
    _is_publish_keys,
    read_publish_keys,
    is_secret=True,
)


# Flags

FLAG: ValueKind[bool] = ValueKind("True or False", lambda value: isinstance(value, bool), bool)


# Flags with more than two values


def _is_db_reset(value: Any) -> bool:
    return value is None or isinstance(value, bool) or value in ("close", "discard")


def _read_db_reset(value: Any) -> str | None:
    if not _is_db_reset(value):
        raise ValueError("not a reset")
    return "close" if value is True else value or None


def _is_close_on_logout(value: Any) -> bool:
    return isinstance(value, bool) or value == "session"


def _read_close_on_logout(value: Any) -> bool | Literal["session"]:
    return "session" if value == "session" else bool(value)


DB_RESET: ValueKind[str | None] = ValueKind("None, True, False, 'close' or 'discard'", _is_db_reset, _read_db_reset)
CLOSE_ON_LOGOUT: ValueKind[bool | Literal["session"]] = ValueKind(
    "True, False or 'session'", _is_close_on_logout, _read_close_on_logout
)
