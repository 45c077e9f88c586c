"""AsyncAPI 3.0 document of live rooms and of the routes of raw sockets.

The application that it describes is the server: what it receives, clients send.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..routing import Route
from .definitions import DEFINITIONS, Schema
from .description import CallSchema, Description, EventSchema, RoomSchema
from .frames import (
    COMMON,
    answer_frame,
    call_frame,
    error_frame,
    event_frame,
    item_frame,
    join_frame,
    joined_frame,
    leave_frame,
    left_frame,
)

__all__ = ["Info", "asyncapi"]

Document = dict[str, Any]

_ERROR = {"$ref": "#/components/messages/error"}


class Info(NamedTuple):
    """What stands at the head of the document.

    Attributes:
        version: of the project's interface.
        host: of the server, with its port.
        is_secure: wss, not ws.
        live_path: of live sockets; None where they are not served.
    """

    title: str
    version: str = "0.0.0"
    host: str = "localhost:8000"
    is_secure: bool = False
    live_path: str | None = "/ws/live"


def asyncapi(description: Description, routes: Iterable[Route], info: Info) -> Document:
    """The document.

    Args:
        routes: of raw sockets, which get a channel each; what goes through them is not known.
    """
    document: Document = {
        "asyncapi": "3.0.0",
        "info": {"title": info.title, "version": info.version},
        "defaultContentType": "application/json",
        "servers": {},
        "channels": {},
        "operations": {},
        "components": {"messages": {}, "schemas": {}},
    }
    server = {"host": info.host, "protocol": "wss" if info.is_secure else "ws"}
    if description.rooms and info.live_path is not None:
        about = "Live rooms, all over one socket, in the protocol fastws.v1. A channel's address is a room's name."
        document["servers"]["live"] = {**server, "pathname": info.live_path, "description": about}
        document["components"]["messages"]["error"] = _message("error", error_frame(), title="Error")
        document["components"]["schemas"] = COMMON | description.definitions
        keys = _Keys()
        for room in description.rooms:
            _Channel(document, keys, room).write()
    _write_routes(document, list(routes), server)
    converted: Document = _converted(document)
    return converted


class _Keys:
    """Keys of components, made of any names: unique, and of the characters that AsyncAPI allows."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def make(self, *names: str) -> str:
        key = base = ".".join(re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "x" for name in names)
        number = 1
        while key in self._taken:
            number += 1
            key = f"{base}-{number}"
        self._taken.add(key)
        return key


class _Channel:
    """Writer of a room's channel, its messages and operations."""

    def __init__(self, document: Document, keys: _Keys, room: RoomSchema) -> None:
        self._document = document
        self._room = room
        self._key = keys.make(room.name)
        self._names = _Keys()
        self._messages: Document = {"error": _ERROR}
        self._names.make("error")

    def write(self) -> None:
        room = self._room
        channel: Document = {"address": _address(room), "title": room.name}
        if room.parameters:
            channel["parameters"] = {
                one.name: {"description": f"Path converter {one.converter}: {one.regex}"} for one in room.parameters
            }
        if about := _about(room):
            channel["description"] = about
        if room.tags:
            channel["tags"] = [{"name": tag} for tag in dict.fromkeys(room.tags)]
        channel |= {"servers": [{"$ref": "#/servers/live"}], "messages": self._messages}
        self._document["channels"][self._key] = channel
        self._membership()
        for call in room.calls:
            self._call(call)
        for event in room.events:
            self._event(event)

    def _membership(self) -> None:
        room = self._room
        join = self._add("join", join_frame(room), room.join_description)
        joined = self._add("joined", joined_frame(room), room.state_description)
        self._receive("join", join, [joined])
        leave = self._add("leave", leave_frame(room))
        self._receive("leave", leave, [self._add("leave.answer", answer_frame({"type": "null"}))])
        self._send("left", self._add("left", left_frame(room), "The server has taken this client out of the room."))

    def _call(self, call: CallSchema) -> None:
        examples = []
        if call.example is not None and (name := _room_example(self._room)):
            payload = {"room": name, "event": call.event, "data": call.example, "id": 1}
            examples = [{"payload": payload}]
        frame = call_frame(self._room, call.event, call.data, needs_data=call.needs_data)
        sent = self._add(call.event, frame, call.description, examples)
        if call.kind == "stream":
            item = self._add(f"{call.event}.item", item_frame(call.result))
            answers = [item, self._add(f"{call.event}.end", answer_frame({"type": "null"}))]
        else:
            answers = [self._add(f"{call.event}.answer", answer_frame(call.result))]
        self._receive(call.event, sent, answers)

    def _event(self, event: EventSchema) -> None:
        examples = []
        if event.example is not None and not event.is_relayed and (name := _room_example(self._room)):
            examples = [{"payload": {"room": name, "event": event.event, "data": event.example}}]
        frame = event_frame(self._room, event.event, event.data, is_relayed=event.is_relayed)
        name = f"{event.event}.relayed" if event.is_relayed else event.event
        self._send(name, self._add(name, frame, event.description, examples))

    def _add(self, name: str, payload: Schema, about: str = "", examples: Iterable[Any] = ()) -> Document:
        """Add a message to the channel; a reference to it."""
        key = self._names.make(*name.split("."))
        self._messages[key] = _message(name, payload, about=about, examples=examples)
        return {"$ref": f"#/channels/{self._key}/messages/{key}"}

    def _receive(self, name: str, message: Document, answers: list[Document]) -> None:
        """An operation of clients, and what answers it."""
        error = {"$ref": f"#/channels/{self._key}/messages/error"}
        reply = {"channel": {"$ref": f"#/channels/{self._key}"}, "messages": [*answers, error]}
        self._operation("receive", name, message, {"reply": reply})

    def _send(self, name: str, message: Document) -> None:
        self._operation("send", name, message, {})

    def _operation(self, action: str, name: str, message: Document, more: Document) -> None:
        channel = {"$ref": f"#/channels/{self._key}"}
        operation = {"action": action, "channel": channel, "title": name, "messages": [message], **more}
        key = message["$ref"].rpartition("/")[2]
        self._document["operations"][f"{self._key}.{key}"] = operation


