"""Presence in memory: what it forgets, and what it shares with nobody; the rest is in test_presence_store.py."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from django_fastws._core.presence_reports import PresenceConnection, PresenceReport
from django_fastws.layer.local import LocalBroker
from django_fastws.layer.memory_presence import MemoryPresence
from tests.site.client import token


class Now:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds


def report(key: str = "ada", *ids: str) -> list[PresenceReport]:
    return [PresenceReport(key, tuple(PresenceConnection(one, 0, b"{}") for one in ids), True)]


async def test_an_empty_room_is_forgotten_and_goes_on_with_a_greater_number():
    now, told = Now(), list[Any]()
    store = MemoryPresence(lambda room, diff: told.append(diff), now)
    await store.abeat("a", 10**6)
    await store.areport("one", "a", report("ada", "1"))
    await store.areport("one", "a", report("ada"))
    assert store.read("one").v == told[-1].v
    now.seconds += 3601
    for number in range(5):
        await store.areport(f"room {number}", "a", report("ada", "1"))
    assert store.read("one") == (0, 0, {}, (), [])
    now.seconds = 1_700_000_000.0  # whatever the clock does
    await store.areport("one", "a", report("ada", "1"))
    assert told[-1].v > max(diff.v for diff in told[:-1])


async def test_users_who_were_not_seen_for_long_are_forgotten():
    now = Now()
    store = MemoryPresence(lambda room, diff: None, now)
    await store.areport_users("a", {f"u{number}": 0 for number in range(10)})
    now.seconds += 91 * 86_400
    for number in range(10):
        await store.areport_users("a", {f"v{number}": 0})
    assert len(store._users) < 12


async def test_what_is_forgotten_for_tests():
    broker = LocalBroker()
    await broker.presence.abeat("a", 30)
    await broker.presence.areport("one", "a", report("ada", "1"))
    await broker.presence.areport_users("a", {"ada": None})
    broker.forget_histories()
    assert broker.presence.read("one").keys == {}
    assert broker.presence.online(["ada"]) == set()
    assert not (await broker.presence.abeat("a", 30)).was_known


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
async def test_a_forked_child_begins_anew_also_where_a_thread_held_the_lock():
    store = MemoryPresence(lambda room, diff: None)
    await store.abeat("a", 30)
    room = token()
    await store.areport(room, "a", report("ada", "1"))
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with store._lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    pid = os.fork()
    if not pid:
        os._exit(len(store.read(room).keys))
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert set(store.read(room).keys) == {"ada"}
