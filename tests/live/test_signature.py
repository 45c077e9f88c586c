"""Signatures of handlers and hooks: where each parameter comes from, and which cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
from annotated_types import Gt

from django_fastws import Room, RouteError
from django_fastws.live.pattern import RoomPattern
from django_fastws.live.signature import EMPTY, read_live_signature

if TYPE_CHECKING:
    from decimal import Decimal

PATTERN = RoomPattern("tickets/{pk:int}/{tab}")


async def none(ws): ...
async def params(ws, pk, tab): ...
async def annotated(ws: Any, tab: str, pk: int): ...
async def union(ws, pk: int | str): ...
async def room(ws, here: Room, pk: int): ...
async def any_params(ws, **rest): ...
async def one_of_any(ws, tab, **rest): ...
async def keywords(ws, *, pk, text): ...
async def positional(ws, /, text): ...


READ = [
    (none, (), "", []),
    (params, ("pk", "tab"), "", []),
    (annotated, ("tab", "pk"), "", []),
    (union, ("pk",), "", []),
    (room, ("pk",), "here", []),
    (any_params, ("pk", "tab"), "", []),
    (one_of_any, ("tab", "pk"), "", []),
    (keywords, ("pk",), "", ["text"]),
    (positional, (), "", ["text"]),
]


@pytest.mark.parametrize(
    ("function", "names", "room_name", "payload"), READ, ids=lambda it: getattr(it, "__name__", "")
)
def test_where_parameters_come_from(function, names, room_name, payload):
    found = read_live_signature(function, PATTERN, {})
    assert (found.params, found.room, list(found.payload)) == (names, room_name, payload)


def test_annotations_that_are_strings_are_found_around_and_under_type_checking():
    class Local: ...

    async def handler(ws, a: Local, b: Decimal, c: list[Local] | None = None) -> Local: ...

    from decimal import Decimal as Real

    found = read_live_signature(handler, PATTERN, locals())
    assert found.payload["a"] == (Local, EMPTY)
    assert found.payload["b"].annotation is Real
    assert found.payload["c"] == (list[Local] | None, None)
    assert found.result is Local


def test_without_annotations_anything_comes_and_goes():
    async def handler(ws, text="x"): ...

    found = read_live_signature(handler, PATTERN, {})
    assert found.payload == {"text": (Any, "x")}
    assert found.result is EMPTY


def test_a_shared_state_takes_no_socket():
    async def state(pk, here: Room): ...

    found = read_live_signature(state, PATTERN, {}, takes_socket=False)
    assert found.bind(Room("x"), {"pk": 1, "tab": "y"}) == {"pk": 1, "here": Room("x")}


def plain(ws): ...
async def generator(ws):
    yield 1


async def nothing(): ...
async def socket_named_as_param(pk): ...
async def two_rooms(ws, a: Room, b: Room): ...
async def positional_only(ws, a, /): ...
async def several(ws, *texts): ...
async def unknown(ws, a: Nowhere): ...  # noqa: F821
async def wrong_kind(ws, pk: str): ...
async def wrong_kind_of_text(ws, tab: int): ...
async def boolean(ws, pk: bool): ...
async def constrained(ws, pk: Annotated[int, Gt(0)]): ...


MISTAKES = [
    (plain, "is not async"),
    (generator, "has a `yield`"),
    (nothing, r"takes no LiveSocket: write `async def nothing\(ws, ...\)`"),
    (socket_named_as_param, r"write `async def socket_named_as_param\(ws, pk, ...\)`"),
    (two_rooms, "'a' and 'b' are both annotated Room"),
    (positional_only, "'a' is positional-only"),
    (several, "'texts' is positional-only"),
    (unknown, "'Nowhere' of 'a' cannot be resolved"),
    (wrong_kind, "'pk' is int by the pattern .*, not str; write {pk:str} there"),
    (wrong_kind_of_text, "'tab' is str by the pattern .*, not int; write {tab:int} there"),
    (boolean, "'pk' is int by the pattern .*, not bool; annotate it as int"),
    (constrained, "'pk' comes from the pattern .*, where a path converter says what fits"),
]


@pytest.mark.parametrize(("function", "text"), MISTAKES, ids=lambda it: getattr(it, "__name__", ""))
def test_a_mistake_is_told_where_it_stands(function, text):
    with pytest.raises(RouteError, match=text) as raised:
        read_live_signature(function, PATTERN, {})
    assert f"{function.__module__}.{function.__name__}" in str(raised.value)


def test_what_is_not_async_is_of_that_kind():
    with pytest.raises(RouteError) as raised:
        read_live_signature(plain, PATTERN, {})
    assert raised.value.kind == "not-async"


def test_a_generator_where_one_may_be():
    assert read_live_signature(generator, PATTERN, {}, may_yield=True).params == ()
