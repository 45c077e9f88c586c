"""Validation of JSON by types, through pydantic: adapters, and the texts of what does not fit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from ._core.json import LONG_TEXT, MOST_KEY, may_have_long_key
from .exceptions import MAX_REASON_BYTES, InvalidMessage, peers_mistake

__all__ = ["adapter", "error_fields", "error_summary", "error_texts", "read_message"]

_NOT_JSON, _DOES_NOT_FIT = 1007, 1008
_MAX_ERRORS = 100  # that are told: there may be one for every two bytes of a message
_MAX_PATH = 300  # characters of a path: one key of the peer may stand in the paths of all errors


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
    if len(data) > LONG_TEXT and may_have_long_key(data):
        text = f"a key in a message of over {LONG_TEXT} bytes has at most {MOST_KEY} characters"
        told = {"type": "key_too_long", "loc": (), "msg": text, "input": None}
        raise peers_mistake(InvalidMessage(f"{call}(): {text}", [told], {"": [text]}), _DOES_NOT_FIT, text)
    try:
        value = adapter(type_).validate_json(data)
    except ValidationError as error:
        errors = _first_errors(error)
        summary, fields = _texts(errors, error.error_count())
        if len(errors) == error.error_count() and len(data) <= LONG_TEXT:  # each may hold the whole message once more
            errors = error.errors(include_url=False, include_context=False)
        if errors[0]["type"] == "json_invalid":
            raise _not_json(call, errors[0]["msg"], errors) from None
        invalid = InvalidMessage(f"{call}(): {summary}", errors, fields)
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


def error_texts(error: ValidationError) -> tuple[str, dict[str, list[str]]]:
    """The texts of a validation error: what ``error_summary()`` and ``error_fields()`` return."""
    return _texts(_first_errors(error), error.error_count())


def error_fields(error: ValidationError) -> dict[str, list[str]]:
    """Messages of a validation error by dotted path, of the first hundred; "" for the value as a whole."""
    return error_texts(error)[1]


def error_summary(error: ValidationError) -> str:
    """The first message of a validation error with its path, and how many more there are, in one line."""
    return error_texts(error)[0]


def _first_errors(error: ValidationError) -> list[Any]:
    """The first errors, each with "type", "loc" and "msg"."""
    if error.error_count() <= _MAX_ERRORS:
        return error.errors(include_url=False, include_context=False, include_input=False)
    # pydantic lists all or none. As Python objects that takes several times as long as in JSON.
    text, at = error.json(include_url=False, include_context=False, include_input=False), 0
    errors: list[Any] = []
    while len(errors) < _MAX_ERRORS:
        one, at = _decode(text, at + 1)  # behind the bracket, or a comma
        errors.append(one)
    return errors


_decode = json.JSONDecoder().raw_decode


def _texts(errors: list[Any], count: int) -> tuple[str, dict[str, list[str]]]:
    fields: dict[str, list[str]] = {}
    for one in errors:
        fields.setdefault(_path(one["loc"]), []).append(one["msg"])
    return _summary(errors[0], count - 1), fields


def _summary(first: Any, more: int) -> str:
    path = _path(first["loc"])
    summary = f"{path}: {first['msg']}" if path else first["msg"]
    # A path may hold keys that the peer has chosen.
    summary = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in summary)
    return f"{summary} (and {more} more)" if more else summary


def _path(location: Sequence[int | str]) -> str:
    path = ".".join(map(str, location))
    return path if len(path) <= _MAX_PATH else f"{path[: _MAX_PATH - 1]}…"


def _cut(text: str) -> str:
    """A text as long as a close frame takes it."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= MAX_REASON_BYTES:
        return raw.decode()
    return raw[: MAX_REASON_BYTES - 3].decode("utf-8", "ignore") + "…"
