"""Keyed rooms in Redis: commands, what the scripts keep, and for how long; the same steps in memory as the model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_fastws import Latest, Room
from django_fastws._core.envelope import Envelope
from django_fastws._core.latest import Keyed
from django_fastws._core.latest_values import LatestValues
from django_fastws._core.messages import Payload
from django_fastws._core.positions import Position
from django_fastws._core.sequences import Sender
from django_fastws.layer import get_broker
from django_fastws.layer.memory_latest import MemoryLatest
from django_fastws.layer.redis.history_commands import decode_position, split_position
from django_fastws.layer.redis.latest_commands import decode_values, keep_command, read_values_command
from django_fastws.layer.redis.script_loads import LOAD_SCRIPTS
from tests.conftest import layer_config
from tests.live.client import client as live_client
from tests.live.client import declare
from tests.site.client import LIMIT, token
from tests.support.processes import RedisServer

pytestmark = pytest.mark.redis

HOUR = Latest(seconds=3600)


class Client:
    """Sends commands to a Redis, as publishers do, and reads what the scripts answer."""

    def __init__(self, url: str) -> None:
        self.redis = redis.Redis.from_url(url)
        self._connection = self.redis.connection_pool.make_connection()
        self._sender = Sender()
        self.prefix = f"t{token()}"
        self.channel = f"{self.prefix}:c"
        for load in LOAD_SCRIPTS:
            self.send(load)

    def send(self, data: bytes) -> Any:
        self._connection.send_packed_command([data])
        return self._connection.read_response()

    def keep(self, room: str, key: str, data: Any = 0, latest: Latest = HOUR, *, removed: bool = False) -> Position:
        keyed = Keyed(key, removed, latest)
        envelope = Envelope.broadcast(room, Payload(json.dumps(data)), is_json=True, keyed=keyed)
        encoded = envelope.encode(self._sender)
        data_ = json.dumps(encoded).encode()
        position = decode_position(
            self.send(keep_command(self.prefix, self.channel.encode(), envelope, encoded, data_))
        )
        assert position is not None
        return position

    def read(self, room: str, latest: Latest = HOUR) -> LatestValues:
        reply = self.send(read_values_command(self.prefix, room, latest))
        failed: list[Exception] = []
        values = decode_values(reply, json.loads, failed.append)
        assert failed == []
        return values

    def hash(self, room: str) -> str:
        return f"{self.prefix}:latest:{{{room}}}"

    def close(self) -> None:
        self._connection.disconnect()
        self.redis.close()


def shown(values: LatestValues) -> dict[str, Any]:
    return {key: json.loads(one.data) for key, one in values.values.items()}


@pytest.fixture(scope="module")
def client(redis_server) -> Iterator[Client]:
    with contextlib.closing(Client(redis_server.url)) as made:
        yield made


@pytest.fixture
def room() -> str:
    return f"r{token()}"


def test_a_value_is_kept_and_published_in_one_step(client, room):
    with client.redis.pubsub() as heard:
        heard.subscribe(client.channel)
        assert heard.get_message(timeout=LIMIT)["type"] == "subscribe"
        position = client.keep(room, "a", 5)
        published = heard.get_message(timeout=LIMIT)["data"]
    at, data = split_position(published)
    assert at == position
    assert json.loads(data)["key"] == "a"
    values = client.read(room)
    assert values.position == position
    assert values.values["a"].position == position
    assert values.values["a"].keyed == Keyed("a", False, None)


def test_a_key_may_be_named_as_a_field_of_ours(client, room):
    keys = ["e", "n", "k:a", "", "1:2:3", 'é"\n', "x" * 512]
    for number, key in enumerate(keys[:3] + keys[4:]):
        client.keep(room, key, number)
    assert shown(client.read(room)) == {"e": 0, "n": 1, "k:a": 2, "1:2:3": 3, 'é"\n': 4, "x" * 512: 5}


def test_a_removal_leaves_nothing_and_is_a_change(client, room):
    client.keep(room, "a", 1)
    client.keep(room, "b", 2)
    position = client.keep(room, "a", removed=True)
    assert position.offset == 3
    values = client.read(room)
    assert (shown(values), values.position) == ({"b": 2}, position)
    assert sorted(client.redis.hkeys(client.hash(room))) == [b"e", b"k:b", b"n", b"r", b"t"]


def test_the_hash_of_a_room_is_over_with_its_last_value(client, room):
    client.keep(room, "a", 1, Latest(seconds=50))
    assert 49_000 < client.redis.pttl(client.hash(room)) <= 50_000
    client.keep(room, "a", 1, Latest(seconds=100))
    assert 99_000 < client.redis.pttl(client.hash(room)) <= 100_000
    client.redis.pexpire(client.hash(room), 70_000)
    client.read(room, Latest(seconds=100))  # who reads does not make it last longer
    assert client.redis.pttl(client.hash(room)) <= 70_000


def test_a_room_that_was_only_read_is_over_too(client, room):
    values = client.read(room, Latest(seconds=50))
    assert (values.values, values.position.offset) == ({}, 0)
    assert 0 < client.redis.pttl(client.hash(room)) <= 50_000
    assert client.keep(room, "a") == Position(values.position.epoch, 1)


def wait_until_old(client: Client, room: str, milliseconds: int) -> None:
    """Wait by the server's clock until all that is kept is older than that."""
    stored = max(int(one.split(b":")[1]) for one in client.redis.hvals(client.hash(room)) if one.count(b":") > 1)
    while True:
        seconds, micros = client.redis.time()
        if seconds * 1000 + micros // 1000 > stored + milliseconds:
            return
        time.sleep(0.005)


