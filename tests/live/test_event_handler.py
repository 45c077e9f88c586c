"""Handlers of events: what a payload becomes, how the function is called, what a mistake says."""

from __future__ import annotations

import datetime as dt
import sys
import typing
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typing_extensions
from annotated_types import MaxLen
from pydantic import BaseModel, ConfigDict, Field, RootModel

from django_fastws import LiveError, Room, RouteError
from django_fastws.live.event_handler import RELAYED, EventHandler
from django_fastws.live.pattern import RoomPattern

PATTERN = RoomPattern("tickets/{pk:int}")


class Said(BaseModel):
    who: str = "bot"
    text: str


@dataclass
class Point:
    x: int
    y: int = 0


class Move(typing_extensions.TypedDict):
    to: Point


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    at: dt.datetime
    raw: bytes


HO = Said(text="ho")


async def nothing(ws, pk, room: Room): ...
async def fields(ws, text: Annotated[str, MaxLen(5)], pk: int, count: int = 1, *, tags: tuple[str, ...] = ()): ...
async def plain(ws, anything): ...
async def model(ws, room: Room, said: Said): ...
async def hinted_model(ws, said: Annotated[Said, "what was said"]): ...
async def data_class(ws, point: Point): ...
async def typed_dict(ws, move: Move): ...
async def root(ws, numbers: RootModel[list[int] | None]): ...
async def two_models(ws, said: Said, point: Point): ...
async def optional_model(ws, said: Said | None = None): ...
async def model_with_default(ws, said: Said = HO): ...
async def alias(ws, sender: Annotated[str, Field(alias="from")]): ...
async def strict(ws, it: Strict): ...
async def names_of_models(ws, schema: int, copy: int, json: int, model_config: int): ...


SAID = {"text": "hi"}
NAMES = dict.fromkeys(("schema", "copy", "json", "model_config"), 1)
AT = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)

READ: list[tuple[Any, Any, dict[str, Any]]] = [
    (nothing, None, {}),
    (nothing, {"any": 1}, {}),
    (fields, {"text": "hi"}, {"text": "hi"}),
    (fields, {"text": "hi", "count": "3", "tags": ["a"]}, {"text": "hi", "count": 3, "tags": ("a",)}),
    (plain, {"anything": [1, None]}, {"anything": [1, None]}),
    (model, SAID, {"said": Said(text="hi")}),
    (hinted_model, SAID, {"said": Said(text="hi")}),
    (data_class, {"x": 1}, {"point": Point(1)}),
    (typed_dict, {"to": {"x": 1}}, {"move": {"to": Point(1)}}),
    (root, None, {"numbers": RootModel[list[int] | None](None)}),
    (root, [1], {"numbers": RootModel[list[int] | None]([1])}),
    (two_models, {"said": SAID, "point": {"x": 1}}, {"said": Said(text="hi"), "point": Point(1)}),
    (optional_model, None, {}),
    (model_with_default, None, {}),
    (model_with_default, {}, {}),
    (model_with_default, SAID, {"said": Said(text="hi")}),
    (optional_model, {"said": SAID}, {"said": Said(text="hi")}),
    (alias, {"from": "me"}, {"sender": "me"}),
    (strict, {"at": "2026-01-02T00:00:00Z", "raw": "x"}, {"it": Strict(at=AT, raw=b"x")}),
    (names_of_models, NAMES, NAMES),
]


@pytest.mark.parametrize(("function", "data", "arguments"), READ, ids=lambda it: getattr(it, "__name__", ""))
def test_what_a_payload_becomes(function, data, arguments):
    assert EventHandler("it", PATTERN, function=function).read(data) == arguments


INVALID: list[tuple[Any, Any, dict[str, int]]] = [
    (fields, {}, {"text": 1}),
    (fields, None, {"text": 1}),
    (fields, {"text": "too long", "count": "x"}, {"text": 1, "count": 1}),
    (fields, [1], {"": 1}),
    (fields, "x", {"": 1}),
    (model, None, {"text": 1}),
    (model, {"text": 7}, {"text": 1}),
    (model_with_default, {"who": "me"}, {"text": 1}),
    (model_with_default, [], {"": 1}),
    (two_models, {"said": {}, "point": {"x": "y"}}, {"said.text": 1, "point.x": 1}),
    (alias, {"sender": "me"}, {"from": 1}),
    (strict, {"at": 5, "raw": 7}, {"it": 0, "at": 1, "raw": 1}),
]


