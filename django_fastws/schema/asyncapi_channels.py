"""Channels of an AsyncAPI document: a room's, and that of the connection itself, with messages and operations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .definitions import Schema, unique_name
from .description import CallSchema, EventSchema, RoomSchema
from .frame_schemas import (
    CONNECTION,
    answer_frame,
    call_frame,
    count_frame,
    event_frame,
    item_frame,
    join_frame,
    joined_frame,
    keyed_frame,
    leave_frame,
    left_frame,
    lost_frame,
    position_frame,
    presence_frame,
    present_frame,
    removed_frame,
)

__all__ = ["Document", "Keys", "message_of", "write_connection", "write_room"]

Document = dict[str, Any]

_ERROR = {"$ref": "#/components/messages/error"}
_LIVE = [{"$ref": "#/servers/live"}]


def write_room(document: Document, keys: Keys, room: RoomSchema) -> None:
    """Write the channel of a room."""
    _RoomChannel(document, keys.make(room.name), room).write()


def write_connection(document: Document, keys: Keys) -> None:
    """Write the channel of what is of no room: hello, ping, cancel, asks."""
    channel = _Channel(document, keys.make("connection"))
    channel.open({"address": None, "title": "connection", "description": "What is of the socket, and of no room."})
    hello = channel.add("hello", CONNECTION["hello"], "Optional, and then first: who the client is.")
    channel.receive("hello", hello, [channel.add("hello.answer", CONNECTION["hello.answer"])])
    cancelled = channel.add("cancel", CONNECTION["cancel"], "The client wants no answer of a call any more.")
    channel.receive("cancel", cancelled, [])
    channel.send("ping", channel.add("ping", CONNECTION["ping"], "The server has said nothing for a while."))
    channel.send("event", channel.add("event", CONNECTION["event"], "An event for this client alone."))
    ask = channel.add("ask", CONNECTION["ask"], "The server asks this client.")
    channel.send("ask", ask, [channel.add("ask.answer", CONNECTION["ask.answer"])])


class Keys:
    """Keys of components, made of any names: unique, and of the characters that AsyncAPI allows."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def make(self, *names: str) -> str:
        key = ".".join(re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "x" for name in names)
        return unique_name(key, self._taken)


class _Channel:
    """Writer of a channel, its messages and operations."""

    def __init__(self, document: Document, key: str) -> None:
        self._document = document
        self._key = key
        self._names = Keys()
        self._messages: Document = {"error": _ERROR}
        self._names.make("error")

    def open(self, about: Document) -> None:
        """Write what the channel is."""
        self._document["channels"][self._key] = about | {"servers": _LIVE, "messages": self._messages}

    def add(self, name: str, payload: Schema, about: str = "", examples: Iterable[Any] = ()) -> Document:
        """Add a message to the channel; a reference to it."""
        key = self._names.make(*name.split("."))
        self._messages[key] = message_of(name, payload, about=about, examples=examples)
        return self._reference(key)

    def receive(self, name: str, message: Document, answers: list[Document]) -> None:
        """Write an operation of clients, and what answers it."""
        self._operation("receive", name, message, [*answers, self._reference("error")])

    def send(self, name: str, message: Document, answers: Iterable[Document] = ()) -> None:
        """Write an operation of the server, and what clients answer."""
        self._operation("send", name, message, list(answers))

    def _reference(self, message: str) -> Document:
        return {"$ref": f"#/channels/{self._key}/messages/{message}"}

    def _operation(self, action: str, name: str, message: Document, answers: list[Document]) -> None:
        channel = {"$ref": f"#/channels/{self._key}"}
        operation: Document = {"action": action, "channel": channel, "title": name, "messages": [message]}
        if answers:
            operation["reply"] = {"channel": channel, "messages": answers}
        key = message["$ref"].rpartition("/")[2]
        self._document["operations"][f"{self._key}.{key}"] = operation


class _RoomChannel(_Channel):
    """Writer of a room's channel."""

    def __init__(self, document: Document, key: str, room: RoomSchema) -> None:
        super().__init__(document, key)
        self._room = room

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
        self.open(channel)
        self._membership()
        for call in room.calls:
            self._call(call)
        for event in room.events:
            self._event(event)

    def _membership(self) -> None:
        room = self._room
        join = self.add("join", join_frame(room), room.join_description)
        joined = self.add("joined", joined_frame(room), room.state_description)
        self.receive("join", join, [joined])
        leave = self.add("leave", leave_frame(room))
        self.receive("leave", leave, [self.add("leave.answer", answer_frame({"type": "null"}))])
        self.send("left", self.add("left", left_frame(room), "The server has taken this client out of the room."))
        if room.history is not None:
            about = "Events were lost while the client was connected: it begins anew from this."
            self.send("lost", self.add("lost", lost_frame(room), about))
            about = "An event was stored that is not for this client: only its position is."
            self.send("position", self.add("position", position_frame(room), about))
        if room.value is not None:
            about = "The newest value of a key."
            self.send("value", self.add("value", keyed_frame(room, room.value), about))
            about = "A key has no value any more."
            self.send("removed", self.add("removed", removed_frame(room), about))
            about = "The client was too slow: it begins anew from this."
            self.send("lost", self.add("lost", lost_frame(room), about))

        if room.presence is not None:
            self._presence()

    def _presence(self) -> None:
        room = self._room
        if room.meta is None:
            self.send("count", self.add("count", count_frame(room), "How many are present, whenever that changes."))
            return
        about = "Members have come, left or changed. What comes twice changes nothing the second time."
        self.send("presence", self.add("presence", presence_frame(room, room.meta), about))
        about = "Changes were lost while the client was connected: these are all who are present now."
        self.send("present", self.add("present", present_frame(room, room.meta), about))

    def _call(self, call: CallSchema) -> None:
        examples = []
        if call.example is not None and (name := _room_example(self._room)):
            payload = {"room": name, "event": call.event, "data": call.example, "id": 1}
            examples = [{"payload": payload}]
        frame = call_frame(self._room, call.event, call.data, needs_data=call.needs_data)
        sent = self.add(call.event, frame, call.description, examples)
        if call.kind == "stream":
            item = self.add(f"{call.event}.item", item_frame(call.result))
            answers = [item, self.add(f"{call.event}.end", answer_frame({"type": "null"}))]
        else:
            answers = [self.add(f"{call.event}.answer", answer_frame(call.result))]
        self.receive(call.event, sent, answers)

    def _event(self, event: EventSchema) -> None:
        examples = []
        if event.example is not None and not event.is_relayed and (name := _room_example(self._room)):
            examples = [{"payload": {"room": name, "event": event.event, "data": event.example}}]
        frame = event_frame(self._room, event.event, event.data, is_relayed=event.is_relayed)
        name = f"{event.event}.relayed" if event.is_relayed else event.event
        self.send(name, self.add(name, frame, event.description, examples))


def message_of(
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
    history = ""
    if (kept := room.history) is not None:
        history = f"History: {kept.messages} events, {kept.bytes} bytes, for {kept.seconds:g} seconds, at most."
    latest = ""
    if (keyed := room.latest) is not None:
        often = f", and sent at most {keyed.rate} by each process" if keyed.rate else ""
        latest = f"Keyed: the newest value of each key is kept for {keyed.seconds:g} seconds{often}."
    return " ".join(filter(None, (rules, rate, history, latest, _presence_of(room))))


def _presence_of(room: RoomSchema) -> str:
    if room.presence is None:
        return ""
    return "Presence: how many are there." if room.meta is None else "Presence: who is there."


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
