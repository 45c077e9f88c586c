"""Schemas of types, and the definitions that they share."""

import json
from collections.abc import Callable

import pytest
from pydantic import BaseModel, Field

from django_fastws.schema.definitions import SchemaType, resolved, schemas_of, without_definition
from tests.schema.rooms import Author, Node, OnlyPython, Said, Typing


class Plain(BaseModel):
    value: int


def test_one_definition_serves_all_who_refer_to_it():
    schemas, definitions = schemas_of(
        {"a": SchemaType(Plain, "validation"), "b": SchemaType(list[Plain], "serialization")}
    )
    assert schemas["a"] == {"$ref": "#/$defs/Plain"}
    assert schemas["b"] == {"type": "array", "items": {"$ref": "#/$defs/Plain"}}
    assert list(definitions) == ["Plain"]


def test_a_model_that_differs_by_direction_has_a_definition_for_each():
    _, definitions = schemas_of({1: SchemaType(Typing, "validation"), 2: SchemaType(Typing, "serialization")})
    assert list(definitions) == ["Typing-Input", "Typing-Output"]
    assert "required" not in definitions["Typing-Input"]
    assert definitions["Typing-Output"]["required"] == ["is_typing"]


def test_what_the_server_sends_has_its_defaults_and_computed_fields():
    _, definitions = schemas_of({1: SchemaType(Node, "serialization"), 2: SchemaType(Said, "serialization")})
    assert definitions["Node"]["required"] == ["value", "children", "size"]
    assert definitions["Said"]["required"] == ["who", "text", "urgent"]


def test_two_models_of_one_name_have_two_definitions():
    class Said(BaseModel):
        other: int

    from tests.schema import rooms

    schemas, definitions = schemas_of({1: SchemaType(Said, "validation"), 2: SchemaType(rooms.Said, "validation")})
    assert len(definitions) == 2
    assert resolved(schemas[1], definitions)["properties"].keys() == {"other"}


@pytest.mark.parametrize("type_", [Callable[[int], str], object], ids=["callable", "object"])
def test_what_has_no_schema_is_anything(type_):
    schemas, _ = schemas_of({1: SchemaType(type_, "validation")})
    assert "type" not in schemas[1]


def test_a_default_without_a_json_form_is_left_out():
    class Made(BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        what: object = OnlyPython()  # noqa: RUF100

    _, definitions = schemas_of({1: SchemaType(Made, "validation")})
    assert "default" not in definitions["Made"]["properties"]["what"]


def test_a_reference_is_resolved_with_what_stands_beside_it():
    definitions = {"A": {"$ref": "#/$defs/B"}, "B": {"type": "string", "description": "old"}}
    assert resolved({"$ref": "#/$defs/A", "description": "new"}, definitions) == {
        "type": "string",
        "description": "new",
    }
    assert resolved({"$ref": "#/$defs/A"}, {"A": {"$ref": "#/$defs/A"}}) == {"$ref": "#/$defs/A"}


def test_a_definition_can_be_put_in_its_place():
    schemas, definitions = schemas_of({1: SchemaType(Author, "validation")})
    inlined = without_definition(schemas[1], definitions)
    assert inlined["properties"].keys() == {"name", "email", "addresses"}
    assert list(definitions) == ["Address"]
    assert without_definition({"type": "string"}, definitions) == {"type": "string"}


def test_numbers_that_json_does_not_have_are_left_out():
    class Bounded(BaseModel):
        most: float = float("inf")
        choices: list[float] = Field([1.0, float("nan")], examples=[[float("-inf")]])

    schemas, definitions = schemas_of({1: SchemaType(Bounded, "validation")})
    properties = definitions["Bounded"]["properties"]
    assert properties["most"] == {"title": "Most", "type": "number"}
    assert properties["choices"]["default"] == [1.0, None]
    json.dumps([schemas, definitions], allow_nan=False)
