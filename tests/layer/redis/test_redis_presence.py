"""Presence by a Redis layer: faults of Redis, what its channels carry, what it costs, forks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from typing import Any

import msgpack
import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws._core.groups import group_name
from django_fastws._core.presence_reports import PresenceConnection, PresenceDiff, PresenceReport
from django_fastws.exceptions import WebSocketConnectionError
from django_fastws.layer import get_broker
from django_fastws.layer.presence_store import PresenceStore
from django_fastws.layer.redis.presence_scripts import PRESENCE_MARK
from tests.conftest import layer_config
from tests.layer.presence_worlds import put_back
from tests.layer.test_presence_store import Heard
from tests.site.client import LIMIT, token
from tests.support.processes import RedisServer

pytestmark = pytest.mark.redis


def report(key: str, *ids: str) -> PresenceReport:
    return PresenceReport(key, tuple(PresenceConnection(one, 0, b'"card"') for one in ids), True)


@pytest.fixture
def room() -> str:
    return token()


@pytest.fixture
def store(group: Any) -> PresenceStore:
    found = get_broker().presence
    assert found is not None
    return found


@pytest.fixture
def admin(redis_server: RedisServer) -> Any:
    with contextlib.closing(redis.Redis.from_url(redis_server.url)) as made:
        yield made


@pytest.fixture
async def cut_store(settings: Any, own_redis: RedisServer) -> Any:
    """A store whose connections the test may cut: those to the Redis of the whole run are also those of servers."""
    yield configure(settings, own_redis)
    await get_channel_layer().flush()


@pytest.fixture
def cut_admin(own_redis: RedisServer) -> Any:
    with contextlib.closing(redis.Redis.from_url(own_redis.url)) as made:
        yield made


def configure(settings: Any, server: RedisServer, **options: Any) -> PresenceStore:
    config = layer_config("ours", server, token())
    settings.CHANNEL_LAYERS = {"default": {**config, "CONFIG": {**config["CONFIG"], **options}}}
    found = get_broker().presence
    assert found is not None
    return found


# What channels carry


async def test_what_is_no_diff_is_ignored_and_said_once(store, room, admin, caplog):
    channel = get_broker().presence._commands._channel_of(group_name(room))
    await store.abeat("a", 30)
    async with Heard(get_broker(), room) as heard:
        for _ in range(3):
            await asyncio.to_thread(admin.publish, channel, PRESENCE_MARK + b"garbage")
        one = await store.areport(room, "a", [report("ada", "1")])
        assert await heard.expect(1) == [one.diff]
    lines = [record.message for record in caplog.records if "Ignoring what is no message" in record.message]
    assert len(lines) == 1
    assert "a diff of presence that is none" in lines[0]


async def test_consumers_of_the_group_do_not_see_it(store, room, caplog):
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(group_name(room), channel)
    await store.abeat("a", 30)
    with caplog.at_level(logging.WARNING):
        await store.areport(room, "a", [report("ada", "1")])
        await layer.group_send(group_name(room), {"type": "hello"})
        async with asyncio.timeout(LIMIT):
            assert await layer.receive(channel) == {"type": "hello"}
    assert not caplog.records


@pytest.mark.parametrize("secrets", [["one"], ["one", "old"]])
async def test_a_card_stands_nowhere_in_the_open(settings, redis_server, admin, room, secrets):
    store = configure(settings, redis_server, symmetric_encryption_keys=secrets)
    card = f'"secret {token()}"'.encode()
    await store.abeat("a", 30)
    heard = admin.pubsub()
    heard.psubscribe("*")
    heard.get_message(timeout=LIMIT)
    one = await store.areport(room, "a", [PresenceReport("ada", (PresenceConnection("1", 0, card),), True)])
    message = heard.get_message(timeout=LIMIT)
    heard.close()
    assert message["data"].startswith(PRESENCE_MARK)
    assert b"secret" not in message["data"]
    for key in admin.keys(f"{get_broker().redis_prefix}:presence:*"):
        assert b"secret" not in admin.dump(key)
    # The same card is the same, though it is encrypted anew each time.
    again = await store.areport(room, "a", [PresenceReport("ada", (PresenceConnection("1", 0, card),), True)])
    assert again.diff == one.diff._replace(changes=[])
    assert (await store.aread(room)).keys["ada"].meta == card
    await get_channel_layer().flush()


async def test_a_card_that_was_encrypted_with_other_keys_is_as_none(settings, redis_server, room, caplog):
    store = configure(settings, redis_server, symmetric_encryption_keys=["one"])
    prefix = get_broker().redis_prefix
    await store.abeat("a", 30)
    await store.areport(room, "a", [report("ada", "1")])
    await get_channel_layer().flush()
    other = configure(settings, redis_server, symmetric_encryption_keys=["two"], prefix=prefix)
    found = await other.aread(room)
    assert (found.keys["ada"].meta, found.keys["ada"].connections) == (b"null", 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    await get_channel_layer().flush()


# What it costs


async def test_a_renewal_is_one_command_however_much_is_present(store, room, writes):
    await store.abeat("a", 30)
    for number in range(20):
        await store.areport(f"{room}{number}", "a", [report(f"k{key}", "1", "2") for key in range(50)])
    writes.clear()
    for _ in range(3):
        await store.abeat("a", 30)
    assert [write.count(b"EVALSHA") for write in writes] == [1, 1, 1]
    assert sum(map(len, writes)) < 1000


async def test_many_users_are_asked_for_at_once(store, writes):
    await store.abeat("a", 30)
    writes.clear()
    assert await store.aonline([f"u{number}" for number in range(300)]) == set()
    assert len(writes) == 1


async def test_a_large_room_is_read_without_holding_up_the_loop(store, room):
    await store.abeat("a", 30)
    await store.areport(room, "a", [report(f"k{number}", "1") for number in range(2000)])
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    steps = store._commands.read(room, counts_only=False)
    replies = await store._asend(next(steps))
    step, before = steps.send(replies), turns
    found = await store._arun(_rest_of(steps, step))
    counting.cancel()
    assert len(found.keys) == 2000
    assert turns - before >= 2000 * 2 // 500 - 1


def _rest_of(steps: Any, step: Any) -> Any:
    while True:
        try:
            step = steps.send((yield step))
        except StopIteration as end:
            return end.value


# Faults


async def test_a_script_that_redis_has_forgotten_comes_along(store, room, admin):
    await store.abeat("a", 30)
    await asyncio.to_thread(admin.script_flush)
    one = await store.areport(room, "a", [report("ada", "1")])
    assert one.diff.total == 1
    assert await asyncio.to_thread(store.online, ["ada"]) == set()
    await asyncio.to_thread(admin.script_flush)
    assert set((await asyncio.to_thread(store.read, room)).keys) == {"ada"}
    await asyncio.to_thread(admin.script_flush)
    assert (await asyncio.to_thread(lambda: list(store.bury("a")))) == []


async def test_what_redis_refuses_without_memory_changes_nothing(settings, room):
    with RedisServer("--maxmemory-policy", "noeviction") as server:
        store = configure(settings, server)
        await store.abeat("a", 30)
        await store.areport(room, "a", [report("ada", "1"), report("bob", "2")])
        before = await store.aread(room)
        with contextlib.closing(redis.Redis.from_url(server.url)) as admin:
            admin.config_set("maxmemory", 1)
            async with Heard(get_broker(), room) as heard:
                for reports in ([report("eve", "1")], [report("ada")], [report("ada", "1", "2")]):
                    with pytest.raises(WebSocketConnectionError, match="OOM"):
                        await store.areport(room, "a", reports)
                with pytest.raises(WebSocketConnectionError, match="OOM"):
                    await store.abeat("a", 30)
                with pytest.raises(WebSocketConnectionError, match="OOM"):
                    await store.areport_users("a", {"ada": 5.0})
                assert await store.aread(room) == before
                admin.config_set("maxmemory", 0)
                after = await store.areport(room, "a", [report("ada")])
                assert await heard.expect(1) == [after.diff]
        assert (after.diff.v, after.diff.total) == (before.v + 1, 1)
        await get_channel_layer().flush()


async def test_a_replica_refuses_before_anything_is_changed(settings, room):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.1
    with RedisServer() as server:
        store = configure(settings, server)
        await store.abeat("a", 30)
        await store.areport(room, "a", [report("ada", "1")])
        before = await store.aread(room)
        with contextlib.closing(redis.Redis.from_url(server.url)) as admin:
            admin.execute_command("REPLICAOF", "127.0.0.1", "1")
            for call in (
                lambda: store.areport(room, "a", [report("ada")]),
                lambda: store.abeat("a", 30),
                lambda: store.arest("a", 1),
                lambda: store.areport_users("a", {"ada": None}),
            ):
                with pytest.raises(WebSocketConnectionError, match="replica"):
                    await call()
            admin.execute_command("REPLICAOF", "NO", "ONE")
            settings.FASTWS_PUBLISH_RETRY_SECONDS = 30
            assert await store.aread(room) == before
            assert (await store.areport(room, "a", [report("ada")])).diff.total == 0
        await get_channel_layer().flush()


async def test_a_user_of_redis_with_the_rights_that_the_docs_name_can_do_all(settings, redis_server, admin, room):
    name, prefix = f"site{token()}", token()
    rights = ["+@pubsub", "+@connection", "+@read", "+@write", "+@scripting", "+info", "+time"]
    admin.execute_command(
        "ACL",
        "SETUSER",
        name,
        "on",
        ">secret",
        "resetkeys",
        "resetchannels",
        f"~{prefix}*",
        f"&{prefix}*",
        "-@all",
        *rights,
    )
    url = redis_server.url.replace("//", f"//{name}:secret@")
    store = configure(settings, redis_server, hosts=[url], prefix=prefix)
    for process in "ab":
        await store.abeat(process, 30)
    async with Heard(get_broker(), room) as heard:
        await store.areport(room, "a", [report("ada", "1")])
        await store.areport_users("a", {"ada": None})
        assert await store.aonline(["ada"]) == {"ada"}
        assert await store.alast_seen("ada") is not None
        await store.arest("a", 0)
        await asyncio.to_thread(put_back, admin, prefix, 1)
        assert [found async for found, _ in store.abury("a")] == [room]
        assert await heard.expect(2)
    assert (await asyncio.to_thread(store.read, room)).total == 0
    await get_channel_layer().flush()
    admin.acl_deluser(name)


async def test_a_connection_that_is_cut_makes_no_difference(cut_store, room, cut_admin):
    store, admin = cut_store, cut_admin
    await store.abeat("a", 30)
    async with Heard(get_broker(), room) as heard:
        for number in range(30):
            reporting = asyncio.create_task(
                store.areport(room, "a", [report("ada", *("1", "2")[: 1 + number % 2]), report(f"k{number}", "1")])
            )
            await asyncio.sleep(0)
            if number % 5 == 0:
                await asyncio.to_thread(admin.execute_command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            last = await reporting
            assert len(last.diff.changes) == 2
        diffs = await heard.expect(30)
    assert [diff.v for diff in diffs] == list(range(last.diff.v - 29, last.diff.v + 1))


async def test_whatever_happens_every_change_is_told_once_and_to_all(cut_store, room, cut_admin):
    store, admin = cut_store, cut_admin
    """Processes report, die and are buried at once, over connections that break; a copy follows by the diffs."""
    chance, processes, count = random.Random(7), 6, 180
    told: list[PresenceDiff] = []

    async def live(number: int) -> None:
        """One process after the other, each of which is given up without a word."""
        for life in range(3):
            process = f"{number}-{life}"
            assert not (await store.abeat(process, 1000)).was_known
            for _ in range(count // 3):
                keys = chance.sample("abcdef", chance.randint(1, 3))
                reports = [report(key, *chance.sample(["1", "2", process], chance.randint(0, 3))) for key in keys]
                told.append((await store.areport(room, process, reports)).diff)
            await store.arest(process, 0)

    async def bury() -> None:
        while not living.done():
            for dead in (await store.abeat("burier", 1000)).dead:
                async for _, diff in store.abury(dead):
                    told.append(diff)
            await asyncio.sleep(0)

    def bury_in_thread() -> None:
        while not living.done():
            for dead in store.read(room).dead:
                told.extend(diff for _, diff in store.bury(dead))

    async with Heard(get_broker(), room) as heard:
        living: asyncio.Future[Any] = asyncio.gather(*map(live, range(processes)))
        burying = [asyncio.create_task(bury()), asyncio.create_task(asyncio.to_thread(bury_in_thread))]
        for number in range(1, 11):  # connections are cut
            while not living.done() and len(told) < number * 50:
                await asyncio.wait([living], timeout=0.001)
            await asyncio.to_thread(admin.execute_command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await living
        await asyncio.gather(*burying)
        await asyncio.to_thread(put_back, admin, get_broker().redis_prefix, 0.01)
        for number in range(processes):
            for life in range(3):
                told.extend([diff async for _, diff in store.abury(f"{number}-{life}")])
        changes = sorted([diff for diff in told if diff.changes], key=lambda diff: diff.v)
        assert await heard.expect(len(changes)) == changes
    assert [diff.v for diff in changes] == list(range(changes[0].v, changes[0].v + len(changes)))
    present: set[str] = set()
    for diff in changes:
        for kind, key, _ in diff.changes:
            assert (kind == "joined") is (key not in present)
            (present.discard if kind == "left" else present.add)(key)
        assert diff.total == len(present)
    assert present == set()
    assert (await store.aread(room)).total == 0
    assert (await store.abeat("burier", 1000)).dead == []


async def test_a_redis_that_is_away_is_an_error_like_any_other(settings, room):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.1
    with RedisServer() as server:
        store = configure(settings, server)
        await store.abeat("a", 30)
    for call in (
        lambda: store.areport(room, "a", []),
        lambda: store.aread(room),
        lambda: store.abeat("a", 30),
        lambda: store.aonline(["ada"]),
    ):
        with pytest.raises(WebSocketConnectionError):
            await call()
    with pytest.raises(WebSocketConnectionError):
        await asyncio.to_thread(store.read, room)
    with pytest.raises(WebSocketConnectionError):
        await asyncio.to_thread(store.online, ["ada"])
    await get_channel_layer().flush()


@pytest.mark.parametrize("options", [(), ("--appendonly", "yes")], ids=["empty", "with its data"])
async def test_after_a_restart_all_that_is_present_is_asked_for_again(settings, room, options):
    with RedisServer(*options) as server:
        store = configure(settings, server)
        await store.abeat("a", 30)
        one = await store.areport(room, "a", [report("ada", "1")])
        server.stop()
        server.start()
        beat = await store.abeat("a", 30)
        assert (beat.was_known, list(beat.dead)) == (False, [])
        assert list((await store.aread(room)).dead) == []
        await store.abeat("b", 30)
        again = await store.areport(room, "b", [report("ada", "1"), report("bob", "2")])
        assert again.diff.v > one.diff.v + 1
        assert [change.kind for change in again.diff.changes] == ["joined", "joined"][bool(options) :]
        await get_channel_layer().flush()


async def test_what_does_not_fit_while_redis_is_away_is_an_error(settings, room):
    settings.FASTWS_PUBLISH_RETRY_SECONDS, settings.FASTWS_PUBLISH_RETRY_BYTES = 0.2, 2000
    with RedisServer() as server:
        store = configure(settings, server)
        await store.abeat("a", 30)
    users = dict.fromkeys(f"u{number}" for number in range(1000))
    with pytest.raises(WebSocketConnectionError):
        await store.areport_users("a", users)
    with pytest.raises(WebSocketConnectionError):
        await store.areport_users("a", users)
    await get_channel_layer().flush()


async def test_calls_that_are_given_up_leave_nothing_behind(settings, room):
    settings.FASTWS_PUBLISH_RETRY_BYTES = 2000
    with RedisServer() as server:
        store = configure(settings, server)
        await store.abeat("a", 30)
        users = dict.fromkeys(f"u{number}" for number in range(2000))
        for _ in range(3):
            reporting = asyncio.create_task(store.areport_users("a", users))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            reporting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reporting
        settings.FASTWS_PUBLISH_RETRY_BYTES = 10**6
        assert (await store.areport(room, "a", [report("ada", "1")])).diff.total == 1
        await get_channel_layer().flush()


# Forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
async def test_a_forked_child_uses_connections_of_its_own(store, room):
    await store.abeat("a", 30)
    await store.areport(room, "a", [report("ada", "1")])
    assert set((await asyncio.to_thread(store.read, room)).keys) == {"ada"}

    def in_child() -> int:
        pid = os.fork()
        if not pid:
            status = 1
            with contextlib.suppress(BaseException):
                status = 0 if set(store.read(room).keys) == {"ada"} else 2
            os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert await asyncio.to_thread(in_child) == 0
    assert set((await asyncio.to_thread(store.read, room)).keys) == {"ada"}


def test_the_mark_begins_no_message():
    assert PRESENCE_MARK[0] == 0xC1
    with pytest.raises(msgpack.FormatError):
        msgpack.unpackb(PRESENCE_MARK)
