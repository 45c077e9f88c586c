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
    "HISTORY",
    "answer_frame",
    "call_frame",
    "count_frame",
    "error_frame",
    "event_frame",
    "item_frame",
    "join_frame",
    "joined_frame",
    "keyed_frame",
    "leave_frame",
    "left_frame",
    "lost_frame",
    "position_frame",
    "presence_frame",
    "present_frame",
    "removed_frame",
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
_POSITION: Schema = {"$ref": f"{_REF}fastws.Position"}
#: Schemas of rooms with history.
HISTORY: dict[str, Schema] = {
    "fastws.Position": {
        "type": "string",
        "pattern": "^[0-9A-Za-z]{1,32}:(?:0|[1-9][0-9]{0,14})$",
        "description": "Position in the history of a room, epoch:offset. The offset grows by one with each event "
        "that is stored; another epoch is another history.",
    },
}


def _frame(properties: dict[str, Schema], *optional: str) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


_KEY: Schema = {"type": "string", "description": "Whose value it is."}
_PERSON: Schema = {
    "type": "string",
    "description": "The key of a member: the user's primary key; of one who is not logged in, the client id.",
}
_V: Schema = {"type": "integer", "description": "Number of the newest change that it has."}
_COUNT: Schema = {"type": "integer", "minimum": 0, "description": "How many are present."}
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
    """``{"join": "tickets/5", "id": 2, "since": "e:171"}``"""
    properties = {"join": room_name(room), "id": _ID}
    if room.history is not None:
        properties["since"] = {
            "type": "string",
            "description": "The position that the client has. One that the room's history does not go back to, or "
            "that is none, is answered with the state.",
        }
    if room.meta is not None:
        properties["v"] = {
            **_V,
            "description": "That of the presence that the client has, for what has changed since.",
        }
    return _frame(properties, "since", "v")


def joined_frame(room: RoomSchema) -> Schema:
    """``{"id": 2, "ok": {"room": "tickets/5", "at": "e:180", "recovered": false, "state": …}}``"""
    joined: dict[str, Schema] = {"room": room_name(room), "recovered": {"type": "boolean", "const": False}}
    if room.state is not None:
        joined["state"] = room.state
    if room.history is None:
        return _frame({"id": _ID, "ok": _with_presence(room, joined)})
    resumed: dict[str, Schema] = {
        "room": room_name(room),
        "recovered": {"type": "boolean", "const": True, "description": "The events that were missed follow."},
        "at": _described(_POSITION, "That of the join: the client goes on there."),
        "to": _described(_POSITION, "Of the last event that was missed; from there it is live."),
    }
    joined["at"] = _described(_POSITION, "Up to here the state has all; it may have more.")
    return _frame({"id": _ID, "ok": {"oneOf": [_with_presence(room, resumed), _with_presence(room, joined)]}})


def _with_presence(room: RoomSchema, joined: dict[str, Schema]) -> Schema:
    """The answer to a join, with who is present, or what has changed of that, or how many are, as the room has it."""
    if room.meta is None:
        return _frame(joined if room.presence is None else {**joined, "count": _COUNT})
    people = {"present": _people(room.meta), "presence": _changes(room.meta)}
    answer = _frame({**joined, **people, "v": _V}, *people)
    return {**answer, "oneOf": [{"required": [name]} for name in people]}


def _people(meta: Schema) -> Schema:
    connections = {"type": "integer", "minimum": 1, "description": "How many it has, in all processes."}
    return {"type": "object", "additionalProperties": _frame({"meta": meta, "connections": connections})}


def _changes(meta: Schema) -> Schema:
    """What changes those who are present, by key; applied again, it changes nothing."""
    return _frame({"joined": _people(meta), "left": {"type": "array", "items": _PERSON}, "changed": _people(meta)})


def _described(reference: Schema, about: str) -> Schema:
    return {"allOf": [reference], "description": about}


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
    """``{"room": "tickets/5", "event": "said", "data": …, "at": "e:172"}``"""
    properties = {"room": room_name(room), "event": {"const": event}, "data": data}
    if room.history is not None and not is_relayed:
        properties["at"] = _described(_POSITION, "Its own; one that is volatile has none.")
    if is_relayed:
        properties["from"] = {"type": "string", "description": "Who has sent it: the key of its presence."}
    return _frame(properties, "at", "from")


def position_frame(room: RoomSchema) -> Schema:
    """``{"room": "tickets/5", "at": "e:173"}``"""
    frame = _frame({"room": room_name(room), "at": _POSITION})
    return {**frame, "additionalProperties": False}


def lost_frame(room: RoomSchema) -> Schema:
    """``{"room": "tickets/5", "state": …, "at": "e:180"}``; without a state, ``"recovered": false`` in its place.

    A keyed room has no position.
    """
    lost = {"room": room_name(room)} if room.history is None else {"room": room_name(room), "at": _POSITION}
    if room.state is not None:
        return _frame({**lost, "state": room.state})
    return _frame({**lost, "recovered": {"type": "boolean", "const": False}})


def keyed_frame(room: RoomSchema, value: Schema) -> Schema:
    """``{"room": "prices/spot", "key": "BTC", "data": …}``"""
    return _frame({"room": room_name(room), "key": _KEY, "data": value})


def removed_frame(room: RoomSchema) -> Schema:
    """``{"room": "prices/spot", "key": "BTC", "removed": true}``"""
    return _frame({"room": room_name(room), "key": _KEY, "removed": {"const": True}})


def presence_frame(room: RoomSchema, meta: Schema) -> Schema:
    """``{"room": "tickets/5", "presence": {"joined": …, "left": […], "changed": …}, "v": 18}``"""
    return _frame({"room": room_name(room), "presence": _changes(meta), "v": _V})


def present_frame(room: RoomSchema, meta: Schema) -> Schema:
    """``{"room": "tickets/5", "present": {"7": {"meta": …, "connections": 2}}, "v": 18}``"""
    return _frame({"room": room_name(room), "present": _people(meta), "v": _V})


def count_frame(room: RoomSchema) -> Schema:
    """``{"room": "hall", "count": 5000}``"""
    return _frame({"room": room_name(room), "count": _COUNT})


def left_frame(room: RoomSchema) -> Schema:
    """``{"room": "tickets/5", "left": {"code": 4403, "reason": "…"}}``"""
    left: dict[str, Any] = {"code": {"type": "integer"}, "reason": {"type": "string"}}
    return _frame({"room": room_name(room), "left": _frame(left)})
