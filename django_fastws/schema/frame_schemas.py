"""JSON Schemas of the protocol's frames, as they are on the wire around the data of events."""

from __future__ import annotations

import re
from typing import Any

from .._core.error_codes import ERROR_CODES
from .definitions import Schema
from .description import RoomSchema

__all__ = [
    "COMMON",
    "CONNECTION",
    "answer_frame",
    "call_frame",
    "error_frame",
    "event_frame",
    "item_frame",
    "join_frame",
    "joined_frame",
    "leave_frame",
    "left_frame",
    "room_name",
]

_REF = "#/components/schemas/"
_ID: Schema = {"$ref": f"{_REF}fastws.Id"}

#: Schemas that all frames share, by name.
COMMON: dict[str, Schema] = {
    "fastws.Id": {
        "description": "Chosen by the client; the answer has the same.",
        "oneOf": [{"type": "integer"}, {"type": "string", "maxLength": 64}],
    },
    "fastws.Error": {
        "type": "object",
        "description": "What went wrong. The socket stays open.",
        "properties": {
            "code": {
                "type": "string",
                "description": f"One of {', '.join(ERROR_CODES)}; or one of the handler's own.",
            },
            "message": {"type": "string"},
            "fields": {
                "type": "object",
                "description": "What is wrong with which field of the data, by its dotted path.",
                "additionalProperties": {"type": "array", "items": {"type": "string"}},
            },
            "retry": {"type": "boolean", "description": "Whether the same may succeed later."},
            "retry_after": {"type": "number", "description": "Seconds until then."},
        },
        "required": ["code", "message", "retry"],
    },
}


def _frame(properties: dict[str, Schema], *optional: str) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


_ANYTHING: Schema = {"description": "What the project sends."}

#: Frames of the connection itself, by name.
CONNECTION: dict[str, Schema] = {
    "hello": _frame(
        {
            "hello": _frame(
                {"client": {"type": "string", "maxLength": 64}, "token": {"type": "string", "maxLength": 16384}},
                "client",
                "token",
            ),
            "id": _ID,
        }
    ),
    "hello.answer": _frame(
        {
            "id": _ID,
            "ok": _frame(
                {
                    "ping": {"type": "number", "description": "Seconds after which the server says something."},
                    "version": {"type": "string"},
                }
            ),
        }
    ),
    "cancel": _frame({"cancel": _ID}),
    "ping": _frame({"ping": {"const": 1}}),
    "event": _frame({"event": {"type": "string"}, "data": _ANYTHING}),
    "ask": _frame({"ask": {"type": "integer"}, "event": {"type": "string"}, "data": _ANYTHING}),
    "ask.answer": _frame(
        {
            "answer": {"type": "integer", "description": "The number of the ask."},
            "ok": _ANYTHING,
            "error": {
                "type": "object",
                "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
                "required": ["code"],
            },
        },
        "ok",
        "error",
    ),
}


def room_name(room: RoomSchema) -> Schema:
    """The schema of the names of a room."""
    if not room.parameters:
        return {"type": "string", "const": room.pattern}
    parts = (re.escape(part) if isinstance(part, str) else f"(?:{part.regex})" for part in room.parts)
    return {"type": "string", "pattern": f"^{''.join(parts)}$"}


def join_frame(room: RoomSchema) -> Schema:
    """``{"join": "tickets/5", "id": 2}``"""
    since: Schema = {"type": "string", "description": "The position that the client has, in a room with history."}
    return _frame({"join": room_name(room), "id": _ID, "since": since}, "since")


def joined_frame(room: RoomSchema) -> Schema:
    """``{"id": 2, "ok": {"room": "tickets/5", "recovered": false, "state": …}}``"""
    recovered: Schema = {"type": "boolean", "description": "Events that were missed follow, instead of the state."}
    joined = {"room": room_name(room), "recovered": recovered, "at": {"type": "string"}}
    if room.state is not None:
        joined["state"] = room.state
    return _frame({"id": _ID, "ok": _frame(joined, "at", "state")})


def leave_frame(room: RoomSchema) -> Schema:
    """``{"leave": "tickets/5", "id": 3}``"""
    return _frame({"leave": room_name(room), "id": _ID})


def call_frame(room: RoomSchema, event: str, data: Schema, *, needs_data: bool) -> Schema:
    """``{"room": "tickets/5", "event": "say", "data": …, "id": 4}``; without an id, nothing answers."""
    properties = {"room": room_name(room), "event": {"const": event}, "data": data, "id": _ID}
    properties["once"] = {"type": "boolean", "description": "A retry with the same id gets the first answer."}
    return _frame(properties, "id", "once", *([] if needs_data else ["data"]))


def answer_frame(result: Schema) -> Schema:
    """``{"id": 4, "ok": …}``"""
    return _frame({"id": _ID, "ok": result})


def item_frame(result: Schema) -> Schema:
    """``{"id": 4, "item": …}``"""
    return _frame({"id": _ID, "item": result})


def error_frame() -> Schema:
    """``{"id": 4, "error": {"code": …, "message": …, "retry": …}}``; the id is null of what had none to be read."""
    return _frame({"id": {"oneOf": [_ID, {"type": "null"}]}, "error": {"$ref": f"{_REF}fastws.Error"}})


def event_frame(room: RoomSchema, event: str, data: Schema, *, is_relayed: bool = False) -> Schema:
    """``{"room": "tickets/5", "event": "said", "data": …}``"""
    properties = {"room": room_name(room), "event": {"const": event}, "data": data, "at": {"type": "string"}}
    if is_relayed:
        del properties["at"]
        properties["from"] = {"type": "string", "description": "Who has sent it: the key of its presence."}
    return _frame(properties, "at", "from")


def left_frame(room: RoomSchema) -> Schema:
    """``{"room": "tickets/5", "left": {"code": 4403, "reason": "…"}}``"""
    left: dict[str, Any] = {"code": {"type": "integer"}, "reason": {"type": "string"}}
    return _frame({"room": room_name(room), "left": _frame(left)})
