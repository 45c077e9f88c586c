"""JSON Schema document of live rooms: the rooms by pattern, with shared definitions."""

from __future__ import annotations

from typing import Any

from .definitions import Schema
from .description import CallSchema, Description, RoomSchema

__all__ = ["DIALECT", "json_schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(description: Description) -> dict[str, Any]:
    """The document: ``rooms`` has a schema of the state, of each call's data and answer or item, of each event.

    A room with history has the bounds of that as ``history``. A keyed room has ``latest``, how it is keyed, and
    ``value``, the schema of the value of a key; its state has all of them, by key. A room with presence has that as
    ``presence``, and where members are told who is there, ``meta`` is the schema of a card.

    ``{"rooms": {"tickets/{pk:int}": {"state": …, "calls": {"say": {"data": …, "answer": …}}, "events": …}}}``
    """
    return {
        "$schema": DIALECT,
        "rooms": {room.pattern: _room(room) for room in description.rooms},
        "$defs": description.definitions,
    }


def _room(room: RoomSchema) -> dict[str, Any]:
    found: dict[str, Any] = {"name": room.name}
    if room.parameters:
        found["parameters"] = {
            one.name: {"type": "integer" if one.is_number else "string", "pattern": f"^(?:{one.regex})$"}
            for one in room.parameters
        }
    if (kept := room.history) is not None:
        found["history"] = {"messages": kept.messages, "seconds": kept.seconds, "bytes": kept.bytes}
    if room.latest is not None:
        found["latest"] = {"rate": room.latest.rate, "seconds": room.latest.seconds}
        found["value"] = room.value
    if room.presence is not None:
        found["presence"] = {"counts_only": room.presence.counts_only}
    if room.meta is not None:
        found["meta"] = room.meta
    if room.state is not None:
        found["state"] = room.state
    found["calls"] = {call.event: _call(call) for call in room.calls}
    found["events"] = {event.event: event.data for event in room.events}
    return found


def _call(call: CallSchema) -> dict[str, Schema | str]:
    described = {"description": call.description} if call.description else {}
    return {**described, "data": call.data, "item" if call.kind == "stream" else "answer": call.result}
