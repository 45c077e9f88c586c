"""Histories while connections to Redis break: what is sent again is stored once, and all have their positions."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws import History, WebSocketConnectionError
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws._core.history_page import PageQuery
from django_fastws._core.positions import Position
from django_fastws._core.resp import ErrorReply, ReplyReader
from django_fastws._core.sequences import Sender
from django_fastws.layer import get_broker
from django_fastws.layer.redis import blocking, shard
from django_fastws.layer.redis.history_commands import store_command
from django_fastws.layer.redis.history_scripts import STORE
from django_fastws.layer.redis.script_loads import LOAD_SCRIPTS
from tests.site.client import LIMIT
from tests.support.proxy import Proxy

pytestmark = [pytest.mark.redis, pytest.mark.faults]

HISTORY = History(messages=100_000)


def event(data: str, **more: Any) -> Envelope:
    return Envelope(BROADCAST, "group", data, history=HISTORY, **more)


@pytest.fixture
async def proxy(own_redis, settings, monkeypatch) -> AsyncIterator[Proxy]:
    """In front of the layer's Redis."""
    monkeypatch.setattr(shard, "SETTLING_SECONDS", 0.05)
    monkeypatch.setattr(blocking, "SETTLING_SECONDS", 0.05)
    with Proxy(own_redis.port) as made:
        config = {"hosts": [made.url], "prefix": "site"}
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}
        yield made
        get_channel_layer().blocking.close()
        await get_channel_layer().flush()


async def stored() -> list[tuple[int, Any]]:
    page = await get_broker().aread_history("group", HISTORY, PageQuery(limit=100_000, most_bytes=10**9))
    assert [one.offset for one in page.stored] == list(range(1, page.top + 1))
    return [(one.offset, one.envelope.data) for one in page.stored]


async def is_stored(client: Any, count: int) -> None:
    """Wait until so many events are stored."""
    async with asyncio.timeout(LIMIT):
        while client.xlen("site:history:{group}:stream") < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("count", [1, 200])
async def test_what_was_stored_and_not_confirmed_is_stored_once(proxy, own_redis, count):
    broker = get_broker()
    first = await broker.apublish(event("first"))
    assert first is not None
    with contextlib.closing(redis.Redis.from_url(own_redis.url)) as client:
        proxy.is_mute = True
        calls = [asyncio.ensure_future(broker.apublish(event(f"{number}"))) for number in range(count)]
        await is_stored(client, count + 1)
        assert not any(call.done() for call in calls)
        proxy.cut_once()
        proxy.restore()
        positions = await asyncio.gather(*calls)
    assert positions == [Position(first.epoch, offset) for offset in range(2, count + 2)]
    assert await stored() == [(1, "first"), *((number + 2, f"{number}") for number in range(count))]


async def test_so_is_what_a_thread_has_sent(proxy, own_redis):
    broker = get_broker()
    with contextlib.closing(redis.Redis.from_url(own_redis.url)) as client:
        for turn in range(1, 7, 2):
            for _ in range(2):  # the second of a connection asks nothing else
                first = await asyncio.to_thread(broker.publish, event(f"{turn}", idempotency_key=f"{turn}"))
            assert first is not None
            proxy.is_mute = True
            call = asyncio.ensure_future(asyncio.to_thread(broker.publish, event(f"{turn + 1}")))
            await is_stored(client, turn + 1)
            proxy.cut_once()
            proxy.restore()
            assert await call == Position(first.epoch, turn + 1)
    assert await stored() == [(turn, f"{turn}") for turn in range(1, 7)]


async def test_what_was_stored_and_waits_for_too_long_says_so_and_is_there(proxy, own_redis, settings):
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.3
    broker = get_broker()
    await broker.apublish(event("first"))
    await asyncio.to_thread(broker.publish, event("second"))
    proxy.is_mute = True
    for call in (
        broker.apublish(event("loop", idempotency_key="loop")),
        asyncio.to_thread(broker.publish, event("thread", idempotency_key="thread")),
    ):
        with pytest.raises(WebSocketConnectionError, match="cannot broadcast"):
            await call
    proxy.cut_once()
    proxy.restore()
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = settings.FASTWS_PUBLISH_RETRY_SECONDS = 10
    # Who tries again gets the position, whatever has happened.
    loop = await broker.apublish(event("loop", idempotency_key="loop"))
    thread = await asyncio.to_thread(broker.publish, event("thread", idempotency_key="thread"))
    found = dict(await stored())
    assert loop is not None
    assert thread is not None
    assert found == {1: "first", 2: "second", loop.offset: "loop", thread.offset: "thread"}


