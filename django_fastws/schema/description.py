"""Description of live rooms for those who are no Python: names, schemas, examples, limits and rules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from ..limits import CONNECTION_LIMITS
from ..live import RELAYED, Event, EventHandler, Hook, LiveRoom
from ..rooms import History, Latest, Presence
from .definitions import Schema, SchemaType, finite, resolved, schemas_of, without_definition
from .examples import example_of

__all__ = ["CallSchema", "Description", "EventSchema", "ParameterSchema", "RoomSchema", "describe"]


@dataclass(frozen=True)
class ParameterSchema:
    """Parameter of a room's name.

    Attributes:
        converter: the path converter; "str" where none is written.
        regex: what it matches, in Python's syntax.
        is_number: it is written in digits.
    """

    name: str
    converter: str
    regex: str
    is_number: bool


@dataclass(frozen=True)
class CallSchema:
    """Event that members send.

    Attributes:
        kind: "call" has an answer, "stream" has items, "relay" passes its data to the other members.
        data: the schema of the payload.
        result: of the answer, or of each item.
        needs_data: whether a frame without a payload is refused.
        example: of the payload; None where none was found that fits.
        rate: such as "5/s"; "" without one.
        timeout: seconds; None without one.
        errors: codes that can be told from the declaration; a handler may have others.
    """

    event: str
    kind: str
    description: str
    data: Schema
    result: Schema
    needs_data: bool
    example: Any
    rate: str = ""
    timeout: float | None = None
    concurrent: bool = False
    errors: tuple[str, ...] = ()

    @property
    def takes_data(self) -> bool:
        """Whether there is anything that the payload may have."""
        return self.data != {"type": "object", "properties": {}}


@dataclass(frozen=True)
class EventSchema:
    """Event that members get: broadcast by the server, or relayed from another member."""

    event: str
    description: str
    data: Schema
    example: Any
    is_relayed: bool = False


@dataclass(frozen=True)
class RoomSchema:
    """Kind of rooms.

    Attributes:
        parts: the pattern, as literal text and parameters.
        state: None where there is none.
        events: by name; ``is_open`` says that others may come, for the room does not say which it ``sends``.
        rules: who may join, in words.
        rate: of one socket's events there; "" without one.
        history: what it keeps of what it broadcasts; None is nothing.
        latest: how it is keyed; None where it is not. Then its ``events`` are those that are relayed, for what it
            broadcasts are values.
        value: the schema of a value of a keyed room; None in any other.
        presence: how its members are told of each other; None where they are not.
        meta: the schema of a card; None where members are not told who is present.
        errors: codes with which a join may be refused.
    """

    pattern: str
    name: str
    tags: tuple[str, ...]
    parts: tuple[str | ParameterSchema, ...]
    state: Schema | None
    calls: tuple[CallSchema, ...]
    events: tuple[EventSchema, ...]
    is_open: bool
    rules: tuple[str, ...] = ()
    rate: str = ""
    history: History | None = None
    latest: Latest | None = None
    value: Schema | None = None
    presence: Presence | None = None
    meta: Schema | None = None
    errors: tuple[str, ...] = ()
    join_description: str = ""
    state_description: str = ""
    card_description: str = ""

    @property
    def parameters(self) -> tuple[ParameterSchema, ...]:
        """The parameters, in order."""
        return tuple(part for part in self.parts if isinstance(part, ParameterSchema))


@dataclass(frozen=True)
class Description:
    """Description of all live rooms, with the definitions that their schemas share, by name."""

    rooms: tuple[RoomSchema, ...]
    definitions: dict[str, Schema] = field(default_factory=dict)


def describe(rooms: Iterable[LiveRoom]) -> Description:
    """Describe live rooms, in their order."""
    rooms = list(rooms)
    types: dict[Hashable, SchemaType] = {}
    for room in rooms:
        types |= _types_of(room)
    schemas, definitions = schemas_of(types) if types else ({}, {})
    for room in rooms:
        for handler in room.events.values():
            if _is_of_parameters(handler):
                key = (room, handler.event, "data")
                schemas[key] = _payload(handler, without_definition(schemas[key], definitions))
    return Description(tuple(_Describer(room, schemas, definitions).room() for room in rooms), definitions)


def _types_of(room: LiveRoom) -> dict[Hashable, SchemaType]:
    types: dict[Hashable, SchemaType] = {}
    for event, handler in room.events.items():
        types[room, event, "data"] = SchemaType(handler.payload_type, "validation")
        if handler.is_relay:
            types[room, event, "relayed"] = SchemaType(handler.payload_type, "serialization")
        else:
            types[room, event, "result"] = SchemaType(handler.result_type, "serialization")
    for sent in room.sends:
        types[room, sent] = SchemaType(sent, "serialization")
    if room.state_hook is not None:
        types[room, "state"] = SchemaType(room.state_hook.result_type, "serialization")
    if room.card_hook is not None and _tells_who(room):
        types[room, "card"] = SchemaType(room.card_hook.result_type, "serialization")
    return types


def _tells_who(room: LiveRoom) -> bool:
    """Whether its members are told who is present."""
    return room.presence is not None and not room.presence.counts_only


def _is_of_parameters(handler: EventHandler) -> bool:
    """Whether the payload is made of the function's parameters, so that its type is nobody's."""
    given = handler.signature.payload.values()
    return not handler.is_relay and all(one.annotation is not handler.payload_type for one in given)


def _payload(handler: EventHandler, schema: Schema) -> Schema:
    """The schema of a payload of parameters, with the defaults that the function has."""
    properties = schema.get("properties", {})
    for name, parameter in handler.signature.payload.items():
        if name in properties and parameter.default is not inspect.Parameter.empty:
            adapter: TypeAdapter[Any] = TypeAdapter(parameter.annotation)
            try:
                default = adapter.dump_python(parameter.default, mode="json", by_alias=True, warnings=False)
            except Exception:  # of a default that has no JSON form
                continue
            properties[name] = finite({**properties[name], "default": default})
    return {key: value for key, value in schema.items() if key not in ("title", "description")}


def _doc(function: Any) -> str:
    """The docstring of a function, if it is its own."""
    return inspect.cleandoc(getattr(function, "__doc__", None) or "")


def _is_accepted(value: Any, check: Callable[[Any], Any]) -> bool:
    try:
        check(value)
    except Exception:  # of a validator of the project's own, too
        return False
    return True


class _Describer:
    """Describes one live room, of schemas that are made."""

    def __init__(self, room: LiveRoom, schemas: dict[Any, Schema], definitions: dict[str, Schema]) -> None:
        self._room = room
        self._schemas = schemas
        self._definitions = definitions

    def room(self) -> RoomSchema:
        room = self._room
        relays = [handler for handler in room.events.values() if handler.is_relay]
        return RoomSchema(
            pattern=room.pattern,
            name=room.name,
            tags=room.tags,
            parts=_parts(room),
            state=self._state(),
            calls=tuple(self._call(handler) for handler in room.events.values()),
            events=(*([] if room.latest is not None else map(self._sent, room.sends)), *map(self._relayed, relays)),
            is_open=not room.sends and room.latest is None,
            rules=tuple(_rules(room)),
            rate="" if room.rate is None else str(room.rate),
            history=room.history,
            latest=room.latest,
            value=self._value(),
            presence=room.presence,
            meta=self._meta(),
            errors=tuple(_join_errors(room)),
            join_description=_hook_doc(room.join_hook),
            state_description=_hook_doc(room.state_hook) if room.latest is None else "The newest value of each key.",
            card_description=_hook_doc(room.card_hook) if _tells_who(room) else "",
        )

    def _value(self) -> Schema | None:
        """What a value of a keyed room may be: any of what it sends, and anything where it does not say."""
        if self._room.latest is None:
            return None
        values = [self._schemas[self._room, event] for event in self._room.sends]
        return values[0] if len(values) == 1 else {"anyOf": values} if values else {}

    def _meta(self) -> Schema | None:
        """What a card may be: anything where no function makes it, for a member may be given one all the same."""
        if not _tells_who(self._room):
            return None
        return {} if self._room.card_hook is None else self._schemas[self._room, "card"]

    def _state(self) -> Schema | None:
        value = self._value()
        if value is not None:
            return {"type": "object", "additionalProperties": value}
        return None if self._room.state_hook is None else self._schemas[self._room, "state"]

    def _call(self, handler: EventHandler) -> CallSchema:
        data = self._schemas[self._room, handler.event, "data"]
        call = CallSchema(
            event=handler.event,
            kind="relay" if handler.is_relay else "stream" if handler.is_generator else "call",
            description=_doc(handler.function) if handler.function is not None else "",
            data=data,
            result={"type": "null"} if handler.is_relay else self._schemas[self._room, handler.event, "result"],
            needs_data=not _is_accepted(None, handler.read),
            example=self._example(data, handler.read),
            rate="" if handler.rate is None else str(handler.rate),
            timeout=handler.timeout,
            concurrent=handler.concurrent,
        )
        return replace(call, errors=tuple(_call_errors(self._room, call)))

    def _sent(self, event: type[Event]) -> EventSchema:
        data = self._schemas[self._room, event]
        example = self._example(data, event.model_validate)
        return EventSchema(event.__fastws_event__, self._about(data), data, example)

    def _relayed(self, handler: EventHandler) -> EventSchema:
        data = self._schemas[self._room, handler.event, "relayed"]

        def check(value: Any) -> Any:
            return handler.encode(handler.read(value)[RELAYED])

        return EventSchema(handler.event, self._about(data), data, self._example(data, check), is_relayed=True)

    def _about(self, schema: Schema) -> str:
        return str(resolved(schema, self._definitions).get("description", ""))

    def _example(self, schema: Schema, check: Callable[[Any], Any]) -> Any:
        """An example that is accepted; None if what is found is not."""
        found = example_of(schema, self._definitions)
        return found if _is_accepted(found, check) else None


def _join_errors(room: LiveRoom) -> Iterable[str]:
    if room.access.login_required or room.access.names:
        yield "unauthenticated"
    if room.access.permissions or room.join_hook is not None:
        yield "forbidden"
    if any(room.limits.own(limit) is not None for limit in CONNECTION_LIMITS):
        yield "unavailable"


def _call_errors(room: LiveRoom, call: CallSchema) -> Iterable[str]:
    if call.takes_data:
        yield "invalid"
    if room.rate is not None or call.rate:
        yield "rate_limited"
    if call.timeout is not None:
        yield "timeout"


def _hook_doc(hook: Hook | None) -> str:
    return "" if hook is None else _doc(hook.function)


def _parts(room: LiveRoom) -> tuple[str | ParameterSchema, ...]:
    regexes = room.names.regexes
    return tuple(
        part
        if isinstance(part, str)
        else ParameterSchema(
            part.name, part.converter or "str", regexes[part.name].pattern, is_number=part.converter == "int"
        )
        for part in room.names.path.parts
    )


def _rules(room: LiveRoom) -> Iterable[str]:
    access = room.access
    if access.login_required:
        yield "login required"
    for name in access.names:
        yield f"permission {name}"
    for check in access.permissions:
        if not isinstance(check, str):
            yield f"{getattr(check, '__name__', 'a function')}() decides"