@pytest.mark.parametrize(("function", "data", "fields_"), INVALID, ids=lambda it: getattr(it, "__name__", ""))
def test_what_does_not_fit_is_invalid_with_its_fields(function, data, fields_):
    with pytest.raises(LiveError) as raised:
        EventHandler("it", PATTERN, function=function).read(data)
    error = raised.value
    assert error.code == "invalid"
    assert {name: len(messages) for name, messages in error.fields.items()} == {k: n for k, n in fields_.items() if n}
    first = next(iter(error.fields))
    assert error.message.startswith(f"{first}: " if first else error.fields[""][0])


async def test_a_function_is_called_with_what_it_takes():
    async def say(ws, room: Room, pk: int, text: str = "nothing") -> tuple[Any, ...]:
        return ws, room, pk, text

    handler = EventHandler("say", PATTERN, function=say)
    assert not handler.is_generator
    room, ws, params = Room("tickets/5"), object(), {"pk": 5}
    assert await handler.call(ws, room, params, handler.read({"text": "x"})) == (ws, room, 5, "x")
    assert await handler.call(ws, room, params, handler.read(None)) == (ws, room, 5, "nothing")


@pytest.mark.parametrize("annotation", [AsyncIterator[int], AsyncIterable[int], AsyncGenerator[int, None]], ids=str)
async def test_the_items_of_a_generator_are_of_the_type_in_its_annotation(annotation):
    async def count(ws, to: int):
        for number in range(to):
            yield number

    count.__annotations__["return"] = annotation
    handler = EventHandler("count", PATTERN, function=count)
    assert handler.is_generator
    assert handler.result_type is int
    items = [item async for item in handler.call(None, Room("x"), {}, {"to": 3})]
    assert [handler.encode(item) for item in items] == [b"0", b"1", b"2"]
    with pytest.raises(TypeError, match="has returned what is not int"):
        handler.encode("x")


@pytest.mark.parametrize("annotation", [int, list[int]])
def test_a_generator_that_is_annotated_as_something_else_is_a_mistake(annotation):
    async def count(ws):
        yield 1

    count.__annotations__["return"] = annotation
    with pytest.raises(RouteError, match=r"has a `yield`, and so returns AsyncIterator\[...\]"):
        EventHandler("count", PATTERN, function=count)


async def socket_too(ws, other_ws: EventHandler): ...


def test_what_pydantic_cannot_validate_is_a_mistake_where_it_stands():
    with pytest.raises(RouteError, match="pydantic cannot validate 'other_ws'") as raised:
        EventHandler("it", PATTERN, function=socket_too)
    assert "one of the pattern, or annotated Room" in str(raised.value)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes it")
def test_a_typed_dict_of_typing_is_a_mistake_that_says_which_to_take():
    plain_dict: Any = typing.TypedDict("plain_dict", {"x": int})

    async def handler(ws, it: plain_dict): ...

    with pytest.raises(RouteError, match=r"typing_extensions.TypedDict"):
        EventHandler("it", PATTERN, function=handler, around=locals())


@pytest.mark.parametrize(("model", "written"), [(int | None, b"null"), (Any, b"null"), (dict[str, int], b"{}")])
def test_a_relay_passes_null_where_that_is_valid(model, written):
    relay = EventHandler("typing", PATTERN, model=model)
    assert relay.encode(relay.read(None)[RELAYED]) == written


def test_a_relay_validates_and_writes_what_passes():
    relay = EventHandler("typing", PATTERN, model=Said)
    assert relay.is_relay
    arguments = relay.read({"text": "hi", "more": 1})
    assert relay.encode(arguments[RELAYED]) == b'{"who":"bot","text":"hi"}'
    with pytest.raises(LiveError) as raised:
        relay.read({})
    assert raised.value.code == "invalid"
