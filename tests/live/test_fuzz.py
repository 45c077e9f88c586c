"""Whatever a client says: no traceback, no hang, and every id is answered exactly once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_fastws import FastWS, Room
from django_fastws.routing import registry
from tests.live.client import client, turns

app = FastWS()
registry.apps.remove(app)
room = app.room("room/{pk:int}")


@room.on_join
async def join(ws, pk):
    if pk == 3:
        await asyncio.sleep(0)


@room.state
async def state(ws, pk) -> int:
    await asyncio.sleep(0)
    return pk


@room.on("now")
async def now(ws, n: int = 0) -> int:
    return n


@room.on("soon")
async def soon(ws, room: Room, n: int = 0) -> int:
    for _ in range(abs(n) % 5):
        await asyncio.sleep(0)
    await room.abroadcast(n, "told")
    return n


@room.on("beside", concurrent=True)
async def beside(ws, n: int = 0) -> int:
    await asyncio.sleep(0)
    return n


@room.on("items")
async def items(ws, n: int = 0):
    for number in range(abs(n) % 4):
        yield number
        await asyncio.sleep(0)


@room.on("out")
async def out(ws, room: Room) -> None:
    await ws.leave(room)


ids = st.integers(0, 6) | st.sampled_from(["a", "b"])
rooms = st.sampled_from(["room/1", "room/2", "room/3", "nowhere"])
numbers = st.integers(-5, 5)
events = st.sampled_from(["now", "soon", "beside", "items", "out", "none"])
good = st.one_of(
    st.fixed_dictionaries({"join": rooms, "id": ids}),
    st.fixed_dictionaries({"leave": rooms, "id": ids}),
    st.fixed_dictionaries({"room": rooms, "event": events, "data": st.fixed_dictionaries({"n": numbers}), "id": ids}),
    st.fixed_dictionaries({"room": rooms, "event": events}),
    st.fixed_dictionaries({"cancel": ids}),
    st.fixed_dictionaries({"answer": numbers, "ok": numbers}),
    st.fixed_dictionaries({"hello": st.fixed_dictionaries({"client": st.sampled_from(["c1", "c2"])}), "id": ids}),
)
values = (
    st.none()
    | st.booleans()
    | numbers
    | st.text(max_size=3)
    | st.floats(allow_nan=False, allow_infinity=False)  # which JSON has not, and so no id that could be read
    | st.just({})
    | st.just([])
)
bad = st.dictionaries(
    st.sampled_from(["id", "room", "event", "data", "join", "leave", "hello", "cancel", "answer", "error"]), values
)
raw = st.text(max_size=5) | st.binary(max_size=5)
steps = st.lists(st.one_of(good, good, good, bad, raw, st.just("pause")), max_size=40)


def due(said):
    """The id under which an answer is due; None for none."""
    if not isinstance(said, dict):
        return None
    id_ = said.get("id")
    if isinstance(id_, bool) or not isinstance(id_, (int, str)):
        return None
    is_event = said.get("event") is not None
    is_one_way = not is_event and "join" not in said and "leave" not in said and ({"cancel", "answer"} & set(said))
    return id_ if not is_one_way or is_wrong(said) else None  # which is answered only if it is wrong


def is_wrong(said):
    """Whether a cancellation or an answer is none."""
    if "cancel" in said:
        return type(said["cancel"]) not in (int, str)
    return type(said["answer"]) is not int or type(said.get("error")) not in (type(None), dict)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps)
def test_every_id_is_answered_exactly_once_whatever_is_said(caplog, steps):
    caplog.clear()
    asyncio.run(play(steps))
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def play(steps):
    registry.apps.append(app)
    registry.changed()
    try:
        async with client() as one:
            wanted = Counter()
            for said in steps:
                if said == "pause":
                    await turns(5)
                    continue
                await one.ws.send(json.dumps(said) if isinstance(said, dict) else said)
                if (id_ := due(said)) is not None:
                    wanted[id_] += 1
            got = Counter()
            await one.say(leave="room/9", id="the end")
            while sum(got.values()) < sum(wanted.values()) or not got["the end"]:
                told = await one.next()
                if told.get("id") is not None and "item" not in told:
                    got[told["id"]] += 1
                    if told["id"] == "the end":
                        wanted["the end"] = 1
            assert got == wanted
            while not await one.ws.receive_nothing(0):  # but for what was broadcast by an event that has no answer
                assert (await one.next()).get("id") is None
    finally:
        registry.apps.remove(app)
        registry.changed()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
