"""What was received and not taken."""

import asyncio

import pytest

from django_fastws.testing.mailbox import Mailbox


def anything(item):
    return True


async def test_each_takes_the_first_that_it_wants_and_the_others_stay():
    box = Mailbox()
    odd, large = (asyncio.ensure_future(box.take(wanted, 5)) for wanted in (lambda n: n % 2, lambda n: n > 5))
    for number in (2, 6, 3, 7):
        box.put(number)
    assert (await odd, await large) == (3, 6)
    assert list(box) == [2, 7]
    assert await box.take(anything, 0) == 2


async def test_one_item_is_for_one_of_those_who_wait():
    box = Mailbox()
    waiting = [asyncio.ensure_future(box.take(anything, 5)) for _ in range(2)]
    await asyncio.sleep(0)
    box.put(1)
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result() for task in done] == [1]
    box.put(2)
    assert [await task for task in pending] == [2]


async def test_what_does_not_come_in_time_raises():
    box = Mailbox()
    box.put(1)
    with pytest.raises(TimeoutError):
        await box.take(lambda item: item == 2, 0.01)
    assert list(box) == [1]


async def test_the_end_is_told_once_what_is_wanted_is_taken():
    box = Mailbox()
    waiting = asyncio.ensure_future(box.take(lambda item: item == 2, 5))
    box.put(1)
    box.end(lambda: KeyError("first"))
    box.end(lambda: KeyError("second"))
    with pytest.raises(KeyError, match="first"):
        await waiting
    assert await box.take(anything, 0) == 1
    assert box.is_ended
    with pytest.raises(KeyError, match="first"):
        await box.take(anything, 5)
    box.reopen()
    box.put(3)
    assert await box.take(anything, 5) == 3


async def test_silence_is_neither_an_item_nor_the_end():
    box = Mailbox()
    assert await box.is_silent(0.01)
    box.put(1)
    assert not await box.is_silent(0.01)
    await box.take(anything, 0)
    asyncio.get_running_loop().call_soon(box.end, KeyError)
    assert not await box.is_silent(5)
