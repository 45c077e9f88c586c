"""Publishers of an event loop: batched writes, bounds, and what is held and sent again while Redis is away."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import time
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws import Room, WebSocketConnectionError
from django_fastws._core.envelope import Envelope
from django_fastws._core.groups import group_name
from django_fastws._core.messages import Payload
from django_fastws.layer import RedisChannelLayer, check_layer, get_broker, layer_status
from django_fastws.layer.redis import blocking
from django_fastws.layer.redis.publisher import RedisPublisher
from tests.layer.inside import is_lost, is_reachable, texts
from tests.site.client import until
from tests.support.envelopes import holding
from tests.support.processes import HOST, stopped
from tests.support.proxy import Proxy

pytestmark = pytest.mark.redis


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


@pytest.mark.faults
async def test_what_is_broadcast_meanwhile_is_held_and_comes_in_order(inside, own_redis):
    ada = await inside.member("r")
    own_redis.stop(signal.SIGKILL)
    await until(is_lost, "the loss")
    calls = [asyncio.ensure_future(Room("r").abroadcast(f"{number}")) for number in range(200)]
    sync = asyncio.ensure_future(
        asyncio.to_thread(lambda: [Room("r").broadcast(f"sync {turn}") for turn in range(3)])
    )
    done, _ = await asyncio.wait([*calls, sync], timeout=0.3)
    assert not done
    own_redis.start()
    started = time.monotonic()
    await asyncio.gather(*calls, sync)
    assert time.monotonic() - started < 9
    got = await texts(ada, 203)
    assert [text for text in got if not text.startswith("sync")] == [f"{number}" for number in range(200)]
    assert [text for text in got if text.startswith("sync")] == [f"sync {turn}" for turn in range(3)]


@pytest.mark.faults
async def test_it_is_held_for_so_long_and_no_longer(inside, own_redis, settings):
    await check_layer()
    own_redis.stop(signal.SIGKILL)
    for seconds in (0.5, 0):
        settings.FASTWS_PUBLISH_RETRY_SECONDS = seconds
        for broadcast in (Room("r").abroadcast, lambda text: asyncio.to_thread(Room("r").broadcast, text)):
            started = time.monotonic()
            with pytest.raises(WebSocketConnectionError, match="cannot broadcast: the channel layer is out of reach"):
                await broadcast("x")
            assert 0.8 * seconds <= time.monotonic() - started < 8  # not the ten seconds of the default


@pytest.mark.faults
async def test_what_was_given_up_is_not_sent_afterwards(inside, own_redis, settings):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.2
    ada = await inside.member("r")
    own_redis.stop(signal.SIGKILL)
    await until(is_lost, "the loss")
    with pytest.raises(WebSocketConnectionError):
        await Room("r").abroadcast("given up")
    cancelled = asyncio.ensure_future(Room("r").abroadcast("cancelled"))
    await asyncio.sleep(0)
    cancelled.cancel()
    own_redis.start()
    await until(is_reachable, "the return")
    await Room("r").abroadcast("new")
    assert await ada.receive_text() == "new"


@pytest.mark.faults
async def test_so_many_bytes_are_held_and_no_more(inside, own_redis, settings):
    settings.FASTWS_PUBLISH_RETRY_BYTES = 10_000
    ada = await inside.member("r")
    own_redis.stop(signal.SIGKILL)
    await until(is_lost, "the loss")
    full = r"10[0-9]{3} bytes of broadcasts wait \(FASTWS_PUBLISH_RETRY_BYTES\)"

    held = [asyncio.ensure_future(Room("r").abroadcast("x" * 1000)) for _ in range(9)]
    await asyncio.sleep(0)
    with pytest.raises(WebSocketConnectionError, match=full):
        await Room("r").abroadcast("one too many")

    threads = [asyncio.ensure_future(asyncio.to_thread(Room("r").broadcast, "y" * 6_000)) for _ in range(4)]

    async def three_are_done() -> bool:
        return sum(task.done() for task in threads) == 3

    await until(three_are_done, "the refusals")
    for task in threads:
        if task.done():
            assert re.search(r"6[0-9]{3} bytes of broadcasts wait", str(task.exception()))

    own_redis.start()
    await asyncio.gather(*held, *(task for task in threads if not task.done()))
    assert sorted(map(len, await texts(ada, 10))) == [1000] * 9 + [6000]


@pytest.mark.faults
async def test_what_was_given_up_takes_no_room(inside, own_redis, settings):
    settings.FASTWS_PUBLISH_RETRY_BYTES = 10_000
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.2
    await check_layer()
    own_redis.stop(signal.SIGKILL)
    for _ in range(3):
        for broadcast in (Room("r").abroadcast, lambda text: asyncio.to_thread(Room("r").broadcast, text)):
            started = time.monotonic()
            with pytest.raises(WebSocketConnectionError) as caught:
                await broadcast("x" * 9_900)
            assert time.monotonic() - started > 0.15, "it was held"
            assert "FASTWS_PUBLISH_RETRY_BYTES" not in str(caught.value)


@pytest.mark.parametrize("way", ["loop", "thread"])
@pytest.mark.faults
async def test_what_redis_takes_late_is_not_missed_by_members_who_were_cut_off_meanwhile(
    inside, own_redis, quick, monkeypatch, way
):
    # Whoever publishes is more patient than whoever is subscribed, as when it has begun to wait later.
    monkeypatch.setattr(RedisPublisher, "_TIMEOUT_HEARTBEATS", 10_000)
    monkeypatch.setattr(blocking, "_LATE_SECONDS", 0.1)
    ada = await inside.member("r")
    for text in ("before", "late"):
        if way == "loop":
            call = asyncio.ensure_future(Room("r").abroadcast(text))
        else:
            call = asyncio.ensure_future(asyncio.to_thread(Room("r").broadcast, text))
        if text == "before":
            await call
            assert await ada.receive_text() == "before"
            pause = contextlib.ExitStack()
            pause.enter_context(stopped(own_redis))
    await until(is_lost, "the loss")
    pause.close()
    await call
    assert await ada.receive_text() == "late"
    await until(is_reachable, "the return")
    await Room("r").abroadcast("after")
    assert await ada.receive_text() == "after"


@pytest.mark.parametrize("way", ["loop", "thread"])
@pytest.mark.faults
async def test_what_redis_has_taken_without_a_word_is_sent_again_and_heard_once(inside, own_redis, quick, way):
    ada = await inside.member("r")
    with Proxy(own_redis.port) as proxy:
        far = RedisChannelLayer(hosts=[proxy.url])

        async def broadcast(text: str) -> None:
            envelope = Envelope.broadcast(group_name("r"), Payload(text))
            if way == "loop":
                await far.for_loop().broadcast(envelope)
            else:
                await asyncio.to_thread(far.blocking.publish, envelope, far.serialize)

        await broadcast("0")
        assert await ada.receive_text() == "0"
        proxy.is_mute = True
        sent = asyncio.ensure_future(broadcast("1"))
        assert await ada.receive_text() == "1"
        assert not sent.done()
        taken = proxy.taken
        proxy.cut_once()
        proxy.is_mute = False
        await sent
        assert proxy.taken - taken > 100, "it was sent again"
        await broadcast("2")
        assert await ada.receive_text() == "2"
        await far.flush()
        far.blocking.close()


@pytest.mark.faults
async def test_a_redis_that_says_nothing_to_publishers_is_noticed(inside, own_redis, quick):
    await check_layer()
    with stopped(own_redis):
        sent = asyncio.ensure_future(Room("r").abroadcast("x"))
        await until(is_lost, "the loss")
        assert layer_status().error == f"Redis at {HOST}:{own_redis.port} does not answer"
    await sent
    assert await is_reachable()


@pytest.mark.faults
async def test_a_connection_that_redis_closes_because_it_is_idle_is_no_outage(inside, own_redis, caplog):
    ada = await inside.member("r")
    room = Room("r")
    with redis.Redis.from_url(own_redis.url) as client:
        for number in range(3):
            await room.abroadcast(f"loop {number}")
            await asyncio.to_thread(room.broadcast, f"thread {number}")
            assert client.client_kill_filter(_type="normal", skipme=True) >= 2
    assert await texts(ada, 6) == [f"{way} {number}" for number in range(3) for way in ("loop", "thread")]
    assert not caplog.records


@pytest.mark.faults
async def test_while_nobody_here_can_hear_it_a_broadcast_is_held(inside, own_redis, monkeypatch):
    ada = await inside.member("r")
    await check_layer()
    (shard,) = get_channel_layer().for_loop()._shards
    may_connect, connect_again = asyncio.Event(), shard.subscriber._keep_connecting

    async def wait_first() -> None:
        await may_connect.wait()
        await connect_again()

    monkeypatch.setattr(shard.subscriber, "_keep_connecting", wait_first)
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.client_kill_filter(_type="pubsub") == 1
    await until(is_lost, "the loss")
    sent = asyncio.ensure_future(Room("r").abroadcast("held"))
    done, _ = await asyncio.wait([sent], timeout=0.2)
    assert not done
    may_connect.set()
    await sent
    assert await ada.receive_text() == "held"
