"""Constraints of annotated_types on parameters: what holds is let in, what does not is refused with the reason."""

import datetime as dt
from decimal import Decimal
from typing import Annotated, Literal

import annotated_types as at
import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.converters import Misfit, converter_for
from tests.support.ids import shown

HELD = [
    (Annotated[int, at.Gt(0)], ["1", "99"], ["0", "-5"], "an integer greater than 0"),
    (Annotated[int, at.Ge(0)], ["0"], ["-1"], "an integer not less than 0"),
    (Annotated[float, at.Lt(1.5)], ["1.4", "-3"], ["1.5", "9"], "a number less than 1.5"),
    (Annotated[Decimal, at.Le(Decimal("1.5"))], ["1.5"], ["1.51"], "a decimal number not greater than 1.5"),
    (Annotated[int, at.Interval(ge=1, le=3)], ["1", "3"], ["0", "4"], "an integer not less than 1 and not greater"),
    (Annotated[int, at.MultipleOf(5)], ["0", "-10"], ["4"], "that is a multiple of 5"),
    (Annotated[str, at.MinLen(2)], ["ab"], ["", "a"], "text of at least 2 characters"),
    (Annotated[str, at.MaxLen(2)], ["", "ab"], ["abc"], "text of at most 2 characters"),
    (Annotated[str, at.Len(1, 2)], ["a", "ab"], ["", "abc"], "of at least 1 character and of at most 2 characters"),
    (Annotated[str, at.Predicate(str.isidentifier)], ["ab"], ["a b"], "for which isidentifier() is true"),
    (Annotated[str, at.Predicate(at.Not(str.isdigit))], ["ab"], ["12"], "for which isdigit() is false"),
    (Annotated[str, at.Predicate(lambda text: text != "x")], ["y"], ["x"], "that is allowed"),
    (at.LowerCase[str], ["ab"], ["AB"], "islower"),
    (Annotated[dt.date, at.Gt(dt.date(2024, 1, 1))], ["2024-01-02"], ["2024-01-01"], "greater than 2024-01-01"),
    (Annotated[dt.datetime, at.Timezone(...)], ["2024-01-01T00:00:00Z"], ["2024-01-01T00:00:00"], "with a time zone"),
    (Annotated[dt.datetime, at.Timezone(None)], ["2024-01-01T00:00:00"], ["2024-01-01T00:00:00Z"], "without a time"),
    (
        Annotated[dt.datetime, at.Timezone("Europe/Berlin")],
        ["2024-07-01T00:00:00+02:00", "2024-01-01T00:00:00+01:00"],
        ["2024-07-01T00:00:00+01:00", "2024-07-01T00:00:00"],
        "in the time zone Europe/Berlin",
    ),
    (
        # What cannot be compared does not fit: with an offset, and without one.
        Annotated[dt.datetime, at.Gt(dt.datetime(2024, 1, 1, tzinfo=dt.UTC))],
        ["2024-01-02T00:00:00Z"],
        ["2024-01-02T00:00:00"],
        "greater than 2024-01-01",
    ),
    (Annotated[Annotated[int, at.Gt(0)], at.Lt(3)], ["1", "2"], ["0", "3"], "greater than 0 and less than 3"),
    (Annotated[int | None, at.Gt(0)], ["1"], ["0"], "an integer greater than 0"),
    (Annotated[int, at.Gt(0)] | None, ["1"], ["0"], "an integer greater than 0"),
    (Annotated[int, at.Lt(0)] | Annotated[str, at.MinLen(2)], ["-1", "12"], ["1"], "less than 0 or text of at least"),
    (Annotated[Literal["a", "b"], at.Predicate(lambda text: text == "a")], ["a"], ["b"], "that is allowed"),
    (Annotated[int, at.Unit("ms"), "a note", at.Gt(0)], ["1"], ["0"], "in ms and greater than 0"),
]


@pytest.mark.parametrize(("annotation", "held", "refused", "words"), HELD, ids=shown)
def test_a_constraint_holds(annotation, held, refused, words):
    kind = converter_for(annotation)
    for text in held:
        kind.read(text)
    for text in refused:
        with pytest.raises(Misfit) as raised:
            kind.read(text)
        assert words in str(raised.value)
        assert repr(text) in str(raised.value)


class Field:
    """Holds its constraints as pydantic's Field() does."""

    def __init__(self, *metadata):
        self.metadata = list(metadata)


def test_what_holds_constraints_is_looked_into():
    kind = converter_for(Annotated[int, Field(at.Gt(0), at.Interval(lt=10))])
    assert kind.read("9") == 9
    for text in ("0", "10"):
        with pytest.raises(Misfit):
            kind.read(text)


@pytest.mark.parametrize("hint", ["a note", 5, None, [], {}, object(), at.doc("a note"), int])
def test_what_is_no_constraint_means_nothing(hint):
    assert converter_for(Annotated[int, hint]).read("-5") == -5


class Unheard(at.BaseMetadata):
    """A constraint that nobody here knows."""


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotated[int, Unheard()], "Unheard"),
        (Annotated[list[Annotated[int, Unheard()]], 1], "Unheard"),
        (Annotated[str, at.Gt(0)], "text cannot be greater than 0"),
        (Annotated[int, at.MinLen(1)], "an integer cannot be of at least 1"),
        (Annotated[dt.date, at.Lt(5)], "cannot be less than 5"),
        (Annotated[dt.datetime, at.Timezone("Nowhere/Land")], "no time zone 'Nowhere/Land'"),
    ],
    ids=shown,
)
def test_a_constraint_that_cannot_be_checked_is_refused_where_it_is_declared(annotation, words):
    with pytest.raises(TypeError) as raised:
        converter_for(annotation)
    assert words in str(raised.value)


@given(st.integers(-50, 50), st.integers(-20, 20))
def test_an_interval_is_what_python_compares(value, bound):
    kind = converter_for(Annotated[int, at.Interval(ge=bound, lt=bound + 10)])
    try:
        assert kind.read(str(value)) == value
        fits = True
    except Misfit:
        fits = False
    assert fits == (bound <= value < bound + 10)
