"""Heartbeat of live sockets: a ping where nothing was said for so long, by one timer of the loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from django_fastws import Room
from django_fastws.live import frame_writer, heartbeat, session
from django_fastws.live.heartbeat import Heartbeat, current_heartbeat
from django_fastws.rooms import local_room
from tests.live.client import Gate, client, declare


class Session:
    """A session that is looked at again after a moment."""

    due = 0.0

    def __init__(self, is_over=False):
        self.beats = 0
        self.beaten = asyncio.Event()

    def beat(self):
        self.beats += 1
        self.beaten.set()
        return 0.02


class Clock:
    """The clock of what was said, which the test moves on."""

    def __init__(self):
        self.passed = 0.0

    def perf_counter(self):
        return time.perf_counter() + self.passed


@pytest.fixture
def clock(monkeypatch, settings):
    settings.FASTWS_LIVE_PING_SECONDS = 3600
    clock = Clock()
    for module in (session, frame_writer, local_room):
        monkeypatch.setattr(module, "time", clock)
    return clock


async def test_sessions_are_looked_at_again_and_again_until_they_are_over(settings):
    beats, one, two = Heartbeat(), Session(), Session()
    settings.FASTWS_LIVE_PING_SECONDS = 3600
    beats.add(one)
    assert len(beats) == 1
    beats.discard(one)
    beats.discard(one)
    beats.add(one)
    settings.FASTWS_LIVE_PING_SECONDS = 0.02
    beats.add(two)  # which is due before
    for _ in range(3):
        two.beaten.clear()
        await two.beaten.wait()
    beats.discard(two)
    before = two.beats
    await asyncio.sleep(0.03)
    assert (one.beats, two.beats, list(beats)) == (0, before, [one])
    beats.discard(one)


async def test_a_session_that_ends_while_it_is_looked_at_is_forgotten(settings):
    settings.FASTWS_LIVE_PING_SECONDS = 0.02
    beats, one = Heartbeat(), Session()
    beat = one.beat
    one.beat = lambda: beats.discard(one) or beat()
    beats.add(one)
    await one.beaten.wait()
    assert len(beats) == 0


async def test_many_sessions_are_looked_at_in_several_turns(monkeypatch, settings):
    settings.FASTWS_LIVE_PING_SECONDS = 0.02
    monkeypatch.setattr(heartbeat, "_AT_ONCE", 2)
    beats, sessions = Heartbeat(), [Session() for _ in range(7)]
    for one in sessions:
        beats.add(one)
    for one in sessions:
        await one.beaten.wait()
    for one in sessions:
        beats.discard(one)
    assert len(beats) == 0


async def test_a_socket_is_pinged_when_nothing_was_said_for_so_long_and_not_before(clock):
    declare()
    async with client() as one:
        (session,) = current_heartbeat()
        clock.passed += 3590
        assert 0 < session.beat() <= 10
        assert await one.silent()
        clock.passed += 10
        assert session.beat() == pytest.approx(3600)
        assert await one.next() == {"ping": 1}
        clock.passed += 3590
        await one.join("room/1")
        clock.passed += 3590
        assert 0 < session.beat() <= 10
        assert await one.silent()
    assert len(current_heartbeat()) == 0


@pytest.mark.parametrize("is_excluded", [False, True])
async def test_a_broadcast_is_something_that_is_said_to_those_who_get_it(clock, is_excluded):
    declare()
    async with client() as one:
        await one.ok(hello={"client": "c-1"})
        await one.join("room/1")
        (session,) = current_heartbeat()
        for _ in range(3):
            clock.passed += 3000
            await Room("room/1").abroadcast(1, exclude="c-1" if is_excluded else None)
            if not is_excluded:
                assert (await one.next())["data"] == 1
                clock.passed += 1000
                assert 2590 < session.beat() <= 2600
        clock.passed += 1000
        assert (session.beat() == pytest.approx(3600)) is is_excluded
        if is_excluded:
            assert await one.next() == {"ping": 1}
        else:
            assert await one.silent()


async def test_what_a_join_holds_back_is_not_said_yet(clock):
    room, gate = declare(), Gate()

    @room.state
    async def state(ws, pk: int):
        await gate.wait()

    async with client() as one:
        await one.say(join="room/1", id=1)
        await gate.came.wait()
        (session,) = current_heartbeat()
        clock.passed += 3600
        await Room("room/1").abroadcast(1)
        session.beat()
        assert await one.next() == {"ping": 1}
        gate.open()
        assert [("ok" in frame, frame.get("data")) for frame in [await one.next(), await one.next()]] == [
            (True, None),
            (False, 1),
        ]


async def test_pings_come_by_themselves(settings):
    settings.FASTWS_LIVE_PING_SECONDS = 0.02
    declare()
    async with client() as one:
        for _ in range(2):
            assert await one.next() == {"ping": 1}


async def test_who_is_spoken_to_all_the_time_is_not_pinged(settings):
    settings.FASTWS_LIVE_PING_SECONDS = 1.5
    declare()
    async with client() as one:
        await one.join("room/1")
        for n in range(9):  # more often than that, and for longer
            await asyncio.sleep(0.2)
            await Room("room/1").abroadcast(n)
            assert (await one.next()).get("data") == n
