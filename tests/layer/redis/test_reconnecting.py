"""Connections that are made again: how silence is noticed, and what is only slow."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from django_fastws import Room
from django_fastws.layer.redis import blocking, blocking_connection
from django_fastws.layer.redis.publisher import RedisPublisher
from django_fastws.layer.redis.reconnecting import ReconnectingConnection
from django_fastws.layer.redis.shard import SETTLING_SECONDS
from tests.layer.inside import Inside, texts
from tests.site.client import until
from tests.support.processes import ROOT
from tests.support.proxy import Proxy

pytestmark = pytest.mark.redis


def test_the_numbers_of_the_reference():
    text = " ".join((ROOT / "docs" / "reference" / "layer.md").read_text("utf-8").split())
    assert ReconnectingConnection._ATTEMPT_SECONDS == blocking_connection._ATTEMPT_SECONDS == 3
    assert "and 3 for everything before the first command" in text
    assert "each for up to 3 seconds" in text
    assert ReconnectingConnection._LONGEST_PAUSE == blocking._LONGEST_PAUSE == 0.5
    assert "pauses of up to half a second" in text
    assert (
        ReconnectingConnection._HEARTBEAT_SECONDS * (ReconnectingConnection._TIMEOUT_HEARTBEATS + 1)
        == blocking_connection._REPLY_TIMEOUT_SECONDS
        == 2
    )
    assert "after about two seconds without an answer" in text
    assert RedisPublisher._LEAST_BYTES_PER_SECOND == blocking_connection._LEAST_BYTES_PER_SECOND == 64 * 1024
    assert "a second more for each 64 kB" in text
    assert SETTLING_SECONDS == 0.75
    assert "waits for three quarters of a second more" in text
    assert blocking.BlockingPublisher._MOST_IDLE == 16
    assert "up to 16 are kept" in text


@pytest.mark.faults
async def test_an_idle_process_keeps_asking_and_is_answered(inside, own_redis, quick, caplog, monkeypatch):
    monkeypatch.setattr(ReconnectingConnection, "_TIMEOUT_HEARTBEATS", 20)  # Redis may have to wait for a processor
    await inside.member("r")
    with redis.Redis.from_url(own_redis.url) as client:

        async def has_been_asked() -> bool:
            return client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"] > 20

        await until(has_been_asked, "the questions, for twice as long as a silence may last")
    assert not caplog.records


@pytest.mark.faults
async def test_a_loop_that_is_held_up_has_lost_nothing(inside, quick, caplog):
    ada = await inside.member("r")
    for _ in range(3):
        sent = asyncio.ensure_future(Room("r").abroadcast("hello"))
        await asyncio.sleep(0)
        time.sleep(0.5)  # five times what a silent Redis is allowed
        await sent
        assert await ada.receive_text() == "hello"
    assert not caplog.records


@pytest.mark.faults
async def test_a_way_of_a_second_is_only_slow(settings, own_redis, caplog):
    with Proxy(own_redis.port) as proxy:
        proxy.delay = 0.5
        inside = Inside(settings, proxy.url)
        ada = await inside.member("r")
        assert ada
        await asyncio.gather(Room("r").abroadcast("x"), asyncio.to_thread(Room("r").broadcast, "x"))
        assert await texts(ada, 2) == ["x", "x"]
        proxy.restore()
        await inside.close()
    assert not caplog.records
