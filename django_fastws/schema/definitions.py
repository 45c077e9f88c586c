"""JSON Schemas of many types at once, through pydantic, which share their definitions."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

__all__ = [
    "DEFINITIONS",
    "Schema",
    "SchemaType",
    "finite",
    "resolved",
    "schemas_of",
    "unique_name",
    "without_definition",
]

#: A JSON Schema (draft 2020-12), as what ``json.dumps()`` takes.
Schema = dict[str, Any]

#: Where a schema refers to.
DEFINITIONS = "#/$defs/"


def unique_name(base: str, taken: set[str]) -> str:
    """The name itself, or with a number behind it; it is taken then."""
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name


class SchemaType(NamedTuple):
    """A type, and which of its two schemas is meant.

    Attributes:
        mode: "validation" is of what a client may send, "serialization" of what it gets. They differ in defaults,
            aliases, computed fields.
    """

    type: Any
    mode: Literal["validation", "serialization"]


class _Generator(GenerateJsonSchema):
    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Say nothing of defaults without a JSON form: they are left out."""

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: FBT001 (as pydantic calls it)
        """Whether a field is always there: of what the server sends, one with a default is, too."""
        if self.mode == "serialization" and field["type"] != "typed-dict-field":
            return field.get("serialization_exclude_if") is None
        return super().field_is_required(field, total)

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Schema:
        """What only Python can check has no schema, and so any value fits."""
        return {}


def schemas_of(types: Mapping[Hashable, SchemaType]) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """The schema of each type, and the definitions to which they refer, sorted by name.

    Args:
        types: by a key, under which its schema is returned.
    """
    inputs: list[Any] = [(key, one.mode, TypeAdapter(one.type)) for key, one in types.items()]
    found, document = TypeAdapter.json_schemas(
        inputs, schema_generator=_Generator, ref_template=DEFINITIONS + "{model}"
    )
    definitions: dict[str, Schema] = finite(document.get("$defs", {}))
    return {key: finite(schema) for (key, _), schema in found.items()}, dict(sorted(definitions.items()))


def finite(schema: Any) -> Any:
    """A schema without the numbers that JSON does not have: a default of infinity is as good as none."""
    if isinstance(schema, dict):
        return {key: finite(value) for key, value in schema.items() if not _is_infinite(value)}
    if isinstance(schema, list):
        return [finite(value) for value in schema if not _is_infinite(value)]
    return schema


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """A schema, or the definition that it is a reference to, with what stands beside the reference."""
    seen = set()
    while (
        (name := str(schema.get("$ref", "")).removeprefix(DEFINITIONS)) and name in definitions and name not in seen
    ):
        seen.add(name)
        schema = {**definitions[name], **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def without_definition(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """The same schema in place of its reference; its definition, to which nothing else refers, is removed."""
    name = str(schema.get("$ref", "")).removeprefix(DEFINITIONS)
    return definitions.pop(name, schema)