def test_each_value_is_forgotten_after_its_own_time(client, room):
    client.keep(room, "a", 1)
    wait_until_old(client, room, 50)
    client.keep(room, "b", 2)
    assert shown(client.read(room)) == {"a": 1, "b": 2}
    assert "a" not in shown(client.read(room, Latest(seconds=0.05)))
    assert b"k:a" not in client.redis.hkeys(client.hash(room))


def test_what_is_over_does_not_stay_in_a_room_that_nobody_reads(client, room):
    for number in range(1, 101):
        client.keep(room, f"old {number}")
    wait_until_old(client, room, 300)
    for number in range(101, 257):
        client.keep(room, "new", number, Latest(seconds=0.3))
    kept = client.redis.hkeys(client.hash(room))
    assert not [key for key in kept if key.startswith(b"k:old")]


def test_thousands_of_keys_are_read_and_forgotten_at_once(client, room):
    for number in range(5000):
        client.keep(room, f"key {number}", number)
    values = client.read(room)
    assert len(values.values) == 5000
    assert values.position.offset == 5000
    assert shown(values)["key 4999"] == 4999
    wait_until_old(client, room, 50)
    assert client.read(room, Latest(seconds=0.05)).values == {}
    assert client.redis.hlen(client.hash(room)) == 4  # of the room itself


def test_a_flush_begins_another_epoch(client, room):
    before = client.keep(room, "a", 1)
    client.redis.delete(client.hash(room))
    values = client.read(room)
    assert (values.values, values.position.offset) == ({}, 0)
    assert values.position.epoch != before.epoch
    client.redis.delete(client.hash(room))
    assert client.keep(room, "a", 1).epoch not in (before.epoch, values.position.epoch)


@pytest.mark.parametrize("in_order", [False, True], ids=["killed", "stopped"])
def test_a_server_that_may_have_lost_the_last_changes_gives_no_number_twice(in_order, tmp_path):
    """Whoever has a lost change would take the next with its number for the same."""
    with RedisServer("--dir", str(tmp_path)) as server:

        def keep(data: int) -> Position:
            with contextlib.closing(Client(server.url)) as client:
                client.prefix = "site"
                return client.keep("r", "a", data)

        before = keep(1)
        with contextlib.closing(redis.Redis.from_url(server.url)) as client:
            client.save()
        lost = keep(2)
        assert lost == Position(before.epoch, 2)
        server.stop(signal.SIGTERM if in_order else signal.SIGKILL)
        server.start()
        with contextlib.closing(Client(server.url)) as client:
            client.prefix = "site"
            assert shown(client.read("r")) == {"a": 1}
            assert client.read("r").position == client.read("r").position
        after = keep(3)
        assert after.epoch != before.epoch


