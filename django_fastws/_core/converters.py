"""The conversion of text from paths and query strings to what an annotation says."""

from __future__ import annotations

import datetime as dt
import re
import types
import typing
from collections import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

from .constraints import Constraint, constraints_of

__all__ = ["Kind", "Misfit", "converter_for", "path_converter", "unwrap"]

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_UUID = re.compile(r"\{?[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}\}?")
_SHOWN = 60  # characters of a refused value that an error repeats

SUPPORTED = (
    "str, int, float, bool, UUID, Decimal, date, datetime, time, an Enum, Literal[...], X | None, "
    "list[X], set[X], frozenset[X], tuple[X, ...], tuple[X, Y] and Sequence[X]"
)


class Misfit(ValueError):
    """A value that an annotation does not allow; the text says what it is not.

    Attributes:
        masked: the text without the value, which may be a secret.
    """

    def __init__(self, text: str, masked: str = "") -> None:
        super().__init__(text)
        self.masked = masked or text


class Kind(NamedTuple):
    """Kind of value that an annotation asks for.

    Attributes:
        convert: makes one value of text; a ValueError or ArithmeticError says that it does not fit.
        noun: what such a value is called.
        constraints: what must hold for a value, for a collection if this is one.
        collect: what becomes of several texts; None for a kind that takes a single one.
    """

    convert: Callable[[str], Any]
    noun: str
    constraints: tuple[Constraint, ...] = ()
    collect: Callable[[Sequence[str]], Any] | None = None

    @property
    def many(self) -> bool:
        """Whether it takes several values."""
        return self.collect is not None

    @property
    def description(self) -> str:
        """Description of a right value, in words: "an integer greater than 0"."""
        return f"{self.noun} {' and '.join(phrase for _, phrase in self.constraints)}".rstrip()

    def read(self, text: str) -> Any:
        """Convert one text and check what must hold.

        Raises:
            Misfit: it does not fit.
        """
        try:
            value = self.convert(text)
        except Misfit:
            raise
        except (ValueError, ArithmeticError):
            raise self._misfit(_short(text)) from None
        return self.checked(value, text)

    def read_all(self, texts: Sequence[str]) -> Any:
        """Convert several texts to one collection, and check what must hold for it.

        Raises:
            Misfit: one of them, or their number, does not fit.
        """
        collect: Callable[[Sequence[str]], Any] = self.collect or list
        return self.checked(collect(texts), *texts)

    def checked(self, value: Any, *texts: Any) -> Any:
        """A value, if all that must hold for it does.

        Args:
            texts: what the value was made of, for the error.
        Raises:
            Misfit: something does not hold.
        """
        for constraint in self.constraints:
            try:
                holds = constraint.holds(value)
            except (ValueError, TypeError, ArithmeticError):  # a date with a time zone and one without, for example
                holds = False
            if not holds:
                shown = _short(str(texts[0])) if len(texts) == 1 else f"what was given {len(texts)} times"
                raise self._misfit(shown)
        return value

    def _misfit(self, shown: str) -> Misfit:
        return Misfit(f"{shown} is not {self.description}", masked=f"what was given is not {self.description}")


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def path_converter(annotation: Any) -> str:
    """The name of the path converter for an annotation; ``str`` where no other fits."""
    annotation, hints = unwrap(annotation)
    for hint in (annotation, *hints):
        if hint in ("slug", "path", "int", "uuid", "str"):
            return str(hint)
    if annotation is int:
        return "int"
    if annotation is UUID:
        return "uuid"
    return "str"


def converter_for(annotation: Any, *, is_ready: bool = False) -> Kind:
    """Converter of text to what an annotation says, with the constraints that must hold.

    Args:
        is_ready: something else makes the value, so that it may be of a type that no text can become.
    Raises:
        TypeError: no text can become that, or a constraint cannot be asked of it.
    """
    annotation, hints = unwrap(annotation)
    try:
        kind = _kind(annotation)
    except TypeError:
        if not is_ready:
            raise
        kind = _TEXT
    constraints = constraints_of(hints, "values" if kind.many else "characters")
    if not constraints:
        return kind
    example = _EXAMPLES.get(annotation) if isinstance(annotation, abc.Hashable) else None
    if example is not None and not is_ready:
        for constraint in constraints:
            _check_sense(constraint, example, kind)
    return kind._replace(constraints=kind.constraints + constraints)


def _check_sense(constraint: Constraint, example: Any, kind: Kind) -> None:
    try:
        constraint.holds(example)
    except (TypeError, AttributeError):
        raise TypeError(f"{kind.noun} cannot be {constraint.phrase}") from None
    except Exception:  # a predicate may refuse an example
        return


def _kind(annotation: Any) -> Kind:
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and (origin is tuple or origin in _COLLECTIONS):
        return _collection(origin, get_args(annotation))
    if origin in (Union, types.UnionType):
        return _union(annotation)
    if origin is Literal:
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


# What each annotation for several values becomes.
_COLLECTIONS: dict[type, tuple[Callable[[Iterable[Any]], Any], str]] = {
    list: (list, "a list"),
    abc.Sequence: (list, "a list"),
    abc.MutableSequence: (list, "a list"),
    abc.Collection: (list, "a list"),
    abc.Iterable: (list, "a list"),
    set: (set, "a set"),
    abc.MutableSet: (set, "a set"),
    frozenset: (frozenset, "a set"),
    abc.Set: (frozenset, "a set"),
}


def _collection(origin: type, arguments: tuple[Any, ...]) -> Kind:
    if origin is tuple and arguments != () and arguments[1:] != (...,):
        return _fixed(arguments)
    inner = _single(arguments[0] if arguments else str)
    make, noun = _COLLECTIONS.get(origin, (tuple, "a tuple"))
    return Kind(inner.read, noun, collect=lambda texts: make(inner.read(text) for text in texts))


def _fixed(arguments: tuple[Any, ...]) -> Kind:
    """A tuple of so many values, each of a kind of its own."""
    inner = [_single(argument) for argument in arguments]

    def collect(texts: Sequence[str]) -> tuple[Any, ...]:
        if len(texts) != len(inner):
            raise Misfit(f"it was given {len(texts)} times instead of {len(inner)}")
        return tuple(kind.read(text) for kind, text in zip(inner, texts, strict=True))

    return Kind(inner[0].read, f"{len(inner)} values", collect=collect)


def _single(annotation: Any) -> Kind:
    kind = converter_for(annotation)
    if kind.many:
        raise TypeError(f"a list of lists cannot come from a query string; supported are {SUPPORTED}")
    return kind


def unwrap(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
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
                return kind.read(value)
            except Misfit:
                continue
        raise ValueError

    return Kind(convert, " or ".join(kind.description for kind in kinds))


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

#: A value of each kind, on which a constraint is tried where it is declared.
_EXAMPLES: dict[Any, Any] = {
    str: "",
    int: 1,
    float: 1.0,
    bool: True,
    Decimal: Decimal(1),
    UUID: UUID(int=0),
    dt.date: dt.date(2024, 1, 1),
    dt.time: dt.time(),
}
