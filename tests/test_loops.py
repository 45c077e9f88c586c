"""One object for each event loop."""

import asyncio
import gc
import weakref

import pytest

from django_fastws.loops import PerLoop, running_loop


class Thing:
    """An object of a loop."""


async def get(things):
    return things.get()


def test_each_loop_has_its_own():
    things = PerLoop(Thing)

    async def twice():
        return things.get() is things.get(), things.get()

    (is_one, first), (_, second) = asyncio.run(twice()), asyncio.run(twice())
    assert is_one
    assert first is not second


def test_all_are_listed_outside_of_their_loops_as_well():
    things = PerLoop(Thing)
    loops = [asyncio.new_event_loop() for _ in range(2)]
    try:
        made = [loop.run_until_complete(get(things)) for loop in loops]
        assert things.items() == list(zip(loops, made, strict=True))
    finally:
        for loop in loops:
            loop.close()


def test_an_object_goes_with_its_loop():
    things = PerLoop(Thing)
    gone = weakref.ref(asyncio.run(get(things)))
    gc.collect()
    assert gone() is None
    assert things.items() == []


def test_each_loop_has_its_own_whichever_has_asked_last():
    things = PerLoop(Thing)
    loops = [asyncio.new_event_loop() for _ in range(2)]
    try:
        first, second = [loop.run_until_complete(get(things)) for loop in loops]
        assert first is not second
        again = [loop.run_until_complete(get(things)) for loop in (*loops, *loops)]
        assert again == [first, second, first, second]
    finally:
        for loop in loops:
            loop.close()


def test_without_a_running_loop_there_is_none():
    assert running_loop() is None
    with pytest.raises(RuntimeError):
        PerLoop(Thing).get()


async def test_the_running_loop_is_found():
    assert running_loop() is asyncio.get_running_loop()
