"""What the annotations of a handler's parameters make of the text of a URL."""

import contextlib
import datetime as dt
import sys
import typing
from collections import abc
from decimal import Decimal
from typing import Annotated, Literal, Optional
from uuid import UUID

import pytest
from annotated_types import Gt, MaxLen, MinLen
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.converters import converter_for, path_converter
from django_fastws._core.parameters import Parameter, ParameterError, Query
from tests.core.test_converters import A_UUID, DAY, Color, Size
from tests.support.ids import shown

REFUSED = [
    (
        int,
        ["", " ", " 5", "5 ", "5\n", "5.0", "1e3", "0x10", "1_000", "٥", "²", "--5", "x", "9" * 5000],
        "an integer",
    ),
    (float, ["", ".", "e5", "1_0", "nan", "inf", "-inf", "1e999", "infinity", " 1", "١", "1,5", "0x1p3"], "a number"),
    (bool, ["", "2", "oui", "truee", "none"], "true or false"),
    (UUID, ["", "5", "x" * 32, "12345678-1234-5678-1234-56781234567", "12345678" * 5], "a UUID"),
    (Decimal, ["", "NaN", "sNaN", "Infinity", "-inf", "1_0", "1,5", "٥"], "a decimal number"),
    (dt.date, ["", "2024-13-01", "2023-02-29", "31.12.2024", "2024-12-31T00:00:00", "today", "0000-01-01"], "a date"),
    (
        dt.datetime,
        ["", "2024-12-31T25:00", "yesterday", "2024-12-31T23:59:59 x", " ", "T", "1735689600"],
        "a date and time",
    ),
    (dt.time, ["", "24:01", "noon", "23:59:60"], "a time"),
    (Color, ["", "RED", "blue", "Color.RED"], "one of 'red', 'green'"),
    (Size, ["", "3", "SMALL", "1.0"], "one of '1', '2'"),
    (Literal["asc", "desc"], ["", "ASC", "up"], "one of 'asc', 'desc'"),
    (Literal["a", None], ["None", ""], "one of 'a'"),
    (int | None, ["", "None", "null"], "an integer"),
    (int | Literal["all"], ["x"], "an integer or one of 'all'"),
    (list[int], ["x"], "an integer"),
]


@pytest.mark.parametrize(
    ("annotation", "text", "noun"),
    [(annotation, text, noun) for annotation, texts, noun in REFUSED for text in texts],
)
def test_what_does_not_convert_is_refused_by_name(annotation, text, noun):
    with pytest.raises(ParameterError) as raised:
        parameter("page", annotation).from_query([text])
    words = str(raised.value)
    assert words.startswith("query parameter 'page': ")
    assert f" is not {noun}" in words
    assert repr(text[:60])[1:-1] in words


def parameter(name, annotation, **kwargs):
    options = {"required": "default" not in kwargs, "default": None, "path_converter": "str"} | kwargs
    return Parameter(name=name, kind=converter_for(annotation), **options)


@pytest.mark.parametrize(
    ("annotation", "values", "result"),
    [
        (list[int], ["1"], [1]),
        (list[int], ["1", "2"], [1, 2]),
        (typing.List[int], ["1"], [1]),  # noqa: UP006
        (list[int] | None, ["1", "2"], [1, 2]),
        (Optional[list[Color]], ["red"], [Color.RED]),  # noqa: UP045
        (list, ["a", "b"], ["a", "b"]),
        (list[str], [""], [""]),
        (list[int | None], ["1"], [1]),
        (list[Literal["a", "b"]], ["b", "a"], ["b", "a"]),
        (Annotated[list[Annotated[int, 1]], 2], ["1"], [1]),
        (set, ["a", "a"], {"a"}),
        (set[int], ["1", "2", "1"], {1, 2}),
        (frozenset[int], ["1", "1"], frozenset({1})),
        (abc.Set[int], ["1", "1"], frozenset({1})),
        (tuple, ["a", "b"], ("a", "b")),
        (tuple[int, ...], ["1", "2"], (1, 2)),
        (tuple[int, str], ["1", "2"], (1, "2")),
        (tuple[int, int] | None, ["1", "2"], (1, 2)),
        (abc.Sequence[int], ["1", "2"], [1, 2]),
        (typing.Sequence[int], ["1"], [1]),
        (abc.Iterable[Color], ["red"], [Color.RED]),
        (abc.Collection, ["a"], ["a"]),
        (Annotated[list[int], MinLen(2)], ["1", "2"], [1, 2]),
    ],
    ids=shown,
)
def test_a_collection_has_every_value_of_its_name(annotation, values, result):
    converted = parameter("ids", annotation).from_query(values)
    assert converted == result
    assert type(converted) is type(result)


@pytest.mark.parametrize(
    ("annotation", "values", "words"),
    [
        (tuple[int, int], ["1"], "it was given 1 times instead of 2"),
        (tuple[int, int], ["1", "2", "3"], "it was given 3 times instead of 2"),
        (tuple[int, int], ["1", "x"], "'x' is not an integer"),
        (set[int], ["1", "x"], "'x' is not an integer"),
        (list[Annotated[int, Gt(0)]], ["1", "-5"], "'-5' is not an integer greater than 0"),
        (Annotated[list[int], MinLen(2)], ["1"], "'1' is not a list of at least 2 values"),
        (Annotated[set[int], MinLen(2)], ["1", "1"], "what was given 2 times is not a set of at least 2 values"),
        (Annotated[tuple[str, ...], MaxLen(1)], ["a", "b"], "is not a tuple of at most 1 value"),
    ],
    ids=shown,
)
def test_a_collection_that_does_not_fit_is_refused(annotation, values, words):
    with pytest.raises(ParameterError) as raised:
        parameter("ids", annotation).from_query(values)
    assert str(raised.value).startswith("query parameter 'ids': ")
    assert words in str(raised.value)


