"""The connections to Redis: what is written over them for one broadcast or a thousand, counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws import Room, WebSocketConnectionError
from django_fastws.layer import check_layer, get_broker
from django_fastws.layer.redis import blocking
from django_fastws.layer.redis.connection import RedisConnection
from django_fastws.layer.redis.publisher import RedisPublisher
from django_fastws.layer.redis.reconnecting import ReconnectingConnection
from django_fastws.layer.redis.shard import SETTLING_SECONDS
from tests.site.client import LIMIT, token
from tests.support.envelopes import holding, value_of
from tests.support.ids import shown
from tests.support.processes import ROOT, RedisServer

pytestmark = pytest.mark.redis


class Group:
    """A group that is subscribed to, and what arrives for it."""

    def __init__(self) -> None:
        self.name = token()
        self.client = get_broker().client(self._deliver)
        self.got: list[Any] = []
        self._came = asyncio.Event()

    def _deliver(self, envelope: Any) -> None:
        self.got.append(value_of(envelope))
        self._came.set()

    async def send(self, n: Any) -> None:
        await get_broker().apublish(holding(self.name, n))

    async def hears(self, n: Any) -> None:
        """Wait until something came."""
        async with asyncio.timeout(LIMIT):
            while n not in self.got:
                self._came.clear()
                await self._came.wait()

    async def expect(self, n: list[Any]) -> None:
        await self.hears(n[-1])
        assert self.got == n


@pytest.fixture
def layer(settings: Any, redis_layer: dict[str, Any]) -> dict[str, Any]:
    settings.CHANNEL_LAYERS = {"default": redis_layer}
    return redis_layer


@pytest.fixture
async def group(layer: dict[str, Any]) -> AsyncIterator[Group]:
    made = Group()
    await made.client.subscribe(made.name)
    yield made
    await get_channel_layer().flush()


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Everything that is written to Redis, write by write, but the questions whether it is there."""
    seen: list[bytes] = []
    write = RedisConnection.write

    def counted(self: RedisConnection, data: bytes) -> None:
        if b"PING" not in data:
            seen.append(data)
        write(self, data)

    monkeypatch.setattr(RedisConnection, "write", counted)
    return seen


class Tasks(list[str]):
    """The names of the tasks that were made."""

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        self.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **options)


@pytest.fixture
async def tasks() -> Tasks:
    made = Tasks()
    asyncio.get_running_loop().set_task_factory(made)
    return made


# Counts


async def test_what_is_published_in_one_turn_is_one_write(group, writes):
    await group.send("first")
    writes.clear()
    await asyncio.gather(*(group.send(n) for n in range(1000)))
    assert len(writes) == 1
    assert writes[0].count(b"PUBLISH") == 1000
    await group.expect(["first", *range(1000)])


async def test_consumers_share_that(group, writes):
    await group.send("first")
    writes.clear()
    layer = get_channel_layer()
    sends = [layer.group_send(group.name, holding(group.name, n).encode()) for n in range(100)]
    await asyncio.gather(group.send("room"), *sends)
    assert len(writes) == 1
    await group.expect(["first", "room", *range(100)])


async def test_a_lone_publisher_makes_one_write_for_each_and_no_task(group, writes, tasks):
    await group.send(0)
    writes.clear()
    tasks.clear()
    for n in range(1, 200):
        await group.send(n)
    assert (len(writes), tasks) == (199, [])
    await group.expect(list(range(200)))


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


# Each caller learns what became of its own


