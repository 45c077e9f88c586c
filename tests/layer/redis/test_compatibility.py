"""What is used of channels-redis and redis-py without being documented: taken away, one thing after another."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import channels_redis.pubsub
import channels_redis.utils
import pytest
import redis
import redis.asyncio
import redis.connection
from channels.layers import get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer

from django_fastws import Room, WebSocketConnectionError
from django_fastws.layer import RedisChannelLayer, check_layer, get_broker, layer_status, redis_prefix
from django_fastws.layer.redis import blocking_connection, compatibility, connection
from django_fastws.layer.redis.compatibility import IncompatibleVersionError
from tests.support.ids import shown

CHANNELS = ["asgi__group__fastws.n.lobby", "", "größe ✓", *(f"specific.{number}" for number in range(200))]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (RedisPubSubChannelLayer, "_get_layer"),
        (RedisPubSubLoopLayer, "_get_shard"),
        (RedisPubSubLoopLayer, "_get_group_channel_name"),
    ],
    ids=shown,
)
def test_a_parent_without_what_is_overridden_is_refused_with_its_version(monkeypatch, owner, name):
    monkeypatch.delattr(owner, name)
    with pytest.raises(IncompatibleVersionError, match=rf"channels-redis [\d.]+ has no {name}.*install"):
        RedisChannelLayer()


async def test_a_parent_that_makes_no_shards_is_refused(monkeypatch):
    init = RedisPubSubLoopLayer.__init__

    def without_shards(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        del self._shards

    monkeypatch.setattr(RedisPubSubLoopLayer, "__init__", without_shards)
    with pytest.raises(IncompatibleVersionError, match="has no _shards"):
        RedisChannelLayer().for_loop()


@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_a_channel_is_on_the_same_redis_whoever_says_so(monkeypatch, count):
    theirs = [compatibility.shard_index(channel, count) for channel in CHANNELS]
    monkeypatch.delattr(channels_redis.utils, "_consistent_hash")
    assert [compatibility.shard_index(channel, count) for channel in CHANNELS] == theirs
    assert len(set(theirs)) == count


def test_a_layer_of_channels_redis_that_hides_its_options_is_refused(settings):
    backend = "channels_redis.pubsub.RedisPubSubChannelLayer"
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": {"hosts": ["redis://x"], "prefix": "p"}}}
    assert redis_prefix() == "p"
    assert get_broker().redis_hosts == [{"address": "redis://x"}]
    del get_channel_layer()._kwargs
    with pytest.raises(IncompatibleVersionError, match="has no prefix"):
        redis_prefix()


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (compatibility.new_connection, "connection_class, connection_kwargs"),
        (compatibility.socket_of, "_sock"),
        (compatibility.streams_of, "_reader, _writer"),
    ],
    ids=shown,
)
def test_an_attribute_that_is_not_there_is_named_with_the_version(function, names):
    with pytest.raises(IncompatibleVersionError, match=rf"redis [\d.]+ has no {names}.*install"):
        function(SimpleNamespace())


def test_what_redis_py_asks_by_itself_is_left_where_it_cannot_be_turned_off():
    class Connection:
        maint_notifications_config = property(lambda self: "always")

    made = compatibility.new_connection(SimpleNamespace(connection_class=Connection, connection_kwargs={}))
    assert (made.maint_notifications_config, made.lib_name) == ("always", None)


def test_a_pool_without_sentinels_has_no_clients():
    assert compatibility.sentinel_clients(SimpleNamespace()) == []
    assert compatibility.sentinel_clients(SimpleNamespace(sentinel_manager=SimpleNamespace())) == []


async def test_what_a_stream_has_received_and_nobody_has_read_is_taken_at_once():
    reader = asyncio.StreamReader()
    assert await compatibility.buffered(reader) == b""
    reader = asyncio.StreamReader()
    reader.feed_data(b"early")
    await reader.read(1)
    assert await compatibility.buffered(reader) == b"arly"


@pytest.fixture
def layer(settings, redis_layer):
    settings.CHANNEL_LAYERS = {"default": redis_layer}
    settings.FASTWS_PUBLISH_RETRY_SECONDS = settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 0.2


def open_connections(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return len(client.client_list()) - 1  # but this one


@pytest.mark.redis
@pytest.mark.usefixtures("layer")
def test_a_thread_whose_redis_py_hides_the_socket_is_told_so_and_leaves_no_connection(
    monkeypatch, redis_server, settings
):
    before = open_connections(redis_server.url)
    hidden = SimpleNamespace()
    monkeypatch.setattr(blocking_connection, "socket_of", lambda connection: compatibility.socket_of(hidden))
    with pytest.raises(WebSocketConnectionError, match=r"redis [\d.]+ has no _sock"):
        Room("lobby").broadcast("hi", on_commit=False)
    assert "has no _sock" in layer_status().error
    monkeypatch.undo()
    settings.FASTWS_PUBLISH_RETRY_SECONDS = settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 10
    Room("lobby").broadcast("hi", on_commit=False)
    assert layer_status().is_reachable
    get_channel_layer().blocking.close()
    assert open_connections(redis_server.url) <= before


@pytest.mark.redis
@pytest.mark.usefixtures("layer")
async def test_an_event_loop_whose_redis_py_hides_its_streams_is_told_so(monkeypatch):
    monkeypatch.setattr(connection, "streams_of", lambda connection: compatibility.streams_of(SimpleNamespace()))
    with pytest.raises(WebSocketConnectionError, match=r"redis [\d.]+ has no _reader, _writer"):
        await check_layer()
    monkeypatch.undo()
    async with asyncio.timeout(30):
        while not layer_status().is_reachable:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await check_layer()
    await get_channel_layer().flush()


def test_a_redis_py_without_the_options_of_a_url_is_named_with_the_version(monkeypatch):
    assert compatibility.options_of("redis://h:1/0?socket_timeout=2") == {
        "host": "h",
        "port": 1,
        "db": 0,
        "socket_timeout": 2.0,
    }
    monkeypatch.delattr(redis.asyncio.connection, "parse_url")
    with pytest.raises(IncompatibleVersionError, match=r"redis.asyncio.connection of redis [\d.]+ has no parse_url"):
        compatibility.options_of("redis://h")
