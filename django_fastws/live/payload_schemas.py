"""Schemas of payloads: for which of them pydantic takes decoded JSON as it takes its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["takes_decoded"]

Schema = Mapping[str, Any]

# What makes a value depend on more than the kind: on what JSON lacks, or on the code of the project.
_KEYS = ("strict", "coerce_numbers_to_str", "from_attributes", "custom_init", "root_model", "extras_schema")


def takes_decoded(schema: Any, definitions: Mapping[str, Schema] | None = None) -> bool:
    """Whether what pydantic accepts of decoded JSON, and makes of it, is what it makes of the JSON.

    It says so of plain types alone: str, int, float, bool, None, and lists, dicts, models and TypedDicts of those.
    Dates and bytes are read in other ways from JSON, validators may ask which one they are given, and what contains
    itself may be nested more deeply than pydantic reads JSON.

    Args:
        schema: the core schema of an adapter.
        definitions: of what it refers to, by reference.
    """
    if not isinstance(schema, Mapping) or _is_special(schema):
        return False
    known = definitions or {}
    match schema["type"]:
        case "str" | "int" | "float" | "bool" | "none":
            return True
        case "literal":
            return all(type(one) is str for one in schema["expected"])
        case "nullable" | "model" | "default" | "model-field" | "typed-dict-field":
            return takes_decoded(schema["schema"], known)
        case "list":
            return takes_decoded(schema.get("items_schema"), known)
        case "dict":
            keys = schema.get("keys_schema") or {"type": "any"}
            return keys["type"] == "str" and takes_decoded(schema.get("values_schema"), known)
        case "model-fields" | "typed-dict":
            return all(takes_decoded(field, known) for field in schema["fields"].values())
        case "definitions":
            return takes_decoded(schema["schema"], {one["ref"]: one for one in schema["definitions"]})
        case "definition-ref":
            wanted = schema["schema_ref"]
            return takes_decoded(known.get(wanted), {ref: one for ref, one in known.items() if ref != wanted})
    return False


def _is_special(schema: Schema) -> bool:
    config = schema.get("config") or {}
    allows_more = "allow" in (schema.get("extra_behavior"), config.get("extra_fields_behavior"))
    return allows_more or any(part.get(key) for part in (schema, config) for key in _KEYS)
