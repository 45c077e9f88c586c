"""The Redis servers of the default layer, as channels-redis configures them."""

from __future__ import annotations

from typing import Any

import redis
from channels.layers import get_channel_layer
from channels_redis.core import RedisChannelLayer as CoreLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from channels_redis.utils import create_pool, decode_hosts
from redis import asyncio as aioredis
from redis.connection import parse_url
from redis.sentinel import Sentinel, SentinelConnectionPool

__all__ = [
    "create_blocking_pool",
    "create_pool",
    "describe",
    "has_redis",
    "make_connection",
    "redis_client",
    "redis_prefix",
]

Host = dict[str, Any]


def has_redis() -> bool:
    """Whether the default layer has a Redis."""
    return bool(layer_hosts())


def redis_client() -> Any:
    """An asyncio client of redis-py for the first Redis of the default layer, for what is no message.

    Returns:
        A client, whose pool is the caller's to close; None if the layer has no Redis.
    """
    hosts = layer_hosts()
    return aioredis.Redis(connection_pool=create_pool(hosts[0])) if hosts else None


def redis_prefix() -> str:
    """The prefix of the default layer, with which every key begins that this package writes into its Redis."""
    layer = get_channel_layer()
    if isinstance(layer, RedisPubSubChannelLayer):  # its own attribute needs an event loop
        return str(layer._kwargs.get("prefix", "asgi"))
    return str(getattr(layer, "prefix", "asgi"))


def layer_hosts() -> list[Host]:
    """The Redis servers of the default layer; none if it has none."""
    layer = get_channel_layer()
    if isinstance(layer, RedisPubSubChannelLayer):
        return list(decode_hosts(layer._kwargs.get("hosts")))
    return list(layer.hosts) if isinstance(layer, CoreLayer) else []


def create_blocking_pool(host: Host) -> Any:
    """What channels-redis's ``create_pool`` makes of the same host, for threads without an event loop."""
    options = {name: value for name, value in host.items() if not _is_for_asyncio(value)}
    if "address" in options:
        return redis.ConnectionPool.from_url(options.pop("address"), **options)
    master_name = options.pop("master_name", None)
    if master_name is None:
        return redis.ConnectionPool(**options)
    sentinels, kwargs = options.pop("sentinels"), options.pop("sentinel_kwargs", None)
    sentinel: Any = Sentinel(sentinels, sentinel_kwargs=kwargs)  # type: ignore[no-untyped-call]
    return SentinelConnectionPool(master_name, sentinel, **options)  # type: ignore[no-untyped-call]


def make_connection(pool: Any) -> Any:
    """A connection of redis-py, asyncio's or not, as a pool says; the pool does not count it.

    It asks Redis nothing that is not needed before the first command: each question takes as long as the way there
    and back, and what Redis would announce is not listened to.
    """
    connection = pool.connection_class(**pool.connection_kwargs)
    for name in ("driver_info", "lib_name", "lib_version"):
        if name not in pool.connection_kwargs:
            setattr(connection, name, None)
    connection.maint_notifications_config = None
    return connection


def _is_for_asyncio(value: Any) -> bool:
    """Whether an option, such as a class of connections or a retry policy, is of redis-py's asyncio half."""
    cls = value if isinstance(value, type) else type(value)
    return cls.__module__.startswith("redis.asyncio")


def describe(host: Host) -> str:
    """A host's name for the log, without its password.

    >>> describe({"address": "rediss://:secret@redis.example:6380/0"})
    'redis.example:6380'
    """
    if "master_name" in host:
        return str(host["master_name"])
    if "address" in host:
        host = {**host, **parse_url(str(host["address"]))}  # type: ignore[no-untyped-call]
    return str(host.get("path") or f"{host.get('host', 'localhost')}:{host.get('port', 6379)}")
