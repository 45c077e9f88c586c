"""The inbox hands on all that was put into it, in order, whoever is cancelled; it says when it is full."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from django_fastws.transports import Inbox
from tests.transports.fakes import start, turns

DISCONNECT = {"type": "websocket.disconnect", "code": 1000}


def inbox_of(messages: int = 4, size: int = 100) -> tuple[Inbox, list[Any]]:
    room: list[Any] = []
    inbox = Inbox(messages, size, lambda: room.append(len(inbox.waiting)))
    return inbox, room


async def test_events_are_made_of_messages_for_who_asks_for_them():
    inbox, _ = inbox_of()
    inbox.put_nowait({"type": "websocket.connect"})
    inbox.add("text", 4)
    inbox.add(b"data", 4)
    inbox.put_nowait({"type": "websocket.receive", "text": "event"})
    inbox.put_nowait(DISCONNECT)
    assert [await inbox.get() for _ in range(5)] == [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "text"},
        {"type": "websocket.receive", "bytes": b"data"},
        {"type": "websocket.receive", "text": "event"},
        DISCONNECT,
    ]
    assert (inbox.empty(), inbox.received) == (True, 5)


async def test_the_next_event_is_seen_behind_the_last_message():
    inbox, _ = inbox_of()
    assert (inbox.next_event(), inbox.events()) == (None, [])
    inbox.add("text", 4)
    inbox.put_nowait(DISCONNECT)
    assert (inbox.next_event(), inbox.events()) == (None, [DISCONNECT])
    assert inbox.take() == "text"
    assert inbox.next_event() == DISCONNECT


async def test_who_waits_is_woken_and_whoever_is_cancelled_takes_nothing_along():
    inbox, _ = inbox_of()
    first, second, third = (start(inbox.get()) for _ in range(3))
    await turns()
    first.cancel()
    await turns()
    inbox.add("a", 1)
    second.cancel()  # woken, and did not run yet
    await turns()
    assert third.result()["text"] == "a"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(inbox.get(), 0.001)
    inbox.add("b", 1)
    assert (await inbox.get())["text"] == "b"


async def test_all_who_wait_get_one_each():
    inbox, _ = inbox_of()
    tasks = [start(inbox.get()) for _ in range(3)]
    await turns()
    for text in "abc":
        inbox.add(text, 1)
    await turns()
    assert sorted(task.result()["text"] for task in tasks) == ["a", "b", "c"]


async def test_many_messages_wake_once_they_are_counted():
    inbox, _ = inbox_of(size=2)
    task = start(inbox.get())
    await turns()
    inbox.append("a")
    inbox.append("b")
    inbox.added(2)
    await turns()
    assert task.result()["text"] == "a"
    assert (inbox.take(), inbox.is_full) == ("b", False)


@pytest.mark.parametrize("text", ["x" * 25, "ö" * 12 + "x", "€" * 8 + "x"])
def test_it_is_full_of_bytes_until_half_of_them_are_received(text):
    inbox, room = inbox_of(messages=1000)
    for number in range(4):
        assert (inbox.is_full, inbox.room) == (False, (1000 - number, 100 - 25 * number))
        inbox.add(text, 25)
    assert (inbox.is_full, inbox.room) == (True, (996, 1))
    assert inbox.take() == text
    assert (inbox.is_full, room) == (True, [])
    assert inbox.take() == text
    assert (inbox.is_full, room) == (False, [2])


def test_it_is_full_of_messages_until_half_of_them_are_received():
    inbox, room = inbox_of()
    for _ in range(5):
        inbox.put_nowait({"type": "websocket.receive", "bytes": b""})
    assert (inbox.is_full, inbox.room[0]) == (True, 1)
    for left in (4, 3):
        inbox.take()
        assert (len(inbox.waiting), inbox.is_full, room) == (left, True, [])
    inbox.take()
    assert (inbox.is_full, room) == (False, [2])


def test_it_has_no_dictionary_of_its_own():
    assert not hasattr(inbox_of()[0], "__dict__")