def test_what_may_not_be_published_is_not_kept(client, room, redis_server):
    client.keep(room, "a", 1)
    client.redis.acl_setuser("mute", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-publish"])
    try:
        with contextlib.closing(Client(redis_server.url.replace("//", "//mute@"))) as mute:
            mute.prefix = client.prefix
            with pytest.raises(redis.exceptions.ResponseError, match=r"can't run|publish|PUBLISH"):
                mute.keep(room, "a", 2)
            with pytest.raises(redis.exceptions.ResponseError, match=r"can't run|publish|PUBLISH"):
                mute.keep(room, "a", removed=True)
    finally:
        client.redis.acl_deluser("mute")
    assert shown(client.read(room)) == {"a": 1}


def test_what_cannot_be_decoded_is_left_out_and_said():
    good = {"type": "fastws.broadcast", "v": "1", "room": "r", "text": "x", "key": "a"}
    stored = {b"good": Envelope.broadcast("r", Payload("1"), is_json=True, keyed=Keyed("a", False, None))}
    data = {b"good": stored[b"good"].encode(Sender()), b"no key": {**good, "key": None}, b"foreign": {"type": "x"}}
    fields = [
        b"e",
        b"e",
        b"n",
        b"9",
        b"k:a",
        b"7:1:good",
        b"k:b",
        b"8:1:bad",
        b"k:c",
        b"none",
        b"k:d",
        b"9:1:foreign",
    ]
    for pairs in (fields, list(zip(fields[::2], fields[1::2], strict=True))):  # as RESP 3 has it
        failed: list[Exception] = []
        values = decode_values([b"e", b"9", pairs], data.__getitem__, failed.append)
        assert values.position == Position("e", 9)
        assert {key: one.position for key, one in values.values.items()} == {"a": Position("e", 7)}
        assert [type(error) for error in failed] == [KeyError, ValueError]


STEPS = st.lists(
    st.tuples(st.sampled_from(["keep", "keep", "keep", "remove", "read"]), st.sampled_from("abc"), st.integers(0, 9)),
    min_size=1,
    max_size=40,
)


@given(STEPS)
@hypothesis_settings(suppress_health_check=list(HealthCheck))
def test_redis_keeps_what_memory_keeps(client, steps):
    memory, room = MemoryLatest(), f"r{token()}"
    for what, key, data in steps:
        if what == "read":
            here, there = memory.read(room, HOUR), client.read(room)
            assert shown(here) == shown(there)
            assert here.position.offset == there.position.offset
            continue
        keyed = Keyed(key, what == "remove", HOUR)
        envelope = Envelope.broadcast(room, Payload(json.dumps(data)), is_json=True, keyed=keyed)
        here_at = memory.keep(envelope, keyed, HOUR)
        assert here_at.offset == client.keep(room, key, data, removed=keyed.is_removed).offset


# A layer of ours


@pytest.mark.parametrize(
    "options",
    [{}, {"symmetric_encryption_keys": ["one"]}, {"serializer_format": "json"}],
    ids=["", "encrypted", "JSON"],
)
async def test_what_is_kept_is_what_was_published(settings, routes, redis_server, options):
    config = layer_config("ours", redis_server, token())
    settings.CHANNEL_LAYERS = {"default": {**config, "CONFIG": {**config["CONFIG"], **options}}}
    declare("prices-{key}", latest=Latest())
    name = f"prices-{token()}"
    await Room(name).abroadcast({"bid": "é" * 100}, key="a")
    await asyncio.to_thread(Room(name).broadcast, "text", key="b")
    async with live_client() as one:
        assert (await one.join(name))["state"] == {"a": {"bid": "é" * 100}, "b": "text"}


async def test_members_follow_a_server_that_was_flushed(settings, routes):
    with RedisServer() as server:
        settings.CHANNEL_LAYERS = {"default": layer_config("ours", server, token())}
        declare("prices-{key}", latest=Latest())
        name = f"prices-{token()}"
        room = Room(name)
        for number in range(5):
            await room.abroadcast(number, key="a")
        await room.abroadcast(5, key="b")
        async with live_client() as one:
            assert (await one.join(name))["state"] == {"a": 4, "b": 5}
            with contextlib.closing(redis.Redis.from_url(server.url)) as admin:
                await asyncio.to_thread(admin.flushall)
                await room.abroadcast(6, key="a")
                assert await one.next() == {"room": name, "key": "a", "data": 6}
                await asyncio.to_thread(admin.execute_command, "CLIENT", "KILL", "TYPE", "pubsub")
                # Whose connection is back asks for the values: what the flush has taken is gone.
                assert await one.next() == {"room": name, "key": "b", "removed": True}
            assert (await one.join(name))["state"] == {"a": 6}
        await get_broker().check()
