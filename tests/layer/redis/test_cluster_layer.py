"""A layer on a real cluster: where its rooms are, and what consumers have of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.layers import get_channel_layer

from django_fastws import History
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws._core.history_page import PageQuery
from django_fastws._core.slots import slot_of
from django_fastws.layer import RedisChannelLayer, check_layer, get_broker
from django_fastws.layer.redis.cluster_layer import group_channel
from tests.layer.redis.groups import Group
from tests.site.client import LIMIT, token
from tests.support.envelopes import holding

pytestmark = [pytest.mark.redis, pytest.mark.slow]


@pytest.fixture(autouse=True)
async def closed(settings: Any) -> AsyncIterator[None]:
    yield
    if isinstance(layer := get_channel_layer(), RedisChannelLayer):
        layer.blocking.close()
        await layer.flush()


@pytest.mark.parametrize("is_sharded", [True, False])
def test_the_channel_of_a_group_is_in_the_slot_of_its_keys(is_sharded):
    channel = group_channel("asgi", "chat", is_sharded=is_sharded)
    assert slot_of(channel.encode()) == slot_of(b"asgi:history:{chat}:meta")


async def test_rooms_are_at_the_nodes_that_have_their_slots(on_cluster, redis_cluster):
    on_cluster(redis_cluster)
    groups = [Group() for _ in range(30)]
    await asyncio.gather(*(group.client.subscribe(group.name) for group in groups))
    await check_layer()
    prefix = get_channel_layer().prefix
    is_sharded = get_channel_layer().for_loop()._cluster.is_sharded
    listed = "SHARDCHANNELS" if is_sharded else "CHANNELS"
    for node in redis_cluster.nodes:
        here = {
            group_channel(prefix, group.name, is_sharded=is_sharded).encode()
            for group in groups
            if redis_cluster.owner(group.name) is node
        }
        assert here
        assert set(node.ask("PUBSUB", listed, f"{prefix}*")) == here
    for n in range(20):
        await asyncio.gather(*(group.send(n) for group in groups))
    await asyncio.to_thread(lambda: [get_broker().publish(holding(group.name, "sync")) for group in groups])
    for group in groups:
        await group.expect([*range(20), "sync"])
        await group.client.unsubscribe(group.name)
    for node in redis_cluster.nodes:
        assert not node.ask("PUBSUB", listed, f"{prefix}*")


async def test_consumers_have_the_layer_of_channels(on_cluster, redis_cluster):
    on_cluster(redis_cluster)
    layer = get_channel_layer()
    channels = [await layer.new_channel() for _ in range(12)]
    for channel in channels:
        await layer.group_add("everybody", channel)
    for channel in channels:
        await layer.send(channel, {"type": "one", "to": channel})
    await layer.group_send("everybody", {"type": "all"})
    async with asyncio.timeout(LIMIT):
        for channel in channels:
            got = [await layer.receive(channel), await layer.receive(channel)]
            assert sorted(message["type"] for message in got) == ["all", "one"]
            assert {message.get("to") for message in got} == {None, channel}
    await layer.group_discard("everybody", channels[0])
    await layer.group_send("everybody", {"type": "all but one"})
    await layer.send(channels[0], {"type": "last"})
    async with asyncio.timeout(LIMIT):
        assert await layer.receive(channels[0]) == {"type": "last"}
        assert await layer.receive(channels[1]) == {"type": "all but one"}


async def test_consumers_go_on_when_the_slots_of_their_channels_have_moved(on_cluster, redis_cluster):
    on_cluster(redis_cluster)
    layer = get_channel_layer()
    channel = await layer.new_channel()
    slot = slot_of(channel.encode())
    source = redis_cluster.owner_of_slot(slot)
    await asyncio.to_thread(redis_cluster.move, slot, source, redis_cluster.others(source)[0])
    receiving = asyncio.ensure_future(layer.receive(channel))
    async with asyncio.timeout(LIMIT):
        while not receiving.done():
            await layer.send(channel, {"type": "after"})
            await asyncio.sleep(0.01)
    assert receiving.result() == {"type": "after"}


async def test_whether_there_are_sharded_channels_is_found_out(settings, redis_cluster):
    config = {"cluster": [redis_cluster.nodes[2].url, redis_cluster.url], "prefix": token()}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}
    group = Group()
    await asyncio.to_thread(get_broker().publish, holding(group.name, "nobody hears it"))
    await group.client.subscribe(group.name)
    assert get_channel_layer().for_loop()._cluster.is_sharded is redis_cluster.has_sharded
    await group.send("x")
    await asyncio.to_thread(get_broker().publish, holding(group.name, "y"))
    await group.expect(["x", "y"])


async def test_calls_that_overlap_before_the_nodes_are_known_keep_their_order(on_cluster, redis_cluster):
    on_cluster(redis_cluster)
    layer, group = get_channel_layer(), Group()
    await group.client.subscribe(group.name)
    heard = group.got

    async def elsewhere() -> None:
        await asyncio.gather(*(get_broker().apublish(holding(group.name, n)) for n in range(50)))
        await layer.flush()  # what that loop has

    await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
    await group.expect([*range(50)])
    assert heard == [*range(50)]


async def test_a_user_who_may_do_no_more_than_the_page_says(on_cluster, redis_cluster, caplog):
    prefix = token()
    names = f"on >secret resetkeys resetchannels ~{prefix}* &{prefix}*"
    commands = "-@all +@pubsub +@connection +@read +@write +@scripting +info +time +config|get"
    of_clusters = "+cluster|slots +cluster|info +cluster|myid +command +asking"
    rules = f"{names} {commands} {of_clusters}".split()
    for node in redis_cluster.nodes:
        node.ask("ACL", "SETUSER", "limited", "reset", *rules)
    url = redis_cluster.url.replace("//", "//limited:secret@")
    on_cluster(redis_cluster, cluster=url, prefix=prefix)
    group, history = Group(), History(messages=10)
    await group.client.subscribe(group.name)
    await group.send("plain")
    stored = [Envelope(BROADCAST, group.name, json.dumps(text), history=history) for text in ("loop", "thread")]
    position = await get_broker().apublish(stored[0])
    await asyncio.to_thread(get_broker().publish, stored[1])
    await group.expect(["plain", "loop", "thread"])
    slot = slot_of(group.name.encode())
    source = redis_cluster.owner_of_slot(slot)
    await asyncio.to_thread(redis_cluster.move, slot, source, redis_cluster.others(source)[0])
    page = await get_broker().aread_history(group.name, history, PageQuery())
    assert (page.epoch, page.top) == (position.epoch, 2)
    await group.client.unsubscribe(group.name)
    await check_layer()
    assert not caplog.records
    for node in redis_cluster.nodes:
        node.ask("ACL", "DELUSER", "limited")


async def test_nodes_that_announce_no_address_are_at_that_of_the_one_who_was_asked(on_cluster, redis_cluster):
    if not redis_cluster.has_sharded:
        pytest.skip("this Redis announces an address always")
    name = "cluster-preferred-endpoint-type"
    for node in redis_cluster.nodes:
        node.ask("CONFIG", "SET", name, "unknown-endpoint")
    on_cluster(redis_cluster)
    groups = [Group() for _ in range(12)]
    await asyncio.gather(*(group.client.subscribe(group.name) for group in groups))
    await asyncio.gather(*(group.send(1) for group in groups))
    slot = slot_of(groups[0].name.encode())
    source = redis_cluster.owner_of_slot(slot)
    await asyncio.to_thread(redis_cluster.move, slot, source, redis_cluster.others(source)[0])
    await asyncio.to_thread(get_broker().publish, holding(groups[0].name, "while it may be on its way"))
    await groups[0].send("moved")
    await asyncio.to_thread(lambda: [get_broker().publish(holding(group.name, 2)) for group in groups[1:]])
    for group in groups[1:]:
        await group.expect([1, 2])
    for node in redis_cluster.nodes:
        node.ask("CONFIG", "SET", name, "ip")
