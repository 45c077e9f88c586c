"""LiveRoom: what can be declared of it, and what is a mistake where it stands."""

from __future__ import annotations

from typing import Any

import pytest
from django.template import Context, Template
from pydantic import BaseModel

from django_fastws import Event, FastWS, Room, RouteError
from django_fastws._core.rates import Rate

pytestmark = pytest.mark.usefixtures("routes")


class Said(Event):
    text: str


class Typing(BaseModel):
    is_typing: bool = True


@pytest.fixture
def tickets():
    return FastWS(tags=["desk"]).room("tickets/{pk:int}", sends=[Said], tags=["live"])


def test_a_live_room_with_parameters_is_the_room(tickets):
    assert tickets(pk=5) == Room("tickets/5")
    with pytest.raises(TypeError, match="pk='x' does not fit"):
        tickets(pk="x")


def test_what_is_declared_is_found_by_its_event(tickets):
    @tickets.on("say", rate="5/s", timeout=3)
    async def say(ws, text: str) -> int: ...

    @tickets.on("upload", concurrent=True)
    async def upload(ws): ...

    tickets.relay("typing", Typing, rate="20/s burst 40")
    events = tickets.events
    assert list(events) == ["say", "upload", "typing"]
    assert (events["say"].function, events["say"].rate, events["say"].timeout) == (say, Rate(5, 1, 5), 3)
    assert [event.concurrent for event in events.values()] == [False, True, False]
    assert [event.is_relay for event in events.values()] == [False, False, True]
    assert events["typing"].rate == Rate(20, 1, 40)
    assert "test_live_room.py:" in events["say"].place


def test_hooks_are_declared_once_and_come_back_as_they_were(tickets):
    async def enter(ws, pk): ...
    async def leave(ws): ...
    async def state(ws) -> list[Said]: ...

    assert (tickets.on_join(enter), tickets.on_leave(leave), tickets.state(state)) == (enter, leave, state)
    assert (tickets.join_hook.function, tickets.leave_hook.function) == (enter, leave)
    assert (tickets.state_hook.function, tickets.state_hook.shared) == (state, False)
    for declare in (tickets.on_join, tickets.on_leave, tickets.state, lambda it: tickets.state(shared=True)(it)):
        with pytest.raises(RouteError, match=r"is declared already, by .*test_live_room.py:"):
            declare(enter)


def test_hooks_without_any_declared_are_none(tickets):
    assert (tickets.join_hook, tickets.leave_hook, tickets.state_hook, tickets.events) == (None, None, None, {})


def test_a_shared_state(tickets):
    @tickets.state(shared=True)
    async def state(pk: int) -> list[Said]: ...

    assert tickets.state_hook.shared


def test_annotations_that_are_names_of_the_function_around(tickets):
    class Local(BaseModel):
        x: int

    @tickets.on("a")
    async def a(ws, it: Local) -> list[Local]: ...

    @tickets.on_join
    async def enter(ws, room: Room) -> Local: ...

    @tickets.state
    async def state(ws) -> Local: ...

    assert tickets.events["a"].read({"x": 1}) == {"it": Local(x=1)}
    assert tickets.state_hook.result_type is Local


async def handler(ws): ...


MISTAKES: list[tuple[Any, str]] = [
    (lambda it: it.on(handler), r'handler: write `@tickets.on\("..."\)` with the name'),
    (lambda it: it.on("state"), "'state' means something else to the client"),
    (lambda it: it.on(""), "'' is no name of an event"),
    (lambda it: it.relay("left", Typing), "'left' means something else"),
    (lambda it: it.on("say", rate="much"), "'much' is no rate"),
    (lambda it: it.on("say", timeout=0), "timeout=0 is neither"),
    (lambda it: it.on("say", timeout=True), "timeout=True is neither"),
    (lambda it: it.on("say", timeout=float("inf")), "timeout=inf is neither"),
    (lambda it: it.on("say", concurrent=1), "concurrent=1 is neither True nor False"),
    (lambda it: it.on("taken"), "'taken': it is declared already, by .*handler .*test_live_room.py"),
    (lambda it: it.relay("taken", Typing), "'taken': it is declared already"),
    (lambda it: it.relay("cursor", FastWS), "pydantic cannot validate the payload"),
    (lambda it: it.relay("cursor", "5/s"), r"pydantic cannot validate the payload: (.|\n)*relay\('cursor', Model\)"),
    (lambda it: it.on("say")(lambda ws: None), "is not async"),
    (lambda it: it.on("say")(Typing), "is a class"),
]


@pytest.mark.parametrize(("declare", "text"), MISTAKES, ids=[text for _, text in MISTAKES])
def test_a_mistake_is_told_where_it_stands(tickets, declare, text):
    tickets.on("taken")(handler)
    with pytest.raises(RouteError, match=text):
        declare(tickets)
    assert list(tickets.events) == ["taken"]


def test_a_decorator_that_is_kept_does_not_declare_an_event_twice(tickets):
    on_say = tickets.on("say")
    on_say(handler)
    with pytest.raises(RouteError, match="'say': it is declared already"):
        on_say(handler)


def test_one_function_may_handle_several_events(tickets):
    tickets.on("a")(tickets.on("b")(handler))
    assert tickets.events["a"].function is tickets.events["b"].function is handler


def test_a_template_does_not_call_it(tickets):
    assert (
        Template("{{ room.pattern }} {{ room.name }}").render(Context({"room": tickets}))
        == "tickets/{pk:int} tickets"
    )


def test_a_room_without_the_names_of_its_parameters(tickets):
    with pytest.raises(TypeError, match=r"which parameter it is: write tickets\(pk=...\)"):
        tickets(5)


@pytest.mark.parametrize("name", ["broadcast", "abroadcast", "kick", "akick", "listen"])
def test_what_one_room_has_is_not_asked_of_the_kind(tickets, name):
    with pytest.raises(AttributeError, match=rf"one room has {name}\(\): tickets\(pk=...\).{name}\(...\)"):
        getattr(tickets, name)
    assert not hasattr(tickets, name)


def test_other_attributes_are_missing_as_ever(tickets):
    with pytest.raises(AttributeError, match="'LiveRoom' object has no attribute 'broadcasts'"):
        tickets.broadcasts  # noqa: B018 (it is the reading that raises)
