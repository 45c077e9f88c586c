"""Hosts of a layer, as channels-redis takes them: decoded, described, and connected to."""

from __future__ import annotations

from typing import Any

import channels_redis.pubsub
import channels_redis.utils
import pytest
import redis
import redis.asyncio
import redis.connection

from django_fastws.layer import RedisChannelLayer
from django_fastws.layer.redis import compatibility, hosts
from tests.support.ids import shown


@pytest.mark.parametrize(
    "given",
    [None, [], ["redis://a", "redis://b"], [("a", 1), ["b", 2]], [{"address": "redis://a", "db": 3}]],
    ids=shown,
)
def test_hosts_are_decoded_as_by_channels_redis(given):
    assert hosts.decode_hosts(given) == channels_redis.utils.decode_hosts(given)


def test_one_host_that_is_no_list_is_refused():
    with pytest.raises(ValueError, match="list"):
        RedisChannelLayer(hosts="redis://x")


@pytest.mark.parametrize(
    "host",
    [
        {"address": "rediss://:secret@redis.example:6380/2", "socket_timeout": None},
        {"host": "redis.example", "port": 6380, "db": 1},
        {"sentinels": [("one", 26379)], "master_name": "main", "sentinel_kwargs": {"password": "x"}, "db": 1},
    ],
    ids=shown,
)
async def test_pools_are_made_as_by_channels_redis(host):
    ours, theirs = hosts.create_pool(host), channels_redis.utils.create_pool(host)
    assert type(ours) is type(theirs)
    assert plain(ours.connection_kwargs) == plain(theirs.connection_kwargs)
    assert [plain(client.connection_pool.connection_kwargs) for client in compatibility.sentinel_clients(ours)] == [
        plain(client.connection_pool.connection_kwargs) for client in compatibility.sentinel_clients(theirs)
    ]


def plain(options: dict[str, Any]) -> dict[str, Any]:
    """The options that can be compared; redis-py adds objects of its own."""
    return {name: value for name, value in options.items() if isinstance(value, (str, int, type, type(None)))}


@pytest.mark.parametrize(
    "address",
    ["redis://:secret@redis.example:6380/0", "rediss://user@[::1]:7000", "redis://h%C3%A9", "unix:///tmp/a%20b.sock"],
)
def test_hosts_are_described_without_redis_pys_parser_too(monkeypatch, address):
    theirs = hosts.describe({"address": address})
    monkeypatch.delattr(redis.connection, "parse_url")
    assert hosts.describe({"address": address}) == theirs
