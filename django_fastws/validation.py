"""Validation of JSON by types, through pydantic: adapters, and the texts of what does not fit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from .exceptions import MAX_REASON_BYTES, InvalidMessage, peers_mistake

__all__ = ["adapter", "error_fields", "error_summary", "read_message"]

_NOT_JSON, _DOES_NOT_FIT = 1007, 1008
_MAX_ERRORS = 100  # that are told: there may be one for every two bytes of a message


def adapter(type_: Any) -> TypeAdapter[Any]:
    """Adapter of a type, made once for each; pydantic says which types there are.

    Raises:
        TypeError, pydantic's errors: there is no adapter for it.
    """
    try:
        return _adapter(type_)
    except TypeError:  # metadata that has no hash
        return TypeAdapter(type_)


@lru_cache(maxsize=1024)
def _adapter(type_: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


def read_message(type_: Any, data: str | bytes, call: str) -> Any:
    """Validate a message, text or binary, that holds JSON.

    Args:
        call: what the caller called, for the text of the error.
    Raises:
        InvalidMessage: it is not JSON, or does not fit; marked as the peer's mistake.
    """
    try:
        value = adapter(type_).validate_json(data)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
        if errors[0]["type"] == "json_invalid":
            raise _not_json(call, errors[0]["msg"], errors) from None
        summary = error_summary(error)
        invalid = InvalidMessage(f"{call}(): {summary}", errors, error_fields(error))
        raise peers_mistake(invalid, _DOES_NOT_FIT, _cut(summary)) from None
    _refuse_constants(data, call)
    return value


def _refuse_constants(data: str | bytes, call: str) -> None:
    """Refuse NaN and Infinity, which pydantic reads as numbers and JSON does not have (RFC 8259 section 6)."""
    if isinstance(data, str):
        if "NaN" not in data and "Infinity" not in data:
            return
    elif b"NaN" not in data and b"Infinity" not in data:
        return
    try:
        json.loads(data, parse_constant=_refuse_constant, parse_float=str, parse_int=str)
    except ValueError as error:
        message = f"Invalid JSON: {error}"
        raise _not_json(call, message, [{"type": "json_invalid", "loc": (), "msg": message, "input": data}]) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _not_json(call: str, message: str, errors: Sequence[Any]) -> InvalidMessage:
    invalid = InvalidMessage(f"{call}(): the message is not JSON: {message}", errors, {"": [message]})
    return peers_mistake(invalid, _NOT_JSON, "the message is not JSON")


def error_fields(error: ValidationError) -> dict[str, list[str]]:
    """Messages of a validation error by dotted path, of the first hundred; "" for the value as a whole."""
    fields: dict[str, list[str]] = {}
    for one in error.errors(include_url=False, include_context=False, include_input=False)[:_MAX_ERRORS]:
        fields.setdefault(_path(one["loc"]), []).append(one["msg"])
    return fields


def error_summary(error: ValidationError) -> str:
    """The first message of a validation error with its path, and how many more there are, in one line."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path, more = _path(first["loc"]), error.error_count() - 1
    summary = f"{path}: {first['msg']}" if path else first["msg"]
    # A path may hold keys that the peer has chosen.
    summary = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in summary)
    return f"{summary} (and {more} more)" if more else summary


def _path(location: Sequence[int | str]) -> str:
    return ".".join(map(str, location))


def _cut(text: str) -> str:
    """A text as long as a close frame takes it."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= MAX_REASON_BYTES:
        return raw.decode()
    return raw[: MAX_REASON_BYTES - 3].decode("utf-8", "ignore") + "…"
