"""Work in slices: the loop has its turn in between."""

import asyncio
import time

from django_fastws.console.slicing import one_at_a_time, sliced


async def test_others_have_their_turn_while_something_takes_long():
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    async for _ in sliced(range(200)):
        time.sleep(0.0005)
    counting.cancel()
    assert turns >= 10


async def test_what_is_quick_is_done_in_one_turn():
    assert [item async for item in sliced("abc")] == ["a", "b", "c"]


async def test_one_begins_when_the_other_has_ended():
    at_once, most = 0, 0

    async def work():
        nonlocal at_once, most
        async with one_at_a_time():
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1

    await asyncio.gather(*(work() for _ in range(5)))
    assert most == 1
