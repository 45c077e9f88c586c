"""Encoding of what a caller sends or broadcasts: into a payload, once, with the limit on its size."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import PurePath
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from ._core.json import dumps
from ._core.messages import Payload
from .conf import conf
from .exceptions import MessageTooBig

__all__ = ["encode", "encode_bytes", "encode_json", "encode_text", "json_bytes"]

_django = DjangoJSONEncoder()


# Subclasses of what JSON has, as the standard library reads them: a QueryDict, a named tuple, a SafeString.
_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (dict, lambda value: dict(value.items())),
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (list, list),
    (tuple, list),
)


def _default(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    for kind, plain in _PLAIN:
        if isinstance(value, kind):
            return plain(value)
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "model_dump") and isinstance(value, _models()):
        return value.model_dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return _django.default(value)


def _models() -> Any:
    """The class of pydantic's models. It is not imported for this: without it there is no model."""
    return getattr(sys.modules.get("pydantic"), "BaseModel", ())


def encode(data: Any) -> Payload:
    """Encode what a broadcast carries: str and bytes as they are, anything else as JSON.

    Raises:
        TypeError, ValueError: it cannot be encoded.
        MessageTooBig: it is over ``FASTWS_MAX_MESSAGE_BYTES``.
    """
    if isinstance(data, str):
        return encode_text(data)
    if isinstance(data, (bytes, bytearray, memoryview)):
        return encode_bytes(data)
    return encode_json(data)


def encode_text(data: str) -> Payload:
    """Encode a text message.

    Raises:
        ValueError: the text holds half of a surrogate pair, which has no UTF-8.
        MessageTooBig: it is over the limit.
    """
    payload = Payload(data)
    if not data.isascii():
        try:
            payload.raw  # noqa: B018 (encodes it)
        except UnicodeEncodeError as error:
            raise ValueError(f"the text has no UTF-8: {error}") from None
    return _checked(payload, len(data) if data.isascii() else len(payload))


def encode_bytes(data: bytes | bytearray | memoryview) -> Payload:
    """Encode a binary message; what can change is copied.

    Raises:
        MessageTooBig: it is over the limit.
    """
    payload = Payload(bytes(data))
    return _checked(payload, len(payload))


def encode_json(data: Any) -> Payload:
    """Encode a text message that holds JSON: compact, non-ASCII unescaped, with Django's types.

    Raises:
        TypeError: something in it has no JSON form.
        MessageTooBig: it is over the limit.
    """
    raw = dumps(data, _default)
    limit = conf.max_message_bytes
    if len(raw) > limit:
        raise MessageTooBig(len(raw), limit)
    return Payload(raw, is_text=True)


def json_bytes(data: Any, further: Callable[[Any], Any] | None = None) -> bytes:
    """Encode as the same JSON, for what is no message and has no limit.

    Args:
        further: turns what has no JSON form here into something that has one, or raises an error.
    Raises:
        TypeError: something in it has no JSON form.
    """
    if further is None:
        return dumps(data, _default)

    def default(value: Any) -> Any:
        try:
            return _default(value)
        except TypeError:
            return further(value)

    return dumps(data, default)


def _checked(payload: Payload, size: int) -> Payload:
    limit = conf.max_message_bytes
    if size > limit:
        raise MessageTooBig(size, limit)
    return payload
