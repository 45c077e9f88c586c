"""Conversion of text from paths and query strings to what an annotation says."""

import datetime as dt
import enum
import time
import typing
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Optional, Union
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.converters import converter_for, path_converter
from tests.support.ids import shown


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"
    CRIMSON = "red"  # an alias  # noqa: PIE796


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Mood(enum.StrEnum):
    GOOD = "good"


class Flag(enum.Enum):
    ON = True
    OFF = False


UserId = NewType("UserId", int)


DAY = dt.date(2024, 12, 31)


UTC = dt.UTC


A_UUID = UUID("12345678-1234-5678-1234-567812345678")


CONVERTED = [
    (str, "", ""),
    (str, " größe ✓ ", " größe ✓ "),
    (str, "5", "5"),
    (Any, "x", "x"),
    (object, "x", "x"),
    ("slug", "a-b", "a-b"),
    ("path", "a/b", "a/b"),
    (int, "5", 5),
    (int, "-5", -5),
    (int, "+5", 5),
    (int, "007", 7),
    (int, "9" * 400, int("9" * 400)),
    (float, "1.5", 1.5),
    (float, "-1", -1.0),
    (float, ".5", 0.5),
    (float, "5.", 5.0),
    (float, "1e3", 1000.0),
    (float, "1E-3", 0.001),
    (bool, "true", True),
    (bool, "True", True),
    (bool, "1", True),
    (bool, "yes", True),
    (bool, "on", True),
    (bool, "false", False),
    (bool, "FALSE", False),
    (bool, "0", False),
    (bool, "no", False),
    (bool, "off", False),
    (UUID, "12345678-1234-5678-1234-567812345678", A_UUID),
    (UUID, "12345678123456781234567812345678", A_UUID),
    (UUID, "12345678-1234-5678-1234-567812345678".upper(), A_UUID),
    (Decimal, "1.10", Decimal("1.10")),
    (Decimal, "-0", Decimal("-0")),
    (Decimal, "1e5", Decimal("1e5")),
    (dt.date, "2024-12-31", DAY),
    (dt.datetime, "2024-12-31T23:59:59", dt.datetime(2024, 12, 31, 23, 59, 59)),
    (dt.datetime, "2024-12-31 23:59:59", dt.datetime(2024, 12, 31, 23, 59, 59)),
    (dt.datetime, "2024-12-31T23:59:59Z", dt.datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC)),
    (dt.datetime, "2024-12-31T23:59:59.123456+00:00", dt.datetime(2024, 12, 31, 23, 59, 59, 123456, tzinfo=UTC)),
    # a + that nobody escaped is a space
    (dt.datetime, "2024-12-31T23:59:59 00:00", dt.datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC)),
    (dt.time, "23:59:59", dt.time(23, 59, 59)),
    (dt.time, "23:59", dt.time(23, 59)),
    (Color, "red", Color.RED),
    (Color, "green", Color.GREEN),
    (Size, "2", Size.LARGE),
    (Mood, "good", Mood.GOOD),
    (Flag, "true", Flag.ON),
    (Literal["asc", "desc"], "asc", "asc"),
    (Literal[1, 2], "2", 2),
    (Literal["a", 5, True], "true", True),
    (Literal["a", None], "a", "a"),
    (int | None, "5", 5),
    (None | int, "5", 5),
    (Optional[int], "5", 5),  # noqa: UP045
    (Union[int, None], "5", 5),  # noqa: UP007
    (Optional[Color], "red", Color.RED),  # noqa: UP045
    (int | str, "5", 5),
    (int | str, "x", "x"),
    (int | float | None, "1.5", 1.5),
    (UUID | Literal["me"], "me", "me"),
    (UUID | Literal["me"], str(A_UUID), A_UUID),
    (Annotated[int, "a hint"], "5", 5),
    (Annotated[int | None, "a hint"], "5", 5),
    (Annotated[Annotated[int, 1], 2], "5", 5),
    (UserId, "5", 5),
    (Annotated[UserId, "x"], "5", 5),
]


@pytest.mark.parametrize(
    ("annotation", "text", "value"), CONVERTED, ids=[f"{row[0]}-{row[1][:20]}" for row in CONVERTED]
)
def test_conversion(annotation, text, value):
    converted = converter_for(annotation).convert(text)
    assert converted == value
    assert type(converted) is type(value)


UNSUPPORTED = [
    dict,
    bytes,
    complex,
    dict[str, int],
    set[bytes],
    tuple[int, bytes],
    tuple[int, list[int]],
    list[list[int]],
    set[tuple[int, int]],
    list[int] | int,
    typing.Callable,
    type(None),
    None,
    5,
    "int | Nope",
    [],
    object(),
    type("Point", (), {}),
]


@pytest.mark.parametrize("annotation", UNSUPPORTED, ids=shown)
def test_an_annotation_that_no_text_can_become_is_refused_with_what_can(annotation):
    with pytest.raises(TypeError) as raised:
        converter_for(annotation)
    for known in ("str", "int", "float", "bool", "UUID", "Decimal", "date", "datetime", "Enum", "Literal", "list[X]"):
        assert known in str(raised.value)


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (str, "str"),
        (int, "int"),
        (UUID, "uuid"),
        ("slug", "slug"),
        ("path", "path"),
        (Annotated[str, "slug"], "slug"),
        (Annotated[str, "path"], "path"),
        (Annotated[str, "a note"], "str"),
        (Annotated[int, "a note"], "int"),
        (UserId, "int"),
        (float, "str"),
        (bool, "str"),
        (Decimal, "str"),
        (dt.date, "str"),
        (Color, "str"),
        (Literal["a"], "str"),
        (int | None, "str"),
        (list[int], "str"),
        (Any, "str"),
        (Annotated[str, [], {}, object()], "str"),
    ],
    ids=shown,
)
def test_the_path_converter_that_an_annotation_picks(annotation, name):
    assert path_converter(annotation) == name


def test_a_literal_of_an_enums_member_is_spelt_as_the_enum_is():
    assert converter_for(Literal[Color.RED]).convert("red") is Color.RED


@pytest.mark.parametrize("annotation", [float, Decimal])
def test_a_long_number_that_is_none_is_refused_at_once(annotation):
    convert = converter_for(annotation).convert
    text = "1" * 2500 + "x"
    started = time.process_time()
    with pytest.raises(ValueError, match=r"^$"):
        convert(text)
    assert time.process_time() - started < 0.1  # it takes microseconds, or a third of a second


@given(st.integers(-(10**300), 10**300))
def test_every_integer_is_read_back(value):
    assert converter_for(int).convert(str(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_is_read_back(value):
    assert converter_for(float).convert(repr(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_every_finite_decimal_is_read_back(value):
    assert converter_for(Decimal).convert(str(value)) == value


@given(st.datetimes(timezones=st.sampled_from([None, UTC, dt.timezone(dt.timedelta(hours=5, minutes=30))])))
def test_every_datetime_is_read_back_even_with_its_plus_unescaped(value):
    convert = converter_for(dt.datetime).convert
    assert convert(value.isoformat()) == value
    assert convert(value.isoformat().replace("+", " ")) == value
