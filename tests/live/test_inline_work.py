"""Inline work: in the task that begins it, in a context of its own; the first wait is told."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from django_fastws.live.inline_work import begin

variable: ContextVar[str] = ContextVar("variable", default="outside")


async def test_what_waits_for_nothing_has_ended_at_once():
    tasks = []

    async def work():
        tasks.append(asyncio.current_task())
        variable.set("inside")

    assert begin(work()) is None
    assert tasks == [asyncio.current_task()]
    assert variable.get() == "outside"


async def test_what_waits_is_awaited_in_the_same_task_and_its_context_is_kept():
    seen, tasks = [], []

    async def work():
        variable.set("inside")
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append(variable.get())
        async with asyncio.TaskGroup() as group:
            task = group.create_task(asyncio.sleep(0, variable.get()))
        seen.append(task.result())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(10)
        tasks.append(asyncio.current_task())

    suspended = begin(work())
    assert suspended is not None
    assert seen == []
    await suspended
    assert seen == ["inside"] * 4
    assert tasks == [asyncio.current_task()]
    assert variable.get() == "outside"


async def test_results_of_what_is_waited_for_arrive():
    seen = []

    async def work():
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, 5)
        seen.append(await future)

    await begin(work())
    assert seen == [5]


async def test_an_error_and_a_cancellation_pass_through():
    async def fail(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        begin(fail(0))
    suspended = begin(fail(1))
    with pytest.raises(ValueError, match="on purpose"):
        await suspended

    caught = []

    async def wait():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            caught.append(variable.get())
            raise

    async def awaiting():
        await begin(wait())

    task = asyncio.ensure_future(awaiting())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caught == ["outside"]


def test_work_that_is_thrown_away_is_closed():
    ended = []

    async def work():
        try:
            await asyncio.sleep(0)
        finally:
            ended.append(1)

    async def awaiting():
        await begin(work())

    running = awaiting()
    running.send(None)
    running.close()
    assert ended == [1]
