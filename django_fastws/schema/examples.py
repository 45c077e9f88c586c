"""Example of a value for a JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .definitions import Schema, resolved

__all__ = ["example_of"]

_MOST_DEPTH = 10
_DEPTH = 6  # of values within values; what is optional is left out from there on
_GIVEN = ("const", "examples", "example", "default", "enum")
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:30:00Z",
    "time": "12:30:00Z",
    "duration": "PT1H30M",
    "uuid": "6f9619ff-8b86-4d11-b42d-00c04fc964ff",
    "uuid4": "6f9619ff-8b86-4d11-b42d-00c04fc964ff",
    "email": "ada@example.org",
    "uri": "https://example.org/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "binary": "aGVsbG8=",
    "base64": "aGVsbG8=",
    "base64url": "aGVsbG8=",
    "json-string": "{}",
}


def example_of(
    schema: Schema, definitions: Mapping[str, Schema], depth: int = 0, within: tuple[str, ...] = ()
) -> Any:
    """A value that fits as far as types and bounds go; what patterns and Python's own validators say is not seen.

    Examples that the schema has are taken, then its default.

    Args:
        depth: how many values this one is in.
        within: the references that it is in, of which no other is made where there is a choice.
    """
    if depth > _MOST_DEPTH:
        return None  # of a type that has no value which ends
    if reference := schema.get("$ref"):
        within = (*within, reference)
    schema = resolved(schema, definitions)
    for key in _GIVEN:
        if key in schema:
            given = schema[key]
            return given[0] if key in ("examples", "enum") and given else given
    for key in ("anyOf", "oneOf"):
        if choices := schema.get(key):
            return example_of(_chosen(choices, within), definitions, depth, within)
    if parts := schema.get("allOf"):
        merged = {key: value for part in parts for key, value in resolved(part, definitions).items()}
        return example_of({**merged, **{k: v for k, v in schema.items() if k != "allOf"}}, definitions, depth, within)
    return _of_type(schema, definitions, depth, within)


def _chosen(choices: list[Schema], within: tuple[str, ...]) -> Schema:
    """The first of the choices that is neither null nor a recursion; else null."""
    new = [choice for choice in choices if choice.get("$ref") not in within]
    return next((choice for choice in new if choice.get("type") != "null"), (new or choices)[0])


def _of_type(schema: Schema, definitions: Mapping[str, Schema], depth: int, within: tuple[str, ...]) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind == "object" or "properties" in schema:
        return _object(schema, definitions, depth + 1, within)
    if kind == "array":
        return _array(schema, definitions, depth + 1, within)
    if kind == "string":
        return _string(schema)
    if kind in ("integer", "number"):
        return _number(schema, is_integer=kind == "integer")
    return {"boolean": True}.get(str(kind))


def _object(schema: Schema, definitions: Mapping[str, Schema], depth: int, within: tuple[str, ...]) -> dict[str, Any]:
    required = schema.get("required", ())
    properties = schema.get("properties", {})
    found = {
        name: example_of(one, definitions, depth, within)
        for name, one in properties.items()
        if name in required or depth < _DEPTH
    }
    more = schema.get("additionalProperties")
    if isinstance(more, dict) and not properties and depth < _DEPTH:
        found["key"] = example_of(more, definitions, depth, within)
    return found


def _array(schema: Schema, definitions: Mapping[str, Schema], depth: int, within: tuple[str, ...]) -> list[Any]:
    if first := schema.get("prefixItems"):
        return [example_of(one, definitions, depth, within) for one in first]
    count = schema.get("minItems", 1 if depth < _DEPTH else 0)
    item = example_of(schema.get("items") or {}, definitions, depth, within) if count else None
    if schema.get("uniqueItems") and isinstance(item, int):
        return [item + number for number in range(count)]
    return [item] * count


def _string(schema: Schema) -> str:
    text = str(_FORMATS.get(schema.get("format", ""), "hello"))
    text += "o" * (int(schema.get("minLength", 0)) - len(text))
    most = int(schema.get("maxLength", len(text)))
    return text[:most]


def _number(schema: Schema, *, is_integer: bool) -> float:
    step = schema.get("multipleOf") or (1 if is_integer else 0.5)
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    if least is not None and most is not None and "multipleOf" not in schema and not is_integer:
        return float(least + most) / 2
    value = step
    if least is not None and value <= least:
        value = least if "minimum" in schema and not least % step else (least // step + 1) * step
    if most is not None and value >= most:
        value = most if "maximum" in schema and not most % step else (-(-most // step) - 1) * step
    return int(value) if is_integer else value
