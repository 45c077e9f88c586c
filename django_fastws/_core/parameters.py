"""A handler's parameters, and the conversion of query strings and paths to what their annotations say."""

from __future__ import annotations

import datetime as dt
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

__all__ = ["ParameterError", "Parameter", "converter_for", "path_converter"]

Converter = Callable[[str], Any]

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_UUID = re.compile(r"\{?[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}\}?")
_SHOWN = 60  # characters of a refused value that an error repeats

SUPPORTED = "str, int, float, bool, UUID, Decimal, date, datetime, time, an Enum, Literal[...], X | None and list[X]"


class ParameterError(ValueError):
    """A value that does not fit its parameter; the text names the parameter."""


class Kind(NamedTuple):
    """What an annotation asks for: how one value is converted, and what such a value is called."""

    convert: Converter
    noun: str
    many: bool = False


class Parameter(NamedTuple):
    """One parameter of a handler that comes from the path or the query string.

    Attributes:
        name: as the handler spells it.
        kind: how its value is converted.
        required: it has no default.
        default: the default; meaningless where it is required.
        path_converter: the path converter that the annotation picks.
    """

    name: str
    kind: Kind
    required: bool
    default: Any
    path_converter: str

    def from_query(self, values: Sequence[str]) -> Any:
        """Convert what the query string has for this parameter; of several values for one the last counts.

        Raises:
            ParameterError: there is none and one is required, or it does not fit.
        """
        if not values:
            if self.required:
                raise ParameterError(f"query parameter {self.name!r} is required")
            return list(self.default) if isinstance(self.default, list) else self.default
        if self.kind.many:
            return [self._convert("query", value) for value in values]
        return self._convert("query", values[-1])

    def from_path(self, value: Any) -> Any:
        """Convert what the URL's converter made of this parameter: a str, or an int or UUID that is ready.

        Raises:
            ParameterError: it does not fit.
        """
        converted = self._convert("path", value) if isinstance(value, str) else value
        return [converted] if self.kind.many else converted

    def _convert(self, where: str, value: str) -> Any:
        try:
            return self.kind.convert(value)
        except (ValueError, ArithmeticError):
            shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
            raise ParameterError(f"{where} parameter {self.name!r}: {shown!r} is not {self.kind.noun}") from None


def path_converter(annotation: Any) -> str:
    """The name of the path converter for an annotation; ``str`` where no other fits."""
    annotation, hints = _unwrap(annotation)
    for hint in (annotation, *hints):
        if hint in ("slug", "path", "int", "uuid", "str"):
            return str(hint)
    if annotation is int:
        return "int"
    if annotation is UUID:
        return "uuid"
    return "str"


def converter_for(annotation: Any) -> Kind:
    """How to convert a value from a query string to what an annotation says.

    Raises:
        TypeError: no value of a query string can become that.
    """
    annotation, _ = _unwrap(annotation)
    if get_origin(annotation) is list or annotation is list:
        inner = converter_for(*(get_args(annotation) or (str,)))
        if inner.many:
            raise TypeError(f"a list of lists cannot come from a query string; supported are {SUPPORTED}")
        return inner._replace(many=True)
    if get_origin(annotation) in (Union, types.UnionType):
        return _union(annotation)
    if get_origin(annotation) is Literal:
        return _literal(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _choice({_spelled(member.value): member for member in annotation})
    try:
        return _SIMPLE[annotation]
    except (KeyError, TypeError):
        raise TypeError(
            f"{getattr(annotation, '__name__', annotation)} cannot come from a path or a query string; "
            f"supported are {SUPPORTED}"
        ) from None


def _unwrap(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Strip Annotated, NewType and type aliases; return what is left and the hints of Annotated."""
    hints: tuple[Any, ...] = ()
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            hints += tuple(more)
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation, hints


def _union(annotation: Any) -> Kind:
    kinds = [converter_for(arm) for arm in get_args(annotation) if arm is not type(None)]
    if len(kinds) == 1:
        return kinds[0]
    if any(kind.many for kind in kinds):
        raise TypeError(f"a union with a list cannot come from a query string; supported are {SUPPORTED}")

    def convert(value: str) -> Any:
        for kind in kinds:
            try:
                return kind.convert(value)
            except (ValueError, ArithmeticError):
                continue
        raise ValueError

    return Kind(convert, " or ".join(kind.noun for kind in kinds))


def _literal(values: tuple[Any, ...]) -> Kind:
    return _choice({_spelled(value): value for value in values if value is not None})


def _choice(choices: Mapping[str, Any]) -> Kind:
    def convert(value: str) -> Any:
        try:
            return choices[value]
        except KeyError:
            raise ValueError from None

    return Kind(convert, "one of " + ", ".join(repr(choice) for choice in choices))


def _spelled(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _int(value: str) -> int:
    if not _INTEGER.fullmatch(value):
        raise ValueError
    return int(value)


def _float(value: str) -> float:
    if not _NUMBER.fullmatch(value):
        raise ValueError
    number = float(value)
    if number in (float("inf"), float("-inf")):
        raise ValueError
    return number


def _uuid(value: str) -> UUID:
    if not _UUID.fullmatch(value):
        raise ValueError
    return UUID(value)


def _decimal(value: str) -> Decimal:
    if not _NUMBER.fullmatch(value):
        raise ValueError
    return Decimal(value)


def _bool(value: str) -> bool:
    word = value.lower()
    if word in ("true", "1", "yes", "on", "t", "y"):
        return True
    if word in ("false", "0", "no", "off", "f", "n"):
        return False
    raise ValueError


def _datetime(value: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(value)
    except ValueError:
        # An unescaped + in a query string is a space: 2024-01-01T10:00:00+02:00 arrives without it.
        head, space, tail = value.rpartition(" ")
        if not space or "T" not in head:
            raise
        return dt.datetime.fromisoformat(f"{head}+{tail}")


_TEXT = Kind(str, "text")

_SIMPLE: dict[Any, Kind] = {
    str: _TEXT,
    Any: _TEXT,
    object: _TEXT,
    "slug": _TEXT,
    "path": _TEXT,
    int: Kind(_int, "an integer"),
    float: Kind(_float, "a number"),
    bool: Kind(_bool, "true or false"),
    UUID: Kind(_uuid, "a UUID"),
    Decimal: Kind(_decimal, "a decimal number"),
    dt.date: Kind(dt.date.fromisoformat, "a date such as 2024-12-31"),
    dt.datetime: Kind(_datetime, "a date and time such as 2024-12-31T23:59:59+00:00"),
    dt.time: Kind(dt.time.fromisoformat, "a time such as 23:59:59"),
}
