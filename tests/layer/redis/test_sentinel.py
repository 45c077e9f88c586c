"""Histories and rooms over Redis Sentinel, with failovers as they are: planned, and after a crash."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws import FastWS, History, Position, Room
from django_fastws.layer import get_broker
from django_fastws.layer.redis import blocking, shard
from tests.contract.implementations import OverSentinel, Sentinel
from tests.contract.subscriber import keep_on
from tests.layer.inside import is_lost, is_reachable
from tests.live.client import client as live_client
from tests.site.client import LIMIT, until
from tests.support.processes import HOST, RedisServer

pytestmark = [pytest.mark.redis, pytest.mark.faults, pytest.mark.slow]

HISTORY = History(messages=1000)


@pytest.fixture
async def sentinel(settings: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OverSentinel]:
    monkeypatch.setattr(shard, "SETTLING_SECONDS", 0.05)
    monkeypatch.setattr(blocking, "SETTLING_SECONDS", 0.05)
    with OverSentinel() as made:
        settings.CHANNEL_LAYERS = made.layers("site")
        yield made
        get_channel_layer().blocking.close()
        await get_channel_layer().flush()


@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_in_a_planned_failover_publishers_go_over_to_the_new_master(sentinel, routes, in_thread):
    """The old one is there for a while, and takes events, which are lost with it; no position is given twice."""
    FastWS().room("desk", history=HISTORY)
    room, found = Room("desk"), dict[Position, int]()

    async def store(number: int) -> Position:
        position = await (asyncio.to_thread(room.broadcast, number) if in_thread else room.abroadcast(number))
        assert position is not None
        assert position not in found
        found[position] = number
        return position

    first = await store(0)
    await asyncio.to_thread(sentinel.wait_for_copies)
    await asyncio.to_thread(sentinel.bring_back)
    number = 1
    async with asyncio.timeout(LIMIT):
        while (await keep_on(partial(store, number))).epoch == first.epoch:
            number += 1
            if number == 5:  # sooner than its Sentinel makes it one, and ends its connections
                with contextlib.closing(redis.Redis(HOST, sentinel.servers[0].port)) as client:
                    client.execute_command("REPLICAOF", HOST, sentinel.servers[1].port)
    stored = await room.ahistory()
    assert stored[0].data == 0
    known = [one for one in stored if one.position in found]
    assert [one.data for one in known] == [found[one.position] for one in known]
    assert known[-1].data == number >= 5


async def test_members_go_on_over_a_failover_and_are_told_what_may_be_missing(sentinel, routes):
    room = FastWS().room("desk", history=HISTORY)

    @room.state
    async def state(ws: Any) -> str:
        return "state"

    desk = Room("desk")
    async with live_client() as client:
        joined = await client.join("desk")
        positions = [await desk.abroadcast(number) for number in range(3)]
        assert [(await client.next())["at"] for _ in range(3)] == [str(position) for position in positions]
        await asyncio.to_thread(sentinel.wait_for_copies)
        sentinel.endanger()
        lost = await desk.abroadcast("lost")
        assert (await client.next())["at"] == str(lost)
        await asyncio.to_thread(sentinel.cut)
        await until(is_lost, "the loss")
        await asyncio.to_thread(sentinel.bring_back)
        await until(is_reachable, "the return")
        frame = await client.next()
        assert (frame["room"], frame["state"]) == ("desk", "state")
        at = Position.parse(frame["at"])
        assert at is not None
        assert at.epoch != joined["at"].partition(":")[0]
        position = await desk.abroadcast("after")
        frame = await client.next()
        assert (frame["data"], frame["at"]) == ("after", str(position))
        # Who was not connected meanwhile is told as well, from whichever position.
        for since in str(lost), str(positions[1]):
            async with live_client() as other:
                assert not (await other.join("desk", since=since))["recovered"]
        async with live_client() as other:
            assert (await other.join("desk", since=str(at)))["recovered"]


async def test_a_sentinel_finds_the_master_gone_by_itself(settings):
    """Nobody tells it to fail over."""
    with (
        RedisServer() as master,
        RedisServer("--replicaof", HOST, str(master.port)) as replica,
        Sentinel(master.port, 300) as sentinel,
    ):
        sentinel.wait_for_replica()
        config = {"hosts": [sentinel.host], "prefix": "site"}
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}
        broker = get_broker()
        await broker.check()
        master.stop(signal.SIGKILL)
        settings.FASTWS_PUBLISH_RETRY_SECONDS = LIMIT
        await broker.check(LIMIT)
        with contextlib.closing(redis.Redis(HOST, replica.port)) as client:
            assert client.info("replication")["role"] == "master"
        await get_channel_layer().flush()
