"""Histories on a Redis that is flushed, restarted, replaced, full, or that refuses."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws import History, WebSocketConnectionError
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws._core.history_page import HistoryPage, PageQuery
from django_fastws._core.positions import Position
from django_fastws.layer import get_broker, layer_status
from tests.conftest import layer_config
from tests.site.client import LIMIT
from tests.support.processes import HOST, RedisServer
from tests.support.proxy import Proxy

pytestmark = [pytest.mark.redis, pytest.mark.slow]

HISTORY = History(messages=1000)
META, STREAM = "site:history:{group}:meta", "site:history:{group}:stream"
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def event(data: str, history: History = HISTORY, **more: Any) -> Envelope:
    return Envelope(BROADCAST, "group", data, history=history, **more)


class Publisher:
    """Stores and reads, in this loop or in a thread."""

    def __init__(
        self, settings: Any, server: RedisServer, *, in_thread: bool, user: str = "", url: str = "", **more: Any
    ) -> None:
        layer = layer_config("ours", server)
        url = url or (server.url.replace("//", f"//{user}:any@") if user else server.url)
        layer["CONFIG"]["hosts"] = [{"address": url, **more}]
        settings.CHANNEL_LAYERS = {"default": layer}
        self._in_thread = in_thread
        self._broker = get_broker()
        self._layer = get_channel_layer()

    async def store(self, *texts: str, **more: Any) -> list[Position]:
        found = []
        for text in texts:
            envelope = event(text, **more)
            if self._in_thread:
                position = await asyncio.to_thread(self._broker.publish, envelope)
            else:
                position = await self._broker.apublish(envelope)
            assert position is not None
            found.append(position)
        return found

    async def read(self, history: History = HISTORY, **query: Any) -> HistoryPage:
        if self._in_thread:
            return await asyncio.to_thread(self._broker.read_history, "group", history, PageQuery(**query))
        return await self._broker.aread_history("group", history, PageQuery(**query))

    async def texts(self) -> list[Any]:
        return [stored.envelope.data for stored in (await self.read()).stored]

    async def close(self) -> None:
        self._layer.blocking.close()
        await self._layer.flush()


@pytest.fixture(params=[False, True], ids=["loop", "thread"])
async def publisher(request, settings, own_redis):
    made = Publisher(settings, own_redis, in_thread=request.param)
    yield made
    await made.close()


@pytest.fixture
def client(own_redis) -> Iterator[Any]:
    with contextlib.closing(redis.Redis.from_url(own_redis.url)) as made:
        yield made


# What names a history


async def test_after_a_flush_another_history_begins(publisher, client):
    [before] = await publisher.store("a")
    client.flushall()
    [after] = await publisher.store("b")
    assert after == Position(after.epoch, 1)
    assert after.epoch != before.epoch
    assert await publisher.texts() == ["b"]


async def test_where_its_meta_is_gone_another_history_begins_without_the_events(publisher, client):
    *_, before = await publisher.store("a", "b")
    client.delete(META)
    page = await publisher.read()
    assert (page.top, page.stored) == (0, [])
    assert page.epoch != before.epoch
    assert await publisher.store("c") == [Position(page.epoch, 1)]
    client.delete(META)
    [after] = await publisher.store("d")
    assert after.offset == 1
    assert len({before.epoch, page.epoch, after.epoch}) == 3
    assert await publisher.texts() == ["d"]


async def test_where_its_events_are_gone_it_goes_on_without_them(publisher, client):
    *_, before = await publisher.store("a", "b")
    client.delete(STREAM)
    page = await publisher.read(after=1)
    assert (page.epoch, page.top, page.stored) == (before.epoch, 2, [])
    assert await publisher.store("c") == [Position(before.epoch, 3)]
    client.delete(STREAM)
    assert await publisher.store("d") == [Position(before.epoch, 4)]
    assert [stored.offset for stored in (await publisher.read(after=0)).stored] == [4]
    assert client.pttl(STREAM) > 0


async def test_what_is_stored_expires_and_a_position_outlives_it(publisher, client):
    await publisher.store("a", idempotency_key="key")
    keys = sorted(key.decode() for key in client.scan_iter())
    assert [key for key in keys if ":once:" not in key] == [META, STREAM]
    assert len(keys) == 3
    hours = {name: client.pttl(key) / 3_600_000 for name, key in zip(("meta", "once", "stream"), keys, strict=True)}
    assert 48 <= hours["meta"] <= 55
    assert 47.9 <= hours["once"] <= 48
    assert 24 <= hours["stream"] <= 28
    client.pexpire(META, 1000)
    await publisher.read(limit=0)  # who looks at it keeps it
    assert client.pttl(META) > 1_000_000


async def test_an_empty_restart_begins_another_history(publisher, own_redis):
    *_, before = await publisher.store("a", "b")
    own_redis.stop(signal.SIGKILL)
    own_redis.start()
    [after] = await publisher.store("c")
    assert after == Position(after.epoch, 1)
    assert after.epoch != before.epoch


async def durably(publisher: Publisher, client: Any) -> None:
    """Wait until it is known that the server keeps what it confirms."""
    async with asyncio.timeout(LIMIT):
        while client.hget(META, "d") != b"1":
            await publisher.store("more")
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_server_that_keeps_what_it_confirms_goes_on_after_a_restart(settings, signum, in_thread, protocol):
    with RedisServer(*DURABLE) as server, contextlib.closing(redis.Redis.from_url(server.url)) as client:
        publisher = Publisher(settings, server, in_thread=in_thread, protocol=protocol)
        epochs = {(await publisher.read()).epoch}
        for turn in range(3):
            await durably(publisher, client)
            [before] = await publisher.store(f"last {turn}")
            server.stop(signum)
            server.start()
            page = await publisher.read(after=before.offset - 1)
            assert [stored.envelope.data for stored in page.stored] == [f"last {turn}"]
            [after] = await publisher.store("first")
            assert after.offset == before.offset + 1
            epochs |= {before.epoch, page.epoch, after.epoch}
        assert len(epochs) == 1
        await publisher.close()


@pytest.mark.parametrize(
    "options",
    [
        ("--appendonly", "yes", "--appendfsync", "everysec"),
        (*DURABLE, "--no-appendfsync-on-rewrite", "yes"),
        ("--save", "3600", "1"),
    ],
    ids=["every second", "not while rewriting", "snapshots"],
)
@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_a_server_that_may_lose_the_last_events_begins_another_epoch(settings, options, in_thread):
    with RedisServer(*options) as server:
        publisher = Publisher(settings, server, in_thread=in_thread)
        await publisher.read(limit=0)
        *_, before = await publisher.store("a", "b")
        await asyncio.sleep(0.02)
        await publisher.store("c")
        server.stop()  # in order, so that it has lost nothing, which nobody can know
        server.start()
        page = await publisher.read()
        assert [stored.envelope.data for stored in page.stored] == ["a", "b", "c"]
        assert page.epoch != before.epoch
        assert {stored.envelope.position.epoch for stored in page.stored if stored.envelope.position} == {page.epoch}
        assert await publisher.store("d") == [Position(page.epoch, 4)]
        await publisher.close()


# Taken over by another


@contextlib.contextmanager
def replica_of(master: RedisServer, *options: str) -> Iterator[RedisServer]:
    """A server that has all of another's data, and follows it."""
    with RedisServer("--replicaof", HOST, str(master.port), *options) as server:
        wait_for_link(server)
        yield server


