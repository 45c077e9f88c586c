"""The layer for Redis: its options, its prefix, which is all that a user of Redis needs, and its connections."""

import asyncio
import logging
import time

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws import FastWS, History, Room, WebSocketConnectionError, adisconnect
from django_fastws._core.control import GROUP
from django_fastws.layer import check_layer, get_broker
from django_fastws.rooms.hub import current_hub
from django_fastws.rooms.subscriptions import Subscriptions
from tests.layer.redis.groups import Group
from tests.support.envelopes import holding
from tests.support.ids import shown
from tests.support.processes import ROOT, RedisServer

pytestmark = [pytest.mark.redis]

#: As docs/howto/channel-layer.md says.
COMMANDS = ["-@all", "+@pubsub", "+@connection"]
#: And besides, where rooms have a history.
OF_HISTORIES = ["+@read", "+@write", "+@scripting", "+info", "+time"]


class Member:
    takes_events = False

    id = "member"

    def __init__(self):
        self.got = []

    def post(self, batch):
        self.got += [payload.text for payload in batch.payloads]


class User:
    pk, is_authenticated = 1, True


@pytest.fixture
async def sites(settings, redis_server):
    """Two sites on one Redis, each with a user of its own: make one of them the current one."""

    def become(site):
        config = {"hosts": [redis_server.url.replace("//", f"//{site}:secret@")], "prefix": site}
        settings.CHANNEL_LAYERS = {
            "default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config},
        }
        return get_channel_layer()

    with redis.Redis.from_url(redis_server.url) as client:
        for site in ("one", "two"):
            rules = ["reset", "on", ">secret", "resetkeys", "resetchannels", f"~{site}*", f"&{site}*", *COMMANDS]
            client.execute_command("ACL", "SETUSER", site, *rules)
        yield become
        client.acl_deluser("one", "two")


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_rooms_users_checks_and_consumers_need_no_more_than_the_prefix(sites, caplog):
    layer = sites("one")
    await check_layer()
    member = Member()
    await current_hub().join(member, "lobby")
    await current_hub().join(member, "größe ✓")  # whose name is hashed
    await Room("lobby").abroadcast("async")
    await asyncio.to_thread(Room("größe ✓").broadcast, "sync", on_commit=False)
    await until(lambda: sorted(member.got) == ["async", "sync"])

    heard = []
    subscriptions = Subscriptions(heard.append, what="disconnect()", logger=logging.getLogger(__name__))
    subscriptions.keep(GROUP)
    await subscriptions.wait(GROUP)
    await adisconnect(user=User())
    await until(lambda: heard)
    subscriptions.release(GROUP)
    await subscriptions.settled()

    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    await layer.group_send("group", {"type": "hi"})
    assert await layer.receive(channel) == {"type": "hi"}
    await layer.send(channel, {"type": "ho"})
    assert await layer.receive(channel) == {"type": "ho"}
    await layer.group_discard("group", channel)

    for name in ("lobby", "größe ✓"):
        await current_hub().leave(member, name)
    await layer.flush()
    assert [record.getMessage() for record in caplog.records if record.levelno >= 30] == []


async def test_histories_need_the_prefix_and_a_few_commands_more(sites, redis_server, routes):
    page = (ROOT / "docs" / "howto" / "channel-layer.md").read_text()
    assert " ".join(COMMANDS) in page
    assert " ".join(OF_HISTORIES) in page
    FastWS().room("kept-{key}", history=History(messages=2))
    with redis.Redis.from_url(redis_server.url) as client:
        client.execute_command("ACL", "SETUSER", "one", *OF_HISTORIES)
    layer, room, member = sites("one"), Room("kept-a"), Member()
    await current_hub().join(member, room.name)
    await room.abroadcast("async", idempotency_key="k")
    await asyncio.to_thread(room.broadcast, "sync", on_commit=False)
    await until(lambda: len(member.got) == 2)
    assert [one.data for one in await room.ahistory()] == ["async", "sync"]
    assert await asyncio.to_thread(room.position) == await room.aposition()
    await room.aclear()
    assert await room.ahistory() == []
    await current_hub().leave(member, room.name)
    await layer.flush()


async def test_a_redis_that_is_full_stores_nothing_says_so_and_can_be_read(settings, own_redis, routes):
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"hosts": [own_redis.url]}}
    }
    FastWS().room("kept-{key}", history=History())
    room = Room("kept-a")
    first = await room.abroadcast("before")
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
        for broadcast in (room.abroadcast("lost"), asyncio.to_thread(room.broadcast, "lost")):
            with pytest.raises(WebSocketConnectionError, match="Redis refuses: OOM"):
                await broadcast
        assert await room.aposition() == first
        assert [one.data for one in await room.ahistory()] == ["before"]
        client.config_set("maxmemory", 0)
    after = await room.abroadcast("after")
    assert after.epoch == first.epoch
    assert [one.data for one in await room.ahistory()] == ["before", "after"]
    await get_channel_layer().flush()


async def test_sites_with_prefixes_of_their_own_do_not_hear_each_other(sites):
    first, member = sites("one"), Member()
    await current_hub().join(member, "lobby")
    second = sites("two")
    await Room("lobby").abroadcast("of the other")
    await asyncio.to_thread(Room("lobby").broadcast, "of the other", on_commit=False)
    sites("one")
    await Room("lobby").abroadcast("of this")
    await until(lambda: member.got)
    assert member.got == ["of this"]
    await current_hub().leave(member, "lobby")
    for layer in (first, second, get_channel_layer()):
        await layer.flush()


@pytest.mark.parametrize(
    ("host", "config"),
    [
        ({"protocol": 2}, {}),
        ({"protocol": 3}, {}),
        ({"db": 3, "client_name": "test"}, {}),
        ({"decode_responses": True}, {}),
        ({}, {"prefix": "other"}),
        ({}, {"symmetric_encryption_keys": ["new", "old"]}),
        ({}, {"serializer_format": "json"}),
    ],
    ids=shown,
)
async def test_options(settings, redis_server: RedisServer, host, config):
    config = {"hosts": [{"address": redis_server.url, **host}], **config}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}
    group = Group()
    await group.client.subscribe(group.name)
    await check_layer()
    await group.send("größe")
    await asyncio.to_thread(get_broker().publish, holding(group.name, "from a thread"))
    await group.expect(["größe", "from a thread"])
    await get_channel_layer().flush()


def test_a_loop_that_ends_leaves_no_connection(layer, redis_server):
    async def use() -> None:
        group = Group()
        await group.client.subscribe(group.name)
        await group.send("x")
        await group.expect(["x"])

    with redis.Redis.from_url(redis_server.url) as client:
        before = {row["id"] for row in client.client_list()}
        for _ in range(3):
            asyncio.run(use())
        deadline = time.monotonic() + 30  # Redis may not have read yet that they are closed
        while not {row["id"] for row in client.client_list()} <= before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
