"""Hooks: what they are called with, and what cannot be one."""

from __future__ import annotations

from typing import Any

import pytest

from django_fastws import Room, RouteError
from django_fastws.live.hooks import Hook, StateHook
from django_fastws.live.pattern import RoomPattern

PATTERN = RoomPattern("tickets/{pk:int}")
ROOM, PARAMS = Room("tickets/5"), {"pk": 5}


async def test_a_hook_gets_the_socket_the_parameters_and_the_room():
    async def enter(ws, here: Room, pk: int) -> Any:
        return ws, here, pk

    assert await Hook(enter, PATTERN, {}).call("ws", ROOM, PARAMS) == ("ws", ROOM, 5)


async def test_a_parameter_with_a_default_keeps_it():
    async def enter(ws, pk, strict=True):
        return strict

    assert await Hook(enter, PATTERN, {}).call("ws", ROOM, PARAMS) is True


async def test_a_shared_state_is_made_without_a_socket():
    async def state(pk: int) -> int:
        return pk

    hook = StateHook(state, PATTERN, {}, shared=True)
    assert (hook.shared, hook.result_type) == (True, int)
    assert hook.encode(await hook.call(None, ROOM, PARAMS)) == b"5"


async def test_a_state_of_one_member_is_made_with_the_socket():
    async def state(ws) -> dict[str, str]:
        return {"of": ws}

    hook = StateHook(state, PATTERN, {}, shared=False)
    assert hook.encode(await hook.call("me", ROOM, PARAMS)) == b'{"of":"me"}'


async def with_payload(ws, pk, text): ...
async def yields(ws):
    yield 1


def sync(ws, pk): ...


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (with_payload, "'text' is no parameter of the pattern 'tickets/{pk:int}', which has pk"),
        (yields, "has a `yield`: return all at once"),
        (sync, "is not async"),
    ],
)
def test_what_cannot_be_a_hook(function, text):
    with pytest.raises(RouteError, match=text):
        Hook(function, PATTERN, {})


def test_a_shared_state_that_takes_a_socket_is_a_mistake():
    async def state(ws, pk): ...

    with pytest.raises(RouteError, match=r"'ws' is no parameter of the pattern.*shared state.* gets no socket"):
        StateHook(state, PATTERN, {}, shared=True)
