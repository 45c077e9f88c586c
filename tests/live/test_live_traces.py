"""What is observed of live rooms besides calls: hooks that run by themselves, restored members, and asks."""

from __future__ import annotations

import asyncio

import pytest

from django_fastws import FastWS, History, LiveError
from django_fastws.testing import live
from tests.support.spans import tracing_into_memory


@pytest.fixture
def spans():
    with tracing_into_memory() as found:
        yield found


async def until(spans, name):
    async with asyncio.timeout(10):
        while not spans.named(name):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    return spans.one(name)


@pytest.fixture
def tickets():
    return FastWS().room("tickets/{pk:int}", history=History(10))


async def test_on_leave_is_a_unit_of_work_however_the_member_has_left(spans, tickets):
    @tickets.on_leave
    async def gone(ws, pk: int) -> None:
        if pk == 6:
            raise RuntimeError("no")

    async with live() as client:
        room = await client.join("tickets/5")
        await room.leave()
        left = await until(spans, "on_leave tickets/{pk:int}")
        spans.clear()
        await client.join("tickets/6")
    failed = await until(spans, "on_leave tickets/{pk:int}")
    assert (left.status, left.kind) == ("UNSET", "INTERNAL")
    assert (failed.status, failed.errors) == ("ERROR", ["RuntimeError"])
    assert len(failed.links) == 1


async def test_a_member_that_gets_the_state_again_is_a_unit_of_work(spans, tickets):
    states = []

    @tickets.state
    async def state(ws, pk: int) -> int:
        states.append(pk)
        return len(states)

    async with live() as client:
        room = await client.join("tickets/5")
        await tickets(pk=5).aclear()
        await room.next("state")
        restored = await until(spans, "restore tickets/{pk:int}")
    assert (restored.status, len(restored.links)) == ("UNSET", 1)


async def test_an_ask_is_a_client_span_within_the_call(spans, tickets):
    @tickets.on("check")
    async def check(ws, pk: int) -> int:
        answer: int = await ws.ask("sum", [1, 2])
        return answer

    async with live() as client:
        room = await client.join("tickets/5")

        async def answer(data):
            return sum(data)

        client.answer("sum", answer)
        assert await room.call("check") == 3
        asked, call = spans.one("ask sum"), spans.one("call tickets/{pk:int} check")
        assert (asked.kind, asked.parent, asked.status) == ("CLIENT", call.id, "UNSET")
        assert asked.attributes["rpc.method"] == "sum"


async def test_an_ask_that_is_not_answered_in_time_is_an_error(spans, tickets):
    @tickets.on("hurry")
    async def hurry(ws, pk: int) -> None:
        await ws.ask("sum", [1, 2], timeout=0.001)

    async def never(data):
        await asyncio.sleep(60)

    async with live() as client:
        client.answer("sum", never)
        room = await client.join("tickets/5")
        with pytest.raises(LiveError, match="did not answer"):
            await room.call("hurry")
    asked = spans.one("ask sum")
    assert (asked.status, asked.attributes["error.type"]) == ("ERROR", "timeout")
    assert spans.one("call tickets/{pk:int} hurry").status == "ERROR"


async def test_a_call_that_is_cut_off_with_its_connection_ends(spans, tickets):
    began = asyncio.Event()

    @tickets.on("wait")
    async def wait(ws, pk: int) -> None:
        began.set()
        await asyncio.sleep(60)

    async with live() as client:
        room = await client.join("tickets/5")
        calling = asyncio.ensure_future(room.call("wait"))
        await began.wait()
        calling.cancel()
    cut = await until(spans, "call tickets/{pk:int} wait")
    assert (cut.status, cut.attributes["error.type"]) == ("UNSET", "cancelled")
