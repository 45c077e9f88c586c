"""Content of the docs page: the rooms for people, and what the console needs to know of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify

from .._core.error_codes import ERROR_CODES
from .definitions import Schema, unique_name
from .description import CallSchema, Description, EventSchema, RoomSchema
from .json_schema import json_schema
from .typescript import TypeWriter

__all__ = ["Page", "fingerprint"]

_NAME = r"[A-Za-z_$][\w$]*"
_TOKEN = re.compile(rf'/\*\*.*?\*/|"(?:[^"\\]|\\.)*"|{_NAME}\??:|{_NAME}', re.DOTALL)
_KEYWORDS = frozenset({"string", "number", "boolean", "null", "any"})


def fingerprint(description: Description) -> str:
    """Changes when the rooms do."""
    text = json.dumps(json_schema(description), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Page:
    """Context of the template, and data of its script.

    Args:
        live_path: where live sockets are served; None where they are not.
    """

    def __init__(self, description: Description, live_path: str | None) -> None:
        self._description = description
        self._live_path = live_path
        self._writer = TypeWriter(description.definitions)
        self._types = set(self._writer.names.values())
        self._taken: set[str] = set()
        self._anchors = [self._anchor(room.name) for room in description.rooms]

    def context(self) -> dict[str, Any]:
        """For the template. It can be made once."""
        names = self._writer.names
        return {
            "rooms": [
                self._room(room, anchor) for room, anchor in zip(self._description.rooms, self._anchors, strict=True)
            ],
            "types": [
                {
                    "name": names[name],
                    "type": self._type(schema),
                    "description": schema.get("description", ""),
                }
                for name, schema in self._description.definitions.items()
            ],
            "errors": _meanings(ERROR_CODES),
            "live_path": self._live_path,
            "data": self._data(),
        }

    def _data(self) -> dict[str, Any]:
        """For the script."""
        return {
            "live": self._live_path,
            "fingerprint": fingerprint(self._description),
            "definitions": self._description.definitions,
            "rooms": {
                anchor: {
                    "pattern": room.pattern,
                    "parts": [part if isinstance(part, str) else {"name": part.name} for part in room.parts],
                    "calls": {call.event: _call_data(call) for call in room.calls},
                    "events": [event.event for event in room.events],
                    "keyed": room.latest is not None,
                    "presence": room.presence is not None,
                }
                for room, anchor in zip(self._description.rooms, self._anchors, strict=True)
            },
        }

    def _room(self, room: RoomSchema, anchor: str) -> dict[str, Any]:
        return {
            "schema": room,
            "anchor": anchor,
            "parts": [{"text": part} if isinstance(part, str) else {"parameter": part} for part in room.parts],
            "state": None if room.state is None else self._type(room.state),
            "value": None if room.value is None else self._type(room.value),
            "meta": None if room.meta is None else self._type(room.meta),
            "errors": _meanings(room.errors),
            "calls": [self._call(call, anchor) for call in room.calls],
            "events": [self._event(event, anchor) for event in room.events],
        }

    def _call(self, call: CallSchema, anchor: str) -> dict[str, Any]:
        summary, _, more = call.description.partition("\n")
        return {
            "schema": call,
            "anchor": self._anchor(call.event, f"{anchor}."),
            "summary": summary,
            "more": more.strip(),
            "data": self._type(call.data) if call.takes_data else "",
            "result": self._type(call.result),
            "errors": _meanings(call.errors),
        }

    def _event(self, event: EventSchema, anchor: str) -> dict[str, Any]:
        about, _, more = event.description.partition("\n")
        return {
            "schema": event,
            "summary": about,
            "more": more.strip(),
            "anchor": self._anchor(event.event, f"{anchor}.on."),
            "type": self._type(event.data),
            "example": "" if event.example is None else json.dumps(event.example, indent=2, ensure_ascii=False),
        }

    def _anchor(self, name: str, prefix: str = "") -> str:
        """A fragment of the page that nothing else has."""
        return unique_name(prefix + (slugify(name, allow_unicode=True) or "x"), self._taken)

    def _type(self, schema: Schema) -> SafeString:
        """A type in TypeScript, with links to the types that it names."""
        text, parts, at = self._writer.type(schema, ""), [], 0
        for match in _TOKEN.finditer(text):
            parts += [conditional_escape(text[at : match.start()]), self._token(match[0])]
            at = match.end()
        return mark_safe("".join([*parts, conditional_escape(text[at:])]))

    def _token(self, token: str) -> str:
        if token.startswith("/**"):
            return format_html('<span class="c">{}</span>', token)
        if token.startswith('"'):
            return format_html('<span class="s">{}</span>', token)
        if token in self._types:
            return format_html('<a href="#type-{0}">{0}</a>', token)
        if token in _KEYWORDS:
            return format_html('<span class="k">{}</span>', token)
        return conditional_escape(token)


def _call_data(call: CallSchema) -> dict[str, Any]:
    return {"kind": call.kind, "data": call.data, "takesData": call.takes_data, "example": call.example}


def _meanings(codes: Iterable[str]) -> dict[str, str]:
    return {code: ERROR_CODES[code].meaning for code in codes}