@pytest.mark.parametrize("what", ["cut", "flush the scripts"])
async def test_through_many_faults_nothing_is_lost_doubled_or_out_of_order(proxy, own_redis, what, settings):
    # A slow machine may not get a word in between two cuts for a while.
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = settings.FASTWS_PUBLISH_RETRY_SECONDS = 60
    broker, each = get_broker(), 300
    got: dict[str, Position | None] = {}

    async def loop(name: str) -> None:
        async def one(text: str) -> None:
            got[text] = await broker.apublish(event(text))

        for start in range(0, each, 20):
            await asyncio.gather(*(one(f"{name} {number}") for number in range(start, start + 20)))

    def thread(name: str) -> None:
        for number in range(each // 3):
            got[f"{name} {number}"] = broker.publish(event(f"{name} {number}"))

    jobs = [asyncio.ensure_future(loop("loop"))]
    jobs += [asyncio.ensure_future(asyncio.to_thread(thread, f"thread {number}")) for number in range(2)]
    with contextlib.closing(redis.Redis.from_url(own_redis.url)) as client:
        while not all(job.done() for job in jobs):
            if what == "cut":
                await asyncio.to_thread(proxy.cut_once)
                await asyncio.sleep(0.05)
            else:
                client.script_flush()
                await asyncio.sleep(0.005)
    await asyncio.gather(*jobs)
    found = await stored()
    assert len(found) == len(got) == each + 2 * (each // 3)
    assert {text: offset for offset, text in found} == {text: at.offset for text, at in got.items() if at}
    for name, count in ("loop", each), ("thread 0", each // 3), ("thread 1", each // 3):
        texts = [text for _, text in found if text.startswith(f"{name} ")]
        assert texts == [f"{name} {number}" for number in range(count)]


async def test_what_another_overtook_because_its_script_was_unknown_is_stored_late(proxy, own_redis):
    """Scripts are forgotten, a first command fails, somebody loads them, and the second one passes."""
    sender = Sender("ada")
    with contextlib.closing(redis.Redis.from_url(own_redis.url)) as client:
        connection = client.connection_pool.make_connection()

        def send(data: bytes) -> Any:
            connection.send_packed_command([data])
            return connection.read_response()

        def sent(text: str) -> bytes:
            envelope = event(text)
            encoded = envelope.encode(sender)
            data = get_channel_layer().serialize(encoded)
            return store_command("site", b"channel", envelope, encoded, data, b"")

        first, second, third, fourth = (sent(f"{number}") for number in range(1, 5))
        for load in LOAD_SCRIPTS:
            send(load)
        epoch, _, _ = send(first).decode().partition(":")
        assert send(third) == f"{epoch}:2".encode()
        for _ in range(2):  # all are sent again, which may happen twice
            assert send(first) == f"{epoch}:1".encode()
            assert send(second) == f"{epoch}:3".encode()
            assert send(third) == f"{epoch}:2".encode()
        assert send(fourth) == f"{epoch}:4".encode()
        assert send(second) == f"{epoch}:3".encode()
        assert await stored() == [(1, "1"), (2, "3"), (3, "2"), (4, "4")]
        client.xtrim("site:history:{group}:stream", minid=4, approximate=False)
        assert send(second) == b""  # it was stored, or not: nobody knows any more
        assert send(fourth) == f"{epoch}:4".encode()
        connection.disconnect()


async def test_a_redis_that_loads_its_data_is_waited_for(proxy, monkeypatch, caplog):
    """It answers as Redis does meanwhile."""
    broker = get_broker()
    position = await broker.apublish(event("first"))
    await asyncio.to_thread(broker.publish, event("second"))
    assert position is not None
    done, feed = threading.Event(), ReplyReader.feed
    busy = ErrorReply("LOADING Redis is loading the dataset in memory")

    def loading(self: Any, data: bytes) -> list[Any]:
        return [reply if done.is_set() or type(reply) is tuple else busy for reply in feed(self, data)]

    monkeypatch.setattr(ReplyReader, "feed", loading)
    calls = [
        asyncio.ensure_future(broker.apublish(event("loop"))),
        asyncio.ensure_future(asyncio.to_thread(broker.publish, event("thread"))),
    ]
    async with asyncio.timeout(LIMIT):
        while broker.status.is_reachable:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert "loading its data" in str(broker.status.error)
    await asyncio.sleep(0.3)
    assert not any(call.done() for call in calls)
    assert len([record for record in caplog.records if "Lost the channel layer" in record.getMessage()]) == 1
    done.set()
    positions = await asyncio.gather(*calls)
    assert sorted(one.offset for one in positions if one) == [3, 4]
    assert sorted(text for _, text in await stored()) == ["first", "loop", "second", "thread"]


async def test_scripts_are_loaded_over_each_new_connection_and_once(proxy, own_redis):
    broker = get_broker()
    await broker.apublish(event("first"))
    with contextlib.closing(redis.Redis.from_url(own_redis.url)) as client:

        def loads() -> int:
            counts = client.info("commandstats")  # by subcommands, from Redis 7 on
            return sum(counts[name]["calls"] for name in ("cmdstat_script", "cmdstat_script|load") if name in counts)

        before = loads()
        assert before == len(LOAD_SCRIPTS)
        for _ in range(5):
            await broker.apublish(event("more"))
        assert loads() == before
        proxy.cut_once()
        await broker.apublish(event("again"))
        assert loads() == before + len(LOAD_SCRIPTS)
        assert client.script_exists(STORE.sha1.decode()) == [True]
