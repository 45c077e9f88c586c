"""Reading who is present in a room; and what becomes of processes that are found dead by that."""

from __future__ import annotations

import asyncio
import threading

import pytest

from django_fastws import Room
from django_fastws._core.presence_reports import PresenceConnection, PresenceReport
from django_fastws.layer import get_broker
from django_fastws.layer.memory_presence import MemoryPresence
from django_fastws.rooms import presence_reading
from django_fastws.signals import presence_left
from tests.support.brokers import fake_broker


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def store(monkeypatch, now):
    store = MemoryPresence(lambda room, diff: None, lambda: now[0])
    monkeypatch.setattr(presence_reading, "get_broker", fake_broker(presence=store))
    return store


@pytest.fixture
def left():
    left = []

    def receiver(sender, room, key, meta, **more):
        left.append((room, key, meta))

    presence_left.connect(receiver)
    yield left
    presence_left.disconnect(receiver)


async def die(store, now):
    """Two processes have reported somebody, and the first has died."""
    for process, key, meta in (("p", "b", b'"card"'), ("q", "a", b"null")):
        await store.abeat(process, 30)
        report = PresenceReport(key, (PresenceConnection(f"c-{key}", 0, meta),), is_user=False)
        now[0] += 1
        await store.areport("r", process, [report])
    for _ in range(7):
        now[0] += 5
        await store.abeat("q", 30)


def in_a_thread(function):
    """What a function returns in a thread without an event loop."""
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


async def test_who_is_present_is_in_the_order_in_which_they_came(store, now):
    await store.abeat("q", 30)
    for key in "cab":
        now[0] += 1
        report = PresenceReport(key, (PresenceConnection(key, 0, b'{"x":1}'),), is_user=False)
        await store.areport("r", "q", [report])
    found = await Room("r").apresent()
    assert [(one.key, one.meta, one.connections, one.since.timestamp()) for one in found] == [
        ("c", {"x": 1}, 1, 1001.0),
        ("a", {"x": 1}, 1, 1002.0),
        ("b", {"x": 1}, 1, 1003.0),
    ]
    assert in_a_thread(Room("r").present) == found
    assert (await Room("r").acount(), in_a_thread(Room("r").count)) == (3, 3)
    assert (await Room("empty").apresent(), await Room("empty").acount()) == ([], 0)


@pytest.mark.parametrize("read", ["apresent", "acount"])
async def test_who_reads_buries_the_dead_and_tells_of_it_once(store, now, left, read):
    await die(store, now)
    found = await getattr(Room("r"), read)()
    assert found == 1 or [one.key for one in found] == ["a"]
    await asyncio.sleep(0)
    await getattr(Room("r"), read)()
    async with asyncio.timeout(10):
        while not left:  # noqa: ASYNC110 (of a receiver, which tells nobody)
            await asyncio.sleep(0.001)
    assert left == [("r", "b", "card")]


@pytest.mark.parametrize("read", ["present", "count"])
async def test_the_same_in_a_thread(store, now, left, read):
    await die(store, now)
    found = in_a_thread(getattr(Room("r"), read))
    assert found == 1 or [one.key for one in found] == ["a"]
    assert left == [("r", "b", "card")]


async def test_where_no_process_lives_the_dead_are_not_shown_though_nobody_buries_them(store, now, left):
    await die(store, now)
    now[0] += 100
    room = Room("r")
    assert (await room.apresent(), await room.acount()) == ([], 0)
    assert (in_a_thread(room.present), in_a_thread(room.count)) == ([], 0)
    assert left == []
    await store.abeat("s", 30)  # they may only have been cut off
    assert [one.key for one in await room.apresent()] == ["b", "a"]


def test_the_memory_of_a_process_has_presence():
    assert isinstance(get_broker().presence, MemoryPresence)
