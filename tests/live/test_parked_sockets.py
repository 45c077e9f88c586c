"""Sockets that are looked after until they are idle: a second later, in turns, and as long as they ask for it."""

from __future__ import annotations

import asyncio

import pytest

from django_fastws.live import parked_sockets
from django_fastws.live.parked_sockets import ParkedSockets


class Socket:
    def __init__(self, looks=1):
        self.looks = looks

    def look_after(self):
        self.looks -= 1
        return self.looks > 0


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(parked_sockets, "_SECONDS", 0.001)
    monkeypatch.setattr(parked_sockets, "_AT_ONCE", 2)


async def all_looked_after(parked):
    while parked:  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def test_each_is_looked_after_until_it_is_idle():
    parked, sockets = ParkedSockets(), [Socket(looks) for looks in (1, 3, 2, 1, 1, 2, 5)]
    for socket in (*sockets, sockets[0]):
        parked.add(socket)
    assert len(parked) == 7
    await all_looked_after(parked)
    assert [socket.looks for socket in sockets] == [0] * 7


async def test_who_comes_later_is_looked_after_too():
    parked, one, two = ParkedSockets(), Socket(3), Socket()
    parked.add(one)
    while one.looks == 3:  # noqa: ASYNC110
        await asyncio.sleep(0)
    parked.add(two)
    await all_looked_after(parked)
    parked.add(two)
    assert len(parked) == 1
    await all_looked_after(parked)
    assert (one.looks, two.looks) == (0, -1)
