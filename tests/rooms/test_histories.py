"""Histories of the rooms of an event loop: all of them are looked at, whatever has become of some."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import pytest

from django_fastws import Room
from django_fastws.layer import get_broker
from django_fastws.rooms import current_hub, declarations
from django_fastws.rooms.histories import Histories
from tests.rooms.test_resumption import Declared, joined, leave
from tests.site.client import LIMIT, token


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    monkeypatch.setattr(declarations, "find", lambda name: Declared() if name.startswith("kept") else None)


@contextlib.contextmanager
def nothing_arrives():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Histories, "receive", lambda self, envelope: True)
        yield


async def test_what_is_missed_during_a_check_is_found_by_another(settings, monkeypatch):
    settings.CHANNEL_LAYERS = {}
    room, hub = Room(f"kept-{token()}"), current_hub()
    member, _ = await joined(room)
    broker, came, go = type(get_broker()), asyncio.Event(), asyncio.Event()
    read = broker.aread_history

    async def slow(self, *args):
        page = await read(self, *args)
        came.set()
        await go.wait()
        return page

    with monkeypatch.context() as slowly:
        slowly.setattr(broker, "aread_history", slow)
        hub._histories.check_all()
        await came.wait()
        with nothing_arrives():
            await room.abroadcast("a")
        hub._histories.check_all()  # as after an outage
        go.set()
        await member.expect("a")
    await leave(room, member)


@pytest.mark.redis
@pytest.mark.slow
async def test_rooms_are_looked_at_though_the_server_of_others_is_away(settings, redis_layer, own_redis):
    redis_layer["CONFIG"]["hosts"].append(own_redis.url)
    settings.CHANNEL_LAYERS = {"default": redis_layer}
    rooms, members, hub = [Room(f"kept-{token()}") for _ in range(20)], [], current_hub()
    for room in rooms:
        members.append((await joined(room))[0])
    own_redis.stop(signal.SIGKILL)
    async with asyncio.timeout(LIMIT):
        while not (away := {room for room in rooms if not hub._subscriptions.is_subscribed(room._group)}):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    here = [(room, member) for room, member in zip(rooms, members, strict=True) if room not in away]
    assert here
    with nothing_arrives():
        for room, _ in here:
            await room.abroadcast("a")
        await asyncio.sleep(0.02)
    hub._histories.check_all()
    for _, member in here:
        await member.expect("a")
    for room, member in zip(rooms, members, strict=True):
        hub.drop(member, {room.name})
