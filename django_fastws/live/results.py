"""Encoding of what handlers and state functions return, by their annotation."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping
from typing import Any, NoReturn, get_args

from django.db.models import Manager, Model, QuerySet
from pydantic import TypeAdapter, ValidationError

from ..encoding import json_bytes
from ..exceptions import RouteError
from ..validation import error_summary
from .signature import EMPTY

__all__ = ["ResultEncoder"]

_ANY: TypeAdapter[Any] = TypeAdapter(Any)
_SEVERAL = (list, tuple, set, frozenset, deque)
_LAZY = (QuerySet, Manager)
_ORM = (Model, *_LAZY)
_REMEDY = (
    "return what is to be sent: a pydantic model (`Said.model_validate(message, from_attributes=True)`), a dict, or "
    "a list of such (`[... async for message in messages]`)"
)


class ResultEncoder:
    """Encoder of the results of one function.

    They are validated as what is annotated and then written, so that a client gets nothing else: pydantic alone would
    write an object of any class by the attributes that it happens to have. A model that reads attributes
    (``from_attributes``) takes a model of Django's.

    Args:
        label: of the function, for the text of errors.
        annotation: of what it returns; EMPTY encodes as ``send_json()`` does, and whatever pydantic can besides.
    Raises:
        RouteError: pydantic cannot encode what is annotated.
    """

    def __init__(self, label: str, annotation: Any) -> None:
        self._label = label
        self.type: Any = Any if annotation is EMPTY else annotation
        self._adapter: TypeAdapter[Any] | None = None
        if self.type is Any or self.type is object:
            return
        if any(isinstance(one, type) and issubclass(one, _ORM) for one in _types_in(self.type)):
            raise RouteError(f"{label}() returns {_shown(self.type)}, which is of the database: {_REMEDY}")
        try:
            self._adapter = TypeAdapter(self.type)
        except Exception as error:
            raise RouteError(f"{label}() returns {_shown(self.type)}, which cannot be encoded: {error}") from None

    def encode(self, result: Any) -> bytes:
        """A result as JSON.

        Raises:
            TypeError: it has no JSON form, or is not of the type that is annotated.
        """
        if type(result) is self.type and self.type is int:
            return b"%d" % result
        if isinstance(result, _LAZY):
            self._refuse(result)
        try:
            if self._adapter is None:
                return json_bytes(result, _as_pydantic_does)
            # The adapter's own methods cost several times as much, of which every answer would pay.
            value = self._adapter.validator.validate_python(result, by_alias=True, by_name=True)
            return self._adapter.serializer.to_json(value, by_alias=True)
        except (TypeError, ValueError) as error:
            if (found := _orm_in(result)) is not None:
                self._refuse(found)
            why = error_summary(error) if isinstance(error, ValidationError) else str(error)
            wrong = "has no JSON form" if self._adapter is None else f"is not {_shown(self.type)}"
            raise TypeError(f"{self._label}() has returned what {wrong}: {why}") from error

    def _refuse(self, found: Any) -> NoReturn:
        kind = "a model" if isinstance(found, Model) else "a queryset" if isinstance(found, QuerySet) else "a manager"
        raise TypeError(
            f"{self._label}() has returned {kind} of the database ({type(found).__name__}): {_REMEDY}"
        ) from None


def _as_pydantic_does(value: Any) -> Any:
    """What has no JSON form of its own: a set, a generator, bytes, an address."""
    return _ANY.serializer.to_python(value, mode="json", by_alias=True)


def _types_in(annotation: Any) -> list[Any]:
    """An annotation, and all that is in its brackets."""
    found = [annotation]
    for argument in get_args(annotation):
        found += _types_in(argument)
    return found


def _orm_in(value: Any, depth: int = 8) -> Any:
    """The first model, queryset or manager of Django's within a value; None if there is none."""
    if isinstance(value, _ORM):
        return value
    if depth == 0 or isinstance(value, (str, bytes)):
        return None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = vars(value)
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, _SEVERAL) else ()
    return next((found for one in inner if (found := _orm_in(one, depth - 1)) is not None), None)


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