def _message(
    name: str, payload: Schema, *, title: str = "", about: str = "", examples: Iterable[Any] = ()
) -> Document:
    message: Document = {"name": name, "title": title or name, "payload": payload}
    if about:
        summary, _, rest = about.partition("\n\n")
        message["summary"] = " ".join(summary.split())
        if rest:
            message["description"] = rest
    if "id" in payload["properties"]:
        message["correlationId"] = {"location": "$message.payload#/id"}
    if examples := list(examples):
        message["examples"] = examples
    return message


def _address(room: RoomSchema) -> str:
    return "".join(part if isinstance(part, str) else f"{{{part.name}}}" for part in room.parts)


def _about(room: RoomSchema) -> str:
    rules = f"To join: {', '.join(room.rules)}." if room.rules else ""
    rate = f"Events of one socket: at most {room.rate}." if room.rate else ""
    return " ".join(filter(None, (rules, rate)))


def _room_example(room: RoomSchema) -> str:
    """A name that the room's pattern matches; "" if none is found."""
    parts = []
    for part in room.parts:
        samples = [part] if isinstance(part, str) else [s for s in ("5", "a", _UUID) if re.fullmatch(part.regex, s)]
        if not samples:
            return ""
        parts.append(samples[0])
    return "".join(parts)


_UUID = "6f9619ff-8b86-4d11-b42d-00c04fc964ff"


def _write_routes(document: Document, routes: list[Route], server: Document) -> None:
    """A channel for each route of raw sockets."""
    if not routes:
        return
    document["servers"]["sockets"] = {**server, "description": "Sockets of other protocols."}
    keys = _Keys()
    for route in routes:
        channel: Document = {
            "address": "".join(
                part if isinstance(part, str) else f"{{{part.name}}}" for part in ("/", *route.pattern.parts)
            ),
            "title": route.name,
            "servers": [{"$ref": "#/servers/sockets"}],
        }
        if route.pattern.params:
            channel["parameters"] = {param.name: {} for param in route.pattern.params}
        if route.tags:
            channel["tags"] = [{"name": tag} for tag in dict.fromkeys(route.tags)]
        document["channels"][keys.make("socket", route.name)] = channel


def _converted(value: Any) -> Any:
    """JSON Schemas of 2020-12 as AsyncAPI has them, which are of draft 7, and their references as within it."""
    if isinstance(value, list):
        return [_converted(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    found = {key: _converted(one) for key, one in value.items()}
    if isinstance(reference := found.get("$ref"), str) and reference.startswith(DEFINITIONS):
        found["$ref"] = "#/components/schemas/" + reference.removeprefix(DEFINITIONS)
    if "prefixItems" in found:
        rest = found.pop("items", None)
        found["items"] = found.pop("prefixItems")
        if rest is not None:
            found["additionalItems"] = rest
    if isinstance(found.get("discriminator"), dict) and "propertyName" in found["discriminator"]:
        found["discriminator"] = found["discriminator"]["propertyName"]
    return found
