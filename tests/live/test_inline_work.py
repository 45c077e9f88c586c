"""Inline work: in the task that awaits it, in a context of its own; the first wait is told."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from django_fastws.live.inline_work import InlineWork

variable: ContextVar[str] = ContextVar("variable", default="outside")


async def test_what_waits_for_nothing_tells_nothing():
    told, tasks = [], []

    async def work():
        tasks.append(asyncio.current_task())
        variable.set("inside")

    await InlineWork(work(), lambda: told.append(1))
    assert told == []
    assert tasks == [asyncio.current_task()]
    assert variable.get() == "outside"


async def test_the_first_wait_is_told_once_and_the_context_is_kept_over_it():
    told, seen = [], []

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

    await InlineWork(work(), lambda: told.append(1))
    assert told == [1]
    assert seen == ["inside"] * 4


async def test_an_error_and_a_cancellation_pass_through():
    async def fail():
        await asyncio.sleep(0)
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await InlineWork(fail(), lambda: None)

    caught = []

    async def wait():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            caught.append(variable.get())
            raise

    async def awaiting():
        await InlineWork(wait(), lambda: None)

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
        await InlineWork(work(), lambda: None)

    running = awaiting()
    running.send(None)
    running.close()
    assert ended == [1]