def wait_for_link(server: RedisServer) -> None:
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        ends = time.monotonic() + LIMIT
        while (info := client.info("everything"))["master_link_status"] != "up" or (
            info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"]  # until when it does not stop
        ):
            assert time.monotonic() < ends
            time.sleep(0.01)


def tell(server: RedisServer, *command: Any) -> None:
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        client.execute_command(*command)


@pytest.mark.parametrize("options", [(), DURABLE], ids=["in memory", "durable"])
@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_a_replica_that_takes_over_begins_another_epoch(settings, options, in_thread):
    with RedisServer(*options) as first, replica_of(first, *options) as second:
        publisher = Publisher(settings, first, in_thread=in_thread)
        *_, before = await publisher.store("a", "b")
        tell(first, "WAIT", 1, 10_000)
        tell(second, "REPLICAOF", "NO", "ONE")  # what comes now is lost
        lost = await publisher.store("c", "lost")
        assert lost == [Position(before.epoch, 3), Position(before.epoch, 4)]
        await publisher.close()
        heir = Publisher(settings, second, in_thread=in_thread)
        page = await heir.read()
        assert [stored.envelope.data for stored in page.stored] == ["a", "b"]
        assert page.epoch != before.epoch
        assert await heir.store("new") == [Position(page.epoch, 3)]
        await heir.close()