async def test_each_publisher_learns_whether_redis_took_its_own(settings, own_redis):
    with redis.Redis.from_url(own_redis.url) as client:
        # A reset gives all channels before Redis 7, to which no pattern may be added.
        rules = {"commands": ["+@all"], "channels": ["*allowed*"], "reset": True, "reset_channels": True}
        client.acl_setuser("guest", enabled=True, nopass=True, **rules)
        config = {"hosts": [own_redis.url.replace("//", "//guest:any@")]}
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}
        groups = ["allowed.1", "forbidden.1", "allowed.2", "forbidden.2"]
        results = await asyncio.gather(
            *(get_broker().apublish(holding(name, 1)) for name in groups), return_exceptions=True
        )
        assert [type(result) for result in results] == [type(None), WebSocketConnectionError] * 2
        assert str(results[1]).startswith("cannot broadcast: Redis refuses: NOPERM")
        with pytest.raises(WebSocketConnectionError, match="cannot broadcast: Redis refuses: NOPERM"):
            await asyncio.to_thread(get_broker().publish, holding("forbidden", 1))
        await asyncio.to_thread(get_broker().publish, holding("allowed", 1))
        here = get_broker().client(lambda envelope: None)
        await here.subscribe("allowed.1")
        with pytest.raises(WebSocketConnectionError, match="cannot join a room: Redis refuses: NOPERM"):
            await here.subscribe("forbidden.1")
        await here.subscribe("allowed.2")


async def test_a_publisher_that_gives_up_leaves_the_others_their_replies(group):
    early = asyncio.ensure_future(group.send("early"))
    await asyncio.sleep(0)
    early.cancel()  # before it was written
    late = asyncio.ensure_future(group.send("late"))
    others = [asyncio.ensure_future(group.send(n)) for n in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    late.cancel()  # afterwards, most likely
    assert await asyncio.gather(*others) == [None] * 5
    with pytest.raises(asyncio.CancelledError):
        await early
    assert "early" not in group.got
    assert await asyncio.gather(late, return_exceptions=True)
    await group.send("last")
    await group.hears("last")
    assert [n for n in group.got if n != "late"] == [0, 1, 2, 3, 4, "last"]


async def test_more_than_may_wait_waits_for_space(group, settings, monkeypatch):
    settings.FASTWS_PUBLISH_RETRY_BYTES = 200_000
    data = "x" * 10_000
    (shard,) = get_channel_layer().for_loop()._shards
    most = 0
    send = shard.publisher.send

    def watched(command):
        nonlocal most
        future = send(command)
        most = max(most, shard.publisher._queued_bytes + shard.publisher._sent_bytes)
        return future

    monkeypatch.setattr(shard.publisher, "send", watched)
    await asyncio.gather(*(group.send(f"{n} {data}") for n in range(500)))
    assert 200_000 <= most < 220_000
    await group.expect([f"{n} {data}" for n in range(500)])


async def test_a_turn_of_megabytes_arrives(group):
    texts = [f"{n} " + "x" * 300_000 for n in range(30)]
    await asyncio.gather(*(group.send(text) for text in texts))
    await group.expect(texts)


# Coming and going


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


# The same, however it is configured


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
        deadline = time.monotonic() + 10  # Redis may not have read yet that they are closed
        while not {row["id"] for row in client.client_list()} <= before:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_threads_keep_their_connections_and_give_them_back(layer, redis_server):
    room, blocking = Room(token()), get_channel_layer().blocking
    threads = [threading.Thread(target=lambda: [room.broadcast("x") for _ in range(50)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (idle,) = blocking._idle
    assert 1 <= len(idle) <= 6
    blocking.close()
    assert not idle
    room.broadcast("and again")


def test_the_numbers_of_the_reference():
    text = " ".join((ROOT / "docs" / "reference" / "layer.md").read_text("utf-8").split())
    assert ReconnectingConnection._ATTEMPT_SECONDS == blocking._ATTEMPT_SECONDS == 3
    assert "and 3 for everything before the first command" in text
    assert "each for up to 3 seconds" in text
    assert ReconnectingConnection._LONGEST_PAUSE == blocking._LONGEST_PAUSE == 0.5
    assert "pauses of up to half a second" in text
    assert (
        ReconnectingConnection._HEARTBEAT_SECONDS * (ReconnectingConnection._TIMEOUT_HEARTBEATS + 1)
        == blocking._REPLY_TIMEOUT_SECONDS
        == 2
    )
    assert "after about two seconds without an answer" in text
    assert RedisPublisher._LEAST_BYTES_PER_SECOND == blocking._LEAST_BYTES_PER_SECOND == 64 * 1024
    assert "a second more for each 64 kB" in text
    assert SETTLING_SECONDS == 0.75
    assert "waits for three quarters of a second more" in text
    assert blocking.BlockingPublisher._MOST_IDLE == 16
    assert "up to 16 are kept" in text
