"""Listeners: server code that hears a room."""

import asyncio

import pytest

from django_fastws import Room, WebSocketStateError, metrics
from django_fastws.rooms import current_hub
from tests.rooms.members import settle, until


async def heard(events, count):
    return [(event.event, event.data) for event in [await asyncio.wait_for(anext(events), 30) for _ in range(count)]]


async def test_a_listener_hears_what_is_broadcast_in_order():
    room = Room("tickets/5")
    async with room.listen() as events:
        await room.abroadcast({"text": "hi"}, "said")
        await room.abroadcast("plain")
        await Room("tickets/6").abroadcast("of another room")
        await room.abroadcast(None, "gone")
        assert await heard(events, 3) == [("said", {"text": "hi"}), ("message", "plain"), ("gone", None)]


async def test_what_was_broadcast_before_and_after_is_not_heard():
    room = Room("tickets/5")
    await room.abroadcast("before")
    async with room.listen() as events:
        await room.abroadcast("within")
        assert await heard(events, 1) == [("message", "within")]
    await room.abroadcast("after")
    assert [event async for event in events] == []
    await current_hub().settled()
    assert not current_hub().has(events, "tickets/5")


async def test_a_listener_that_waits_is_woken():
    room = Room("tickets/5")
    async with room.listen() as events:
        waiting = asyncio.ensure_future(anext(events))
        await settle()
        await room.abroadcast(1)
        assert (await asyncio.wait_for(waiting, 30)).data == 1


async def test_a_cancelled_wait_loses_no_event():
    room = Room("tickets/5")
    async with room.listen() as events:
        waiting = asyncio.ensure_future(anext(events))
        await settle()
        await room.abroadcast(1)
        await settle()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await room.abroadcast(2)
        got = [] if waiting.cancelled() else [waiting.result().data]
        while got[-1:] != [2]:
            got.append((await asyncio.wait_for(anext(events), 30)).data)
        assert got == [1, 2]


async def test_the_oldest_is_dropped_and_counted_when_too_much_waits():
    room, before = Room("tickets/5"), metrics.policy_drops.values.get(("listener",), 0)
    async with room.listen(limit=3) as events:
        for number in range(10):
            await room.abroadcast(number)
        await until(lambda: events.dropped == 7)
        assert [data for _, data in await heard(events, 3)] == [7, 8, 9]
    assert metrics.policy_drops.values[("listener",)] == before + 7


async def test_the_bytes_that_wait_are_bounded_too(settings):
    settings.FASTWS_SEND_BUFFER_BYTES = 1000
    room = Room("tickets/5")
    async with room.listen() as events:
        for number in range(10):
            await room.abroadcast(f"{number}" + "x" * 400)
        await room.abroadcast("y" * 5000)  # a single one always fits
        await until(lambda: events.dropped == 10)
        assert [data for _, data in await heard(events, 1)] == ["y" * 5000]


async def test_cancelling_the_task_leaves_the_room():
    room, entered = Room("tickets/5"), asyncio.Event()
    listeners = []

    async def listen():
        async with room.listen() as events:
            listeners.append(events)
            entered.set()
            async for _ in events:
                pass

    task = asyncio.ensure_future(listen())
    await asyncio.wait_for(entered.wait(), 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert not current_hub().has(listeners[0], "tickets/5")


async def test_two_listeners_do_not_share_what_they_hear():
    room = Room("tickets/5")
    async with room.listen() as one, room.listen() as other:
        await room.abroadcast(1)
        assert await heard(one, 1) == await heard(other, 1) == [("message", 1)]


async def test_calls_in_the_wrong_state_say_what_to_do():
    events = Room("tickets/5").listen()
    with pytest.raises(WebSocketStateError, match="async with"):
        await anext(events)
    async with events:
        waiting = asyncio.ensure_future(anext(events))
        await settle()
        with pytest.raises(WebSocketStateError, match="another task"):
            await anext(events)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    with pytest.raises(WebSocketStateError, match="again"):
        async with events:
            pass


@pytest.mark.parametrize(("limit", "error"), [(0, ValueError), (-1, ValueError), ("5", TypeError), (True, TypeError)])
def test_a_limit_that_cannot_be_is_an_error(limit, error):
    with pytest.raises(error, match="limit"):
        Room("tickets/5").listen(limit=limit)