@pytest.mark.parametrize("promoted_first", [False, True], ids=["restarted only", "promoted, and restarted"])
@pytest.mark.parametrize("options", [(), DURABLE], ids=["in memory", "durable"])
@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_so_does_one_that_was_restarted_at_the_address_of_the_other(
    settings, options, in_thread, promoted_first
):
    snapshots = ("--save", "3600", "100000") if not options else ()
    with RedisServer(*options) as first, replica_of(first, *options, *snapshots) as second:
        publisher = Publisher(settings, first, in_thread=in_thread)
        await publisher.read()
        with contextlib.closing(redis.Redis.from_url(first.url)) as client:
            for number in range(3):
                *_, before = await publisher.store(f"{number}")
                await asyncio.sleep(0.01)
            assert client.hget(META, "d") == b""  # with a replica, nobody knows
        tell(first, "WAIT", 1, 10_000)
        if promoted_first:
            tell(second, "REPLICAOF", "NO", "ONE")
        else:
            tell(second, "REPLICAOF", HOST, 1)
        await publisher.store("lost")
        first.stop(signal.SIGKILL)
        second.stop()
        second.command[second.command.index("--port") + 1] = str(first.port)
        at = second.command.index("--replicaof")
        del second.command[at : at + 3]
        second.port = first.port
        second.start()
        page = await publisher.read()
        assert [stored.envelope.data for stored in page.stored] == ["0", "1", "2"]
        assert page.epoch != before.epoch
        assert await publisher.store("new") == [Position(page.epoch, 4)]
        await publisher.close()


@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_so_does_the_first_when_it_takes_over_again_without_a_restart(settings, in_thread):
    """It has lost what the second never got, though the second has stored nothing meanwhile."""
    with RedisServer() as first, replica_of(first) as second:
        publisher = Publisher(settings, first, in_thread=in_thread)
        *_, before = await publisher.store("a", "b")
        tell(first, "WAIT", 1, 10_000)
        tell(second, "REPLICAOF", "NO", "ONE")
        await publisher.store("lost")
        tell(first, "REPLICAOF", HOST, second.port)
        wait_for_link(first)
        tell(first, "REPLICAOF", "NO", "ONE")
        page = await publisher.read()
        assert [stored.envelope.data for stored in page.stored] == ["a", "b"]
        assert page.epoch != before.epoch
        assert await publisher.store("new") == [Position(page.epoch, 3)]
        await publisher.close()


# What it refuses


def allow(server: RedisServer, *rules: str) -> None:
    tell(server, "ACL", "SETUSER", "guest", "reset", "on", "nopass", "~*", "&*", "+@all", *rules)


@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
@pytest.mark.parametrize(
    ("rules", "error"),
    [
        (["-evalsha"], "no permissions to run the 'evalsha' command"),
        (["-script", "-eval"], "no permissions to run the 'eval' command"),
        (["-xadd"], "'?xadd'?|can't run this command"),
        (["-info"], "'?info'?|can't run this command"),
        (["resetkeys", "~other*"], "permissions to access"),
        (["resetchannels", "&other*"], "channel|can't run this command"),
    ],
    ids=["evalsha", "scripts", "xadd", "info", "keys", "channels"],
)
async def test_what_a_user_may_not_is_said_and_leaves_nothing_half_done(settings, own_redis, in_thread, rules, error):
    free = Publisher(settings, own_redis, in_thread=in_thread)
    for prepared in False, True:
        if prepared:
            await free.store("a", "b")
            await asyncio.sleep(0.01)
        before = await free.read()
        tell(own_redis, "SCRIPT", "FLUSH")
        allow(own_redis, *rules)
        guest = Publisher(settings, own_redis, in_thread=in_thread, user="guest")
        for _ in range(5):
            with pytest.raises(WebSocketConnectionError, match=rf"^cannot broadcast: Redis refuses: .*({error})"):
                await guest.store("x")
        allow(own_redis)
        assert await free.read() == before
        positions = await guest.store("allowed", "again")
        assert positions == [Position(before.epoch, before.top + 1), Position(before.epoch, before.top + 2)]
        page = await free.read(after=before.top)
        assert [(stored.offset, stored.envelope.data) for stored in page.stored] == [
            (before.top + 1, "allowed"),
            (before.top + 2, "again"),
        ]
        await guest.close()
    await free.close()


@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_without_config_nobody_knows_whether_a_server_keeps_what_it_confirms(settings, in_thread):
    with RedisServer(*DURABLE) as server, contextlib.closing(redis.Redis.from_url(server.url)) as client:
        allow(server, "-config")
        publisher = Publisher(settings, server, in_thread=in_thread, user="guest")
        await publisher.store("a", "b")
        await asyncio.sleep(0.02)
        [before] = await publisher.store("c")
        assert client.hget(META, "d") == b""
        server.stop()
        server.start()
        allow(server, "-config")
        page = await publisher.read()
        assert page.epoch != before.epoch
        assert [stored.envelope.data for stored in page.stored] == ["a", "b", "c"]
        await publisher.close()


