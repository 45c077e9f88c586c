"""Examples for schemas."""

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypeAliasType

from django_fastws._core.json import dumps
from django_fastws.schema.definitions import SchemaType, schemas_of
from django_fastws.schema.examples import example_of
from tests.schema.rooms import (
    Anything,
    Author,
    Level,
    Move,
    Node,
    Page,
    Pet,
    Point,
    Priority,
    Said,
    TicketClosed,
)


class Linked(BaseModel):
    next: "Linked | None" = None


class Chained(BaseModel):
    next: "Chained | None"


class Branch(BaseModel):
    kind: Literal["branch"]
    left: "Branch | Leaf"
    right: "Branch | Leaf"


class Leaf(BaseModel):
    kind: Literal["leaf"]


class Endless(BaseModel):
    one: "Endless"
    two: "Endless"


Pairs = TypeAliasType("Pairs", "tuple[int, Pairs | None]")


class Required(BaseModel):
    name: str
    more: dict[str, int]


FITTING = [
    Chained,
    Branch,
    Pairs,
    str,
    Annotated[str, MinLen(9)],
    Annotated[str, MaxLen(2)],
    int,
    Annotated[int, Ge(3), Le(5)],
    Annotated[int, Gt(3), Lt(5)],
    Annotated[int, Le(-3)],
    Annotated[int, Lt(-3)],
    Annotated[int, Gt(10), MultipleOf(7)],
    Annotated[float, Gt(0), Lt(0.5)],
    Annotated[float, Lt(0)],
    bool,
    None,
    list[int],
    Annotated[list[str], MinLen(3)],
    Annotated[set[int], MinLen(3)],
    tuple[int, str, bool],
    dict[str, float],
    dict[str, list[Point]],
    Literal["a", "b"],
    Priority,
    Level,
    dt.date,
    dt.datetime,
    dt.time,
    dt.timedelta,
    UUID,
    bytes,
    int | None,
    None | Said,
    Any,
    Author,
    Said,
    TicketClosed,
    Node,
    Page[Said],
    Move,
    Pet,
    Anything,
    Linked,
    Required,
    Annotated[str, Field(pattern="^[a-f]+$", examples=["abc"])],
]


@pytest.mark.parametrize("type_", FITTING, ids=str)
def test_an_example_fits(type_):
    schemas, definitions = schemas_of({1: SchemaType(type_, "validation")})
    found = example_of(schemas[1], definitions)
    TypeAdapter(type_).validate_json(dumps(found))


def test_what_is_given_as_an_example_is_taken():
    assert example_of({"type": "string", "examples": ["x"], "default": "y"}, {}) == "x"
    assert example_of({"type": "string", "default": "y"}, {}) == "y"
    assert example_of({"allOf": [{"type": "string"}, {"maxLength": 1}]}, {}) == "h"
    assert example_of({"type": ["null", "boolean"]}, {}) is True


def test_optional_fields_are_shown():
    schemas, definitions = schemas_of({1: SchemaType(Author, "validation")})
    assert example_of(schemas[1], definitions).keys() == {"name", "email", "addresses"}


def test_a_type_without_an_end_has_an_example_that_ends():
    schemas, definitions = schemas_of({1: SchemaType(Endless, "validation")})
    assert example_of(schemas[1], definitions)["one"]["two"]
