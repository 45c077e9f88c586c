"""Heartbeat of live sockets: a ping where nothing was said, by one timer of the loop."""

from __future__ import annotations

import asyncio

import pytest

from django_fastws.live import heartbeat
from django_fastws.live.heartbeat import Heartbeat, current_heartbeat
from tests.live.client import client, declare


class Session:
    def __init__(self):
        self.beats = 0
        self.beaten = asyncio.Event()

    def beat(self):
        self.beats += 1
        self.beaten.set()


@pytest.fixture(autouse=True)
def often(settings):
    settings.FASTWS_LIVE_PING_SECONDS = 0.02


async def test_sessions_are_looked_at_twice_between_two_pings_until_they_are_over(settings):
    beats, one, two = Heartbeat(), Session(), Session()
    settings.FASTWS_LIVE_PING_SECONDS = 3600
    beats.add(one)
    assert len(beats) == 1
    beats.discard(one)
    beats.discard(one)
    settings.FASTWS_LIVE_PING_SECONDS = 0.02
    beats.add(two)
    for _ in range(3):
        two.beaten.clear()
        await two.beaten.wait()
    beats.discard(two)
    before = two.beats
    await asyncio.sleep(0.03)
    assert (one.beats, two.beats) == (0, before)


async def test_many_sessions_are_looked_at_in_several_turns(monkeypatch):
    monkeypatch.setattr(heartbeat, "_AT_ONCE", 2)
    beats, sessions = Heartbeat(), [Session() for _ in range(7)]
    for session in sessions:
        beats.add(session)
    for session in sessions:
        await session.beaten.wait()
    for session in sessions:
        beats.discard(session)
    assert len(beats) == 0


async def test_a_silent_socket_is_pinged_and_one_that_is_answered_is_not(settings):
    declare()
    settings.FASTWS_LIVE_PING_SECONDS = 3600
    async with client() as one:
        (session,) = current_heartbeat()
        session.beat()
        assert await one.next() == {"ping": 1}
        session.beat()  # half of the time after the ping
        assert await one.silent()
        session.beat()
        assert await one.next() == {"ping": 1}
        session.beat()
        await one.join("room/1")
        session.beat()
        assert await one.silent()
    assert len(current_heartbeat()) == 0


async def test_pings_come_by_themselves(settings):
    declare()
    async with client() as one:
        for _ in range(2):
            assert await one.next() == {"ping": 1}
