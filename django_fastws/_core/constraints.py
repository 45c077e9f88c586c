"""Constraints on the value of a parameter: what ``Annotated`` says beyond the type, as ``annotated_types`` has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from annotated_types import (
    BaseMetadata,
    Ge,
    GroupedMetadata,
    Gt,
    Le,
    Lt,
    MaxLen,
    MinLen,
    MultipleOf,
    Not,
    Predicate,
    Timezone,
    Unit,
)

__all__ = ["Constraint", "constraints_of"]


class Constraint(NamedTuple):
    """One condition that a value has to meet.

    Attributes:
        holds: whether it does.
        phrase: the condition, to go behind what the value should be: "greater than 0".
    """

    holds: Callable[[Any], bool]
    phrase: str


def constraints_of(hints: Iterable[Any], unit: str) -> tuple[Constraint, ...]:
    """Read the constraints among the hints of an ``Annotated``; any other hint means nothing here.

    Args:
        hints: ``annotated_types`` and their groups; pydantic's ``Field`` and ``StringConstraints`` hold such.
        unit: what a length counts: "characters", "values".
    Raises:
        TypeError: a constraint is of a kind that cannot be checked here. It is not ignored.
    """
    return tuple(_constraint(hint, unit) for hint in _flat(hints) if isinstance(hint, BaseMetadata))


def _flat(hints: Iterable[Any]) -> Iterator[Any]:
    for hint in hints:
        if isinstance(hint, GroupedMetadata):
            yield from _flat(hint)
        elif isinstance(inner := getattr(hint, "metadata", None), list):  # pydantic's FieldInfo
            yield from _flat(inner)
        else:
            yield hint


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"


def _constraint(hint: Any, unit: str) -> Constraint:
    match hint:
        case Gt():
            return Constraint(lambda value: value > hint.gt, f"greater than {hint.gt}")
        case Ge():
            return Constraint(lambda value: value >= hint.ge, f"not less than {hint.ge}")
        case Lt():
            return Constraint(lambda value: value < hint.lt, f"less than {hint.lt}")
        case Le():
            return Constraint(lambda value: value <= hint.le, f"not greater than {hint.le}")
        case MultipleOf():
            phrase = f"that is a multiple of {hint.multiple_of}"
            return Constraint(lambda value: value % hint.multiple_of == 0, phrase)
        case MinLen():
            phrase = f"of at least {_counted(hint.min_length, unit)}"
            return Constraint(lambda value: len(value) >= hint.min_length, phrase)
        case MaxLen():
            phrase = f"of at most {_counted(hint.max_length, unit)}"
            return Constraint(lambda value: len(value) <= hint.max_length, phrase)
        case Predicate():
            return Constraint(lambda value: bool(hint.func(value)), _of_predicate(hint.func))
        case Timezone():
            return _timezone(hint.tz)
        case Unit():
            return Constraint(lambda value: True, f"in {hint.unit}")
        case _:
            raise TypeError(f"the constraint {hint!r} cannot be checked here")


def _of_predicate(function: Any) -> str:
    is_inverted = isinstance(function, Not)
    name = getattr(function.func if is_inverted else function, "__name__", "")
    if not name.isidentifier():
        return "that is allowed"
    return f"for which {name}() is {'false' if is_inverted else 'true'}"


def _timezone(wanted: Any) -> Constraint:
    if wanted is None:
        return Constraint(lambda value: value.tzinfo is None, "without a time zone")
    if wanted is ...:
        return Constraint(lambda value: value.tzinfo is not None, "with a time zone")
    if isinstance(wanted, str):
        try:
            wanted = ZoneInfo(wanted)
        except (ValueError, KeyError) as error:
            raise TypeError(f"there is no time zone {wanted!r}") from error
    return Constraint(
        # ISO 8601 has offsets only, so the offset is what can be compared.
        lambda value: value.tzinfo is not None and value.utcoffset() == wanted.utcoffset(value.replace(tzinfo=None)),
        f"in the time zone {wanted}",
    )
