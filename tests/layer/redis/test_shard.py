"""Several Redis servers of one layer: what is on which, and one of them away."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws import Room, WebSocketConnectionError
from django_fastws._core.groups import group_name
from django_fastws.layer import check_layer, get_broker
from django_fastws.layer.redis.compatibility import shard_index
from tests.layer.inside import Inside, is_lost, is_reachable, texts
from tests.layer.redis.groups import Group
from tests.site.client import token, until
from tests.support.envelopes import holding

pytestmark = pytest.mark.redis


async def test_groups_of_several_hosts(settings, redis_server, own_redis):
    config = {"hosts": [redis_server.url, own_redis.url], "prefix": token()}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}
    groups = [Group() for _ in range(20)]
    await asyncio.gather(*(group.client.subscribe(group.name) for group in groups))
    counts = []
    for server in (redis_server, own_redis):
        with redis.Redis.from_url(server.url) as client:
            counts.append(len(client.pubsub_channels(f"{config['prefix']}*")))
    assert sum(counts) == 20
    assert all(counts)
    await check_layer()
    for n in range(30):  # the shards' numbers have nothing to do with each other
        await asyncio.gather(*(group.send(n) for group in groups))
    await asyncio.to_thread(lambda: [get_broker().publish(holding(group.name, "sync")) for group in groups])
    for group in groups:
        await group.expect([*range(30), "sync"])
    await get_channel_layer().flush()


@pytest.mark.faults
async def test_the_check_asks_every_host(settings, own_redis, redis_server):
    inside = Inside(settings, redis_server.url, own_redis.url)
    await check_layer()
    own_redis.stop(signal.SIGKILL)
    with pytest.raises(WebSocketConnectionError, match="cannot check the channel layer"):
        await check_layer(0.3)
    await inside.close()


@pytest.mark.faults
async def test_one_host_of_two_is_away(settings, own_redis, redis_server):
    inside = Inside(settings, redis_server.url, own_redis.url, prefix=token())
    rooms = [f"r{number}" for number in range(12)]
    listeners = {room: await inside.member(room) for room in rooms}
    prefix = get_channel_layer().for_loop().prefix
    away = {room for room in rooms if shard_index(f"{prefix}__group__{group_name(room)}", 2) == 1}
    assert 0 < len(away) < len(rooms)
    own_redis.stop(signal.SIGKILL)
    await until(is_lost, "the loss")
    started = time.monotonic()
    for room in set(rooms) - away:
        await Room(room).abroadcast("loop")
        await asyncio.to_thread(Room(room).broadcast, "thread")
        assert await texts(listeners[room], 2) == ["loop", "thread"]
    assert time.monotonic() - started < 8  # what is held is held for ten seconds
    held = [asyncio.ensure_future(Room(room).abroadcast("held")) for room in away]
    own_redis.start()
    await asyncio.gather(*held)
    for room in away:
        assert await listeners[room].receive_text() == "held"
    assert await is_reachable()
    await inside.close()
