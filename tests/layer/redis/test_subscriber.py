"""Subscribers of an event loop: batched commands, confirmations, and subscriptions that are made again."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws import Room
from django_fastws._core.groups import group_name
from django_fastws.layer import get_broker
from django_fastws.layer.redis.connection import RedisConnection
from tests.e2e.test_rooms import subscriptions
from tests.layer.inside import BACK, LOST, is_lost, is_reachable, texts
from tests.site.client import token, until
from tests.support.envelopes import holding
from tests.support.hubs import hub_state
from tests.support.processes import HOST, stopped

pytestmark = pytest.mark.redis


async def test_a_thousand_joins_in_one_turn_are_one_write(group, writes):
    names = [token() for _ in range(2500)]
    await asyncio.gather(*(group.client.subscribe(name) for name in names))
    assert len(writes) == 1
    assert writes[0].count(b"SUBSCRIBE") == 3
    await asyncio.gather(*(get_broker().apublish(holding(name, name)) for name in names))
    await group.expect(names)
    writes.clear()
    await asyncio.gather(*(group.client.unsubscribe(name) for name in names))
    assert len(writes) == 1
    await asyncio.gather(*(get_broker().apublish(holding(name, name)) for name in names))
    await group.send("last")
    await group.expect([*names, "last"])


async def test_what_came_at_once_is_delivered_at_once(group, monkeypatch, redis_server):
    turns = []
    data_received = RedisConnection.data_received

    def counted(self, data):
        before = len(group.got)
        data_received(self, data)
        turns.append(len(group.got) - before)

    monkeypatch.setattr(RedisConnection, "data_received", counted)
    layer = get_channel_layer()
    with redis.Redis.from_url(redis_server.url) as client:
        (channel,) = client.pubsub_channels(f"*{group.name}")
        with client.pipeline(transaction=False) as pipeline:
            for n in range(300):
                pipeline.publish(channel, layer.serialize(holding(group.name, n).encode()))
            pipeline.execute()  # blocks this loop meanwhile
    await group.expect(list(range(300)))
    assert max(turns) > 200


async def test_who_leaves_before_the_confirmation_is_not_subscribed(group, redis_server):
    for turns in range(20):
        name = token()
        join = asyncio.ensure_future(group.client.subscribe(name))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not join.cancel():
            break  # it was faster
        await asyncio.gather(join, return_exceptions=True)
        await group.client.subscribe(token())  # whatever was asked before is answered
        with redis.Redis.from_url(redis_server.url) as client:
            assert client.pubsub_channels(f"*{name}") == []


async def test_leaving_and_coming_back_in_one_turn(group):
    name = token()
    await group.client.subscribe(name)
    for _ in range(3):
        await asyncio.gather(group.client.unsubscribe(name), group.client.subscribe(name))
        await get_broker().apublish(holding(name, "again"))
    await group.send("all of it")
    await group.hears("all of it")  # Redis may have answered the publisher before it has written to the subscriber
    await asyncio.gather(group.client.subscribe(name), group.client.unsubscribe(name))
    await get_broker().apublish(holding(name, "gone"))
    await group.send("last")
    await group.expect([*["again"] * 3, "all of it", "last"])


@pytest.mark.faults
async def test_joining_waits_for_redis_too(inside, own_redis, settings):
    bob = await inside.member("other")
    own_redis.stop(signal.SIGKILL)
    await until(is_lost, "the loss")

    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.3
    await bob.send_json({"do": "try", "to": "join", "room": "late"})
    assert "cannot join a room: the channel layer is out of reach" in (await bob.receive_json())["done"]
    assert group_name("late") not in hub_state().rooms

    settings.FASTWS_PUBLISH_RETRY_SECONDS = 10
    await bob.send_json({"do": "join", "room": "r"})
    assert await bob.receive_nothing(0.2)
    own_redis.start()
    assert await bob.receive_json() == {"done": None}
    with redis.Redis.from_url(own_redis.url) as client:
        assert (subscriptions(client, "r"), subscriptions(client, "late")) == (1, 0)
    await Room("r").abroadcast("hello")
    await Room("other").abroadcast("hello")
    assert await texts(bob, 2) == ["hello"] * 2


@pytest.mark.faults
async def test_a_room_can_be_left_meanwhile(inside, own_redis):
    ada = await inside.member("r")
    await inside.member("other")
    own_redis.stop(signal.SIGKILL)
    await until(is_lost, "the loss")
    started = time.monotonic()
    await ada.send_json({"do": "leave", "room": "r"})
    assert await ada.receive_json() == {"done": None}
    assert time.monotonic() - started < 8  # who waits for Redis waits for ten seconds
    own_redis.start()
    await until(is_reachable, "the return")
    with redis.Redis.from_url(own_redis.url) as client:
        assert (subscriptions(client, "r"), subscriptions(client, "other")) == (0, 1)


@pytest.mark.faults
async def test_ten_thousand_rooms_are_subscribed_to_again(inside, own_redis):
    ada = await inside.member("r")
    layer = get_channel_layer().for_loop()
    await asyncio.gather(*(layer.listen(f"g{number}", lambda envelope: None) for number in range(10_000)))
    own_redis.stop(signal.SIGKILL)
    own_redis.start()
    await until(is_lost, "the loss")
    await until(is_reachable, "the return")
    with redis.Redis.from_url(own_redis.url) as client:
        assert len(client.pubsub_channels()) == 10_001
    await Room("r").abroadcast("hello")
    assert await ada.receive_text() == "hello"


@pytest.mark.faults
async def test_a_redis_that_says_nothing_is_noticed_though_nobody_asks(inside, own_redis, caplog):
    await inside.member("r")
    with stopped(own_redis):
        started = time.monotonic()
        await until(is_lost, "the loss")
        assert time.monotonic() - started < 8  # who publishes waits for ten
    await until(is_reachable, "the return")
    lost, back = [record.getMessage() for record in caplog.records]
    assert lost == f"{LOST}, and keep trying: Redis at {HOST}:{own_redis.port} does not answer"
    assert back.startswith(BACK)


@pytest.mark.faults
async def test_a_subscription_that_redis_ends_is_made_again(inside, own_redis, caplog):
    ada = await inside.member("r")
    with redis.Redis.from_url(own_redis.url) as client:
        for number in range(3):
            assert client.client_kill_filter(_type="pubsub") == 1
            await until(lambda count=2 * number + 2: _are_logged(caplog, count), "the return")
            await Room("r").abroadcast(str(number))
            assert await ada.receive_text() == str(number)
    assert len(caplog.records) == 6


async def _are_logged(caplog: pytest.LogCaptureFixture, count: int) -> bool:
    return len(caplog.records) >= count


@pytest.mark.faults
async def test_clients_are_told_when_something_may_have_been_missed_and_not_before(own_redis, settings):
    config = {"hosts": [own_redis.url], "prefix": token()}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}
    told: list[int] = []
    got: list[Any] = []
    client = get_broker().client(got.append)
    client.restored = lambda: told.append(len(told))
    await client.subscribe("one")
    await client.subscribe("two")
    assert told == []
    with redis.Redis.from_url(own_redis.url) as other:
        assert other.client_kill_filter(_type="pubsub") == 1
    await until(lambda: _is(told, [0]), "the return")
    await client.unsubscribe("one")
    await client.unsubscribe("two")
    await get_channel_layer().flush()


async def _is(found: object, wanted: object) -> bool:
    return found == wanted
