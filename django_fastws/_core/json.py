"""JSON in and out, through orjson."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import orjson

from ..exceptions import peers_mistake

__all__ = ["LONG_TEXT", "MOST_KEY", "dumps", "has_long_key", "loads", "may_have_long_key"]

#: Bytes of a text, and characters of a key in it, over which the key is too long. pydantic keeps the whole path of
#: each error: one key of half a message, in the paths of the thousands of errors below it, would take gigabytes.
LONG_TEXT, MOST_KEY = 16 * 1024, 1024

# What goes through `default`: datetimes, which it writes as Django does; dataclasses, of which orjson leaves out
# members with an underscore and writes cached properties; subclasses, which may be read in a way of their own.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS


def dumps(data: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """Encode as compact JSON, non-ASCII characters unescaped.

    Args:
        data: what orjson takes, keys that are not strings and integers of any size included.
        default: turns what is none of these into something that is, or raises TypeError.
    Returns:
        UTF-8. NaN and infinities become ``null``, which JSON lacks otherwise.
    Raises:
        TypeError: something in it has no JSON form, or a string is not valid Unicode.
    """
    try:
        return orjson.dumps(data, default, _OPTIONS)
    except TypeError as error:
        # The rare shapes cost a second try instead of slowing down every message.
        text = str(error)
        if "key" in text:
            return _dumps_any_keys(data, default)
        if "64-bit" in text:
            return _dumps_big(data, default)
        raise TypeError(f"not JSON: {text}") from (error.__cause__ or error)


def _dumps_any_keys(data: Any, default: Callable[[Any], Any] | None) -> bytes:
    try:
        return orjson.dumps(data, default, _OPTIONS | orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        if "64-bit" in str(error):
            return _dumps_big(data, default)
        raise TypeError(f"not JSON: {error}") from (error.__cause__ or error)


def _dumps_big(data: Any, default: Callable[[Any], Any] | None) -> bytes:
    """Integers over 64 bits, which orjson refuses and the standard library writes."""
    try:
        try:
            return _dumps_slowly(data, default)
        except ValueError as error:
            if "Out of range" not in str(error):
                raise
            return _dumps_slowly(_finite(data), default)
    except (ValueError, RecursionError) as error:
        raise TypeError(f"not JSON: {error}") from error


def _dumps_slowly(data: Any, default: Callable[[Any], Any] | None) -> bytes:
    return json.dumps(data, default=default, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _finite(data: Any) -> Any:
    """The same with null for NaN and infinities, as orjson writes them."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data


def loads(data: str | bytes, call: str = "json") -> Any:
    """Decode JSON.

    Integers over 64 bits become floats, as in a browser (RFC 8259 section 6).

    Args:
        data: text, or bytes in UTF-8.
        call: what the caller called, for the text of the error.
    Raises:
        ValueError: it is not JSON, or not UTF-8. (A ``json.JSONDecodeError``, which has the position.)
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        text = f"{call}(): the message is not JSON: {error.msg}"
        raise peers_mistake(
            json.JSONDecodeError(text, error.doc, error.pos), 1007, "the message is not JSON"
        ) from None


def may_have_long_key(text: str | bytes) -> bool:
    """Whether a JSON text, or what may be one, has a key that is too long; nearly always without decoding it."""
    quote, escaped = ('"', '\\"') if isinstance(text, str) else (b'"', b'\\"')
    if escaped not in text and max(map(len, text.split(quote))) <= MOST_KEY:  # type: ignore[operator, arg-type]
        return False
    try:
        return has_long_key(json.loads(text, parse_int=str, parse_float=str))  # reads NaN, as pydantic does
    except (ValueError, RecursionError):
        return False


def has_long_key(data: Any) -> bool:
    """Whether a decoded JSON value has a key that is too long."""
    waiting: list[Any] = [data] if isinstance(data, (dict, list)) else []
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if any(len(key) > MOST_KEY for key in value):
                return True
            value = value.values()
        waiting += [one for one in value if isinstance(one, (dict, list))]
    return False
