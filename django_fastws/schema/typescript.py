"""TypeScript declarations of live rooms, for the browser client: what is not declared does not compile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .definitions import DEFINITIONS, Schema, resolved
from .description import CallSchema, Description, ParameterSchema, RoomSchema

__all__ = ["ROOMS", "TypeWriter", "typescript"]

#: The interface that has them all.
ROOMS = "DeclaredRooms"

_HEAD = "/** Made by `manage.py ws_schema --format typescript`: not to be edited. */\n"
_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_SIMPLE = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
#: Names that a type cannot have.
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        "any as async await bigint boolean break case catch class const continue debugger default delete do else "
        "enum export extends false finally for function if implements import in instanceof interface let never new "
        "null number object package private protected public return static string super switch symbol this throw "
        "true try type typeof undefined unknown var void while with yield",
    )
)
_ANYTHING = "any"
_NOTHING = "Record<string, never>"  # {}, and so no argument at all
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|/\*\*.*?\*/', re.DOTALL)
_INNERMOST = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]|\([^()]*\)")


def typescript(description: Description, *, module: str = "./fastws.js") -> str:
    """The text of a ``.d.ts`` that tells the browser client of the rooms.

    Args:
        module: the browser client, as the file that is written imports it.
    """
    writer = TypeWriter(description.definitions)
    blocks = [writer.definition(name, schema) for name, schema in description.definitions.items()]
    blocks.append(writer.rooms(description.rooms))
    blocks.append(f"declare module {json.dumps(module)} {{\n  interface Rooms extends {ROOMS} {{}}\n}}\n")
    return "\n".join([_HEAD, *blocks])


def _type_names(definitions: Iterable[str]) -> dict[str, str]:
    """Names in TypeScript: ``Said-Input`` is ``SaidInput``."""
    names: dict[str, str] = {}
    taken = {ROOMS}
    for definition in definitions:
        name = re.sub(r"[^A-Za-z0-9_]", "", definition).rstrip("_")
        if not _IDENTIFIER.fullmatch(name) or name in _RESERVED:
            name = f"T{name}" if name[:1].isdigit() else f"{name}_"
        while name in taken:
            name += "_"
        names[definition] = name
        taken.add(name)
    return names


class TypeWriter:
    """Writer of types.

    Args:
        definitions: by their names in the schemas.
    Attributes:
        names: those that they have in TypeScript.
    """

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions
        self.names = _type_names(definitions)

    def definition(self, name: str, schema: Schema) -> str:
        """An interface of an object with known properties, else a type."""
        doc = _comment(schema.get("description", ""), "")
        text = self.type(schema, "")
        if text.startswith("{") and schema.get("properties"):
            return f"{doc}export interface {self.names[name]} {text}\n"
        return f"{doc}export type {self.names[name]} = {text};\n"

    def rooms(self, rooms: Iterable[RoomSchema]) -> str:
        """The interface of all rooms, by their patterns."""
        fields = [(room.pattern, self._room(room), "") for room in rooms]
        return f"export interface {ROOMS} {_braces(fields, '')}\n"

    def _room(self, room: RoomSchema) -> str:
        deep = "    "
        fields = [("name", _template(room.parts), "")]
        if room.history is not None:
            fields.append(("history", "true", ""))
        if room.meta is not None:
            fields.append(("meta", self.type(room.meta, deep), room.card_description or "The card of a member."))
        elif room.presence is not None:
            fields.append(("count", "true", ""))
        if room.value is not None:
            fields.append(("value", self.type(room.value, deep), "Of each key."))
        if room.state is not None:
            fields.append(("state", self.type(room.state, deep), room.state_description))
        events = [
            (one.event, self.type(one.data, deep + "  "), "From another member." if one.is_relayed else "")
            for one in room.events
        ]
        if room.is_open:
            events.append(("[event: string]", _ANYTHING, "The room does not say what it sends."))
        fields.append(("events", _braces(events, deep), ""))
        calls = [(call.event, self._call(call, deep + "  "), call.description) for call in room.calls]
        fields.append(("calls", _braces(calls, deep), ""))
        return _braces(fields, "  ")

    def _call(self, call: CallSchema, indent: str) -> str:
        fields = []
        if call.takes_data:
            data = self.type(call.data, indent + "  ")
            if not call.needs_data and self._has_required(call.data):
                data = _union([data, _NOTHING])
            fields.append(("data", data, ""))
        fields.append(("item" if call.kind == "stream" else "answer", self.type(call.result, indent + "  "), ""))
        return _braces(fields, indent)

    def _has_required(self, schema: Schema) -> bool:
        found = resolved(schema, self._definitions)
        return found.get("type") != "object" or bool(found.get("required"))

    def type(self, schema: Schema, indent: str) -> str:
        """The type of a schema, of as many lines as it needs.

        Args:
            indent: of the line that it begins in.
        """
        if (reference := schema.get("$ref")) is not None:
            return self.names.get(reference.removeprefix(DEFINITIONS), _ANYTHING)
        if "const" in schema:
            return _literal(schema["const"])
        if "enum" in schema:
            return _union(map(_literal, schema["enum"]))
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return _union(self.type(one, indent) for one in schema[key])
        if "allOf" in schema:
            return " & ".join(f"({self.type(one, indent)})" for one in schema["allOf"])
        kind = schema.get("type")
        if isinstance(kind, list):
            return _union(self.type({**schema, "type": one}, indent) for one in kind)
        if kind == "array":
            return self._array(schema, indent)
        if kind == "object":
            return self._object(schema, indent)
        return _SIMPLE.get(str(kind), _ANYTHING)

    def _array(self, schema: Schema, indent: str) -> str:
        items = schema.get("items")
        rest = _ANYTHING if not isinstance(items, dict) else self.type(items, indent)
        if "prefixItems" not in schema and schema.get("maxItems") == 0:
            return "[]"
        if first := schema.get("prefixItems"):
            least = schema.get("minItems", 0)
            parts = [self._item(one, indent, optional=at >= least) for at, one in enumerate(first)]
            if schema.get("maxItems") != len(first) and items is not False:
                parts.append(f"...{_grouped(rest)}[]")
            return f"[{', '.join(parts)}]"
        return f"{_grouped(rest)}[]"

    def _item(self, schema: Schema, indent: str, *, optional: bool) -> str:
        text = self.type(schema, indent)
        return f"{_grouped(text)}?" if optional else text

    def _object(self, schema: Schema, indent: str) -> str:
        required = schema.get("required", ())
        fields = [
            (
                f"{_key(name)}{'' if name in required else '?'}",
                self.type(one, indent + "  "),
                one.get("description", ""),
            )
            for name, one in schema.get("properties", {}).items()
        ]
        more = schema.get("additionalProperties", not fields)
        if patterns := schema.get("patternProperties"):
            more = {"anyOf": list(patterns.values())}
        if more is not False:
            # Next to other properties it must be what they are, too.
            kind = _ANYTHING if fields or more is True else self.type(more, indent + "  ")
            fields.append(("[key: string]", kind, ""))
        return _braces(fields, indent, are_keys=True)


def _braces(fields: Iterable[tuple[str, str, str]], indent: str, *, are_keys: bool = False) -> str:
    """An object type of (name, type, description)."""
    inner = indent + "  "
    lines = [
        f"{_comment(doc, inner)}{inner}{name if are_keys or name.startswith('[') else _key(name)}: {text};\n"
        for name, text, doc in fields
    ]
    return f"{{\n{''.join(lines)}{indent}}}" if lines else "{}"


def _comment(text: str, indent: str) -> str:
    if not (text := text.strip()):
        return ""
    lines = text.replace("*/", "*\\/").splitlines()
    if len(lines) == 1:
        return f"{indent}/** {lines[0]} */\n"
    return f"{indent}/**\n" + "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines) + f"{indent} */\n"


def _key(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _literal(value: Any) -> str:
    if isinstance(value, (str, int, float, bool)) or value is None:
        return json.dumps(value, ensure_ascii=False)
    return _ANYTHING


def _union(types: Iterable[str]) -> str:
    found = list(dict.fromkeys(types))
    return _ANYTHING if _ANYTHING in found or not found else " | ".join(found)


def _grouped(text: str) -> str:
    """A type that "[]" can follow: in parentheses, if it is one of several."""
    outside = _LITERAL.sub("", text)
    while outside != (outside := _INNERMOST.sub("", outside)):
        pass
    return f"({text})" if "|" in outside or "&" in outside else text


def _template(parts: Iterable[str | ParameterSchema]) -> str:
    """The type of a room's names: a string, or a template literal of what is in it."""
    parts = list(parts)
    if all(isinstance(part, str) for part in parts):
        return json.dumps("".join(map(str, parts)), ensure_ascii=False)
    texts = [
        re.sub(r"([`\\]|\$(?=\{))", r"\\\1", part)
        if isinstance(part, str)
        else "${number}"
        if part.is_number
        else "${string}"
        for part in parts
    ]
    return f"`{''.join(texts)}`"