async def test_without_memory_nothing_is_stored_and_what_there_is_can_be_read_and_cleared(publisher, client):
    client.config_set("maxmemory-policy", "noeviction")
    *_, before = await publisher.store("a", "b")
    page = await publisher.read()
    client.config_set("maxmemory", 1)
    for _ in range(2):
        with pytest.raises(
            WebSocketConnectionError, match="cannot broadcast: Redis refuses: OOM command not allowed"
        ):
            await publisher.store("too much", idempotency_key="key")
        await asyncio.sleep(0.01)
    assert await publisher.read() == page
    client.config_set("maxmemory", 0)
    assert await publisher.store("c", idempotency_key="key") == [Position(before.epoch, 3)]


async def test_a_room_that_begins_without_memory_begins_later(publisher, client):
    client.config_set("maxmemory", 1)
    for call in (publisher.store("too much"), publisher.read()):
        with pytest.raises(WebSocketConnectionError, match="Redis refuses: OOM command not allowed"):
            await call
    assert client.keys() == []
    client.config_set("maxmemory", 0)
    assert [position.offset for position in await publisher.store("a", "b")] == [1, 2]


async def test_a_key_of_somebody_elses_is_left_alone(publisher, client):
    client.set(STREAM, "something")
    client.hset(META, mapping={"e": "e", "o": 0})
    with pytest.raises(WebSocketConnectionError, match="WRONGTYPE"):
        await publisher.store("x")
    assert client.get(STREAM) == b"something"
    assert client.hget(META, "o") == b"0"


async def test_a_replica_refuses_and_says_so(publisher, client, settings):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 1.5
    *_, before = await publisher.store("a")
    client.execute_command("REPLICAOF", HOST, 1)
    with pytest.raises(WebSocketConnectionError, match=r"out of reach: Redis at .* is a replica, and takes nothing"):
        await publisher.store("b")
    client.execute_command("REPLICAOF", "NO", "ONE")
    await asyncio.sleep(0.01)  # the server is looked for again
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 10
    [after] = await publisher.store("c")
    assert after.offset == 2
    assert after.epoch != before.epoch  # it may have had another's data meanwhile


@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_what_is_stored_when_its_master_has_become_a_replica_goes_to_the_new_one(settings, in_thread):
    """Its connection is still open, and leads to the old one; a new connection leads to the other."""
    with RedisServer() as first, replica_of(first) as second, Proxy(first.port) as proxy:
        publisher = Publisher(settings, first, in_thread=in_thread, url=proxy.url)
        *_, before = await publisher.store("a", "b")
        tell(first, "WAIT", 1, 10_000)
        tell(second, "REPLICAOF", "NO", "ONE")
        tell(first, "REPLICAOF", HOST, second.port)
        proxy.target = second.port
        page = await publisher.read()  # the old one can still be read
        assert [stored.envelope.data for stored in page.stored] == ["a", "b"]
        [after] = await publisher.store("c")
        assert after == Position(after.epoch, 3)
        assert after.epoch != before.epoch
        assert await publisher.texts() == ["a", "b", "c"]
        await publisher.close()


@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_what_is_held_while_a_replica_is_taken_for_the_master_is_stored_by_the_master(settings, in_thread):
    """As where a Sentinel still names the old one."""
    with RedisServer() as first, replica_of(first) as second, Proxy(second.port) as proxy:
        publisher = Publisher(settings, first, in_thread=in_thread, url=proxy.url)
        storing = asyncio.ensure_future(publisher.store("a"))
        async with asyncio.timeout(LIMIT):
            while layer_status().is_reachable:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert "is a replica" in layer_status().error
        assert not storing.done()
        proxy.target = first.port
        [position] = await storing
        assert position.offset == 1
        assert await publisher.texts() == ["a"]
        await publisher.close()


# Eviction


async def test_whichever_keys_are_evicted_no_position_is_given_twice(publisher, client):
    positions, texts = [], []
    for number in range(300):
        if number % 7 == 6:
            client.delete(client.randomkey())
        positions += await publisher.store(f"{number}", idempotency_key=f"{number}" if number % 10 == 0 else None)
        texts.append(f"{number}")
    by_position = dict(zip(positions, texts, strict=True))
    assert len(by_position) == len(positions)
    assert len({position.epoch for position in positions}) > 1
    page = await publisher.read()
    offsets = [stored.offset for stored in page.stored]
    assert offsets == list(range(page.top + 1 - len(offsets), page.top + 1))
    assert [by_position[Position(page.epoch, stored.offset)] for stored in page.stored] == [
        stored.envelope.data for stored in page.stored
    ]


async def test_a_room_that_somebody_only_asks_for_is_soon_forgotten(publisher, client):
    before = await publisher.read(limit=0)
    assert 500_000 <= client.pttl(META) <= 700_000
    [at] = await publisher.store("a")
    assert at == Position(before.epoch, 1)
    assert client.pttl(META) > 1_000_000