def test_an_alias_is_what_the_error_names():
    ids = parameter("ids", list[int], alias="ids[]")
    assert ids.query_name == "ids[]"
    for values in ([], ["x"]):
        with pytest.raises(ParameterError, match=r"query parameter 'ids\[\]'"):
            ids.from_query(values)


@pytest.mark.parametrize("alias", ["", None, 5, b"x"])
def test_an_alias_is_a_name(alias):
    with pytest.raises(TypeError, match="an alias is"):
        Query(alias=alias)


def test_of_several_values_for_one_the_last_counts():
    assert parameter("page", int).from_query(["1", "2", "3"]) == 3


def test_one_bad_value_of_a_list_refuses_it():
    with pytest.raises(ParameterError, match="query parameter 'ids': 'x' is not an integer"):
        parameter("ids", list[int]).from_query(["1", "x", "3"])


@pytest.mark.parametrize("annotation", [int, str, int | None, list[int], list[str] | None])
def test_one_without_a_default_is_required(annotation):
    with pytest.raises(ParameterError) as raised:
        parameter("page", annotation).from_query([])
    assert str(raised.value) == "query parameter 'page' is required"


@pytest.mark.parametrize(
    ("annotation", "default"),
    [(int, 1), (int | None, None), (str, ""), (list[int], [1]), (Color, Color.RED), (int, "?")],
)
def test_a_default_is_given_as_it_is(annotation, default):
    assert parameter("page", annotation, default=default).from_query([]) == default


@pytest.mark.parametrize("default", [[1], {1}])
def test_a_default_collection_is_not_shared_by_calls(default):
    ids = parameter("ids", type(default)[int], default=default)
    ids.from_query([]).clear()
    assert ids.from_query([]) == default == type(default)([1])


def test_a_long_value_is_not_repeated_whole():
    with pytest.raises(ParameterError) as raised:
        parameter("page", int).from_query(["x" * 10_000])
    assert len(str(raised.value)) < 200
    assert "…" in str(raised.value)


@pytest.mark.parametrize(
    ("annotation", "value", "result"),
    [
        (str, "x", "x"),
        (int, 5, 5),
        (int | None, "5", 5),
        (UUID, A_UUID, A_UUID),
        (Color, "red", Color.RED),
        (Decimal, "1.5", Decimal("1.5")),
        (dt.date, "2024-12-31", DAY),
        (str, 5, 5),  # the path's own converter has spoken
        (Annotated[int, Gt(0)], 5, 5),
        (Annotated[int, Gt(0)], "5", 5),
    ],
)
def test_a_value_of_the_path(annotation, value, result):
    assert parameter("pk", annotation).from_path(value) == result


def test_a_bad_value_of_the_path_is_refused_by_name():
    with pytest.raises(ParameterError) as raised:
        parameter("day", dt.date).from_path("tomorrow")
    assert str(raised.value) == "path parameter 'day': 'tomorrow' is not a date such as 2024-12-31"


@pytest.mark.parametrize("value", [-5, "-5"])
def test_a_constraint_holds_for_a_value_of_the_path(value):
    with pytest.raises(ParameterError, match="path parameter 'pk': '-5' is not an integer greater than 0"):
        parameter("pk", Annotated[int, Gt(0)]).from_path(value)


def test_a_list_in_the_path_is_a_list_or_refused():
    assert parameter("ids", list[int]).from_path("5") == [5]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type aliases are new in Python 3.12")
def test_a_type_alias_is_what_it_stands_for():
    names = {}
    exec("type Page = int\ntype Pages = list[Page]", names)
    assert converter_for(names["Page"]).convert("5") == 5
    assert path_converter(names["Page"]) == "int"
    assert parameter("pages", names["Pages"]).from_query(["1", "2"]) == [1, 2]


@pytest.mark.parametrize("text", ["1_" * 15 + "11", "+" + "1" * 31, " " + "1" * 31, "١" * 32])
def test_a_uuid_is_made_of_hexadecimal_digits(text):
    with pytest.raises(ParameterError):
        parameter("pk", UUID).from_query([text])


SIMPLE = [str, int, float, bool, UUID, Decimal, dt.date, dt.datetime, dt.time, Color, Size, Literal["a", 1, True]]
ANNOTATIONS = st.sampled_from([*SIMPLE, int | str, int | None, UUID | bool, list[int], list[Decimal] | None])
TEXTS = st.one_of(
    st.text(st.characters()),
    st.text("0123456789+-._eETZ: naifNAI", max_size=40),
    st.datetimes().map(str),
    st.floats().map(str),
    st.uuids().map(str),
)


@given(ANNOTATIONS, TEXTS)
def test_arbitrary_text_raises_nothing_but_a_parameter_error(annotation, text):
    made = parameter("name", annotation)
    with contextlib.suppress(ParameterError):
        made.from_query([text])
    with contextlib.suppress(ParameterError):
        made.from_path(text)
