"""Schemas of payloads: where decoded JSON is taken, it is taken as its text is."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired
from uuid import UUID

import pytest
from annotated_types import Ge, MaxLen
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    StrictInt,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from typing_extensions import TypedDict

from django_fastws.live.payload_schemas import takes_decoded
from tests.support.examples import examples


class Said(BaseModel):
    who: str
    text: Annotated[str, MaxLen(5)] = "hm"


class Thread(BaseModel):
    model_config = ConfigDict(extra="forbid")

    first: Said
    others: list[Said] = Field(default_factory=list)
    by_name: dict[str, float] = {}
    pinned: bool | None = None
    kind: Literal["a", "b"] = "a"
    aliased: Annotated[int, Field(alias="n")] = 0


class Fields(TypedDict):
    n: Annotated[int, Ge(0)]
    text: NotRequired[Annotated[str, StringConstraints(strip_whitespace=True, pattern="^[a-z]*$")]]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    n: int


class Tree(BaseModel):
    branches: list[Tree] = []


class Color(Enum):
    RED = "red"


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Made(BaseModel):
    n: int

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)


TAKEN = [
    str,
    int,
    float,
    bool,
    None,
    int | None,
    list[float],
    dict[str, list[bool]],
    Literal["a", "b"],
    Annotated[float, Field(allow_inf_nan=False, gt=-1)],
    Said,
    Thread,
    Fields,
    list[Fields],
]
NOT_TAKEN = [
    Any,
    list,
    dict[str, Any],
    dict[int, int],
    bytes,
    date,
    Decimal,
    UUID,
    Color,
    Literal[1, "a"],
    int | str,
    set[int],
    tuple[int, ...],
    StrictInt,
    Strict,
    Tree,
    list[Strict],
    Open,
    Made,
    RootModel[int],
    Annotated[int, AfterValidator(abs)],
    Annotated[str, Field(coerce_numbers_to_str=True)],
]


@pytest.mark.parametrize("kind", TAKEN, ids=str)
def test_plain_types_are_taken_decoded(kind):
    assert takes_decoded(TypeAdapter(kind).core_schema)


@pytest.mark.parametrize("kind", NOT_TAKEN, ids=str)
def test_types_that_json_is_read_for_in_a_way_of_its_own_are_not(kind):
    assert not takes_decoded(TypeAdapter(kind).core_schema)


@pytest.mark.parametrize("schema", [None, object(), {"type": "of another version"}], ids=["none", "mock", "unknown"])
def test_what_is_not_known_is_not_taken(schema):
    assert not takes_decoded(schema)


_NAMES = st.sampled_from(["who", "text", "first", "others", "by_name", "pinned", "kind", "n", "aliased", "more"])
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers(-2, 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-3, 3).map(float)
    | st.text(max_size=7)
    | st.sampled_from(["1", "-1", "1.0", " 2 ", "1_0", "0x1", "true", "no", "nan", "inf", "1e3", "", "a", "null"])
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_NAMES | st.text(max_size=3), inner, max_size=4)
        | st.fixed_dictionaries({"who": inner}, optional={"text": inner})
        | st.fixed_dictionaries(
            {"first": inner}, optional={"others": inner, "by_name": inner, "pinned": inner, "n": inner}
        )
    ),
    max_leaves=12,
)
_ADAPTERS = [TypeAdapter(kind) for kind in TAKEN]


def _reads(kind: Any, said: str) -> bool:
    try:
        TypeAdapter(kind).validate_json(said)
    except ValidationError:
        return False
    return True


#: pydantic 2.11 takes a whole number over 64 bits for a float, but not when it reads JSON itself.
READS_LARGE_FLOATS = _reads(float, str(2**63))


def _shape(value):
    """A value with the types of all that is in it: True is not 1, and 1 not 1.0."""
    if isinstance(value, BaseModel):
        return type(value), _shape(dict(value)), value.model_fields_set
    if isinstance(value, dict):
        return dict, {key: _shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return list, [_shape(one) for one in value]
    return type(value), repr(value)  # NaN, and the sign of 0


@settings(max_examples=examples(300))
@given(value=_VALUES)
@example(value={"first": {"who": "a"}, "others": [{"who": "b", "text": "c"}], "n": "1", "pinned": 0.0})
@example(value=-0.0)
@example(value=2**63)
def test_what_is_accepted_decoded_is_what_the_json_is_read_as(value):
    for adapter in _ADAPTERS:
        try:
            found = adapter.validator.validate_python(value)
        except ValidationError:
            continue  # then the JSON decides
        try:
            read = adapter.validator.validate_json(json.dumps(value))
        except ValidationError:
            assert not READS_LARGE_FLOATS
            continue
        assert _shape(found) == _shape(read)


@settings(max_examples=examples(100))
@given(value=_VALUES)
def test_nothing_is_refused_that_is_valid_json_for_the_type(value):
    for adapter in _ADAPTERS:
        try:
            adapter.validator.validate_json(json.dumps(value))
        except ValidationError:
            continue
        adapter.validator.validate_python(value)
