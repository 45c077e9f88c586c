"""Whether awaiting had to wait."""

import asyncio

import pytest

from django_fastws._core.suspension import Suspension


async def at_once():
    return "result"


async def failing(turns):
    for _ in range(turns):
        await asyncio.sleep(0)
    raise ValueError("on purpose")


async def test_what_is_ready_has_not_waited():
    queue = asyncio.Queue()
    queue.put_nowait("result")
    for awaitable in (at_once(), queue.get()):
        suspension = Suspension(awaitable)
        assert await suspension == "result"
        assert not suspension.has_waited


@pytest.mark.parametrize("turns", [1, 3])
async def test_what_takes_turns_has_waited(turns):
    async def later():
        for _ in range(turns):
            await asyncio.sleep(0)
        return "result"

    suspension = Suspension(later())
    assert await suspension == "result"
    assert suspension.has_waited


async def test_a_future_is_waited_for():
    future = asyncio.get_running_loop().create_future()
    suspension = Suspension(future)
    asyncio.get_running_loop().call_soon(future.set_result, "result")
    assert await suspension == "result"
    assert suspension.has_waited


@pytest.mark.parametrize("turns", [0, 2])
async def test_errors_come_through(turns):
    suspension = Suspension(failing(turns))
    with pytest.raises(ValueError, match="on purpose"):
        await suspension
    assert suspension.has_waited is (turns > 0)


async def test_a_cancellation_reaches_what_is_awaited():
    ended = []

    async def waiting():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # it may take its time, too
            ended.append("cancelled")
            raise

    suspension = Suspension(waiting())

    async def outer():
        await suspension

    task = asyncio.get_running_loop().create_task(outer())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["cancelled"]
    assert suspension.has_waited
