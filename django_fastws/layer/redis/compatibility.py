"""Reaches into channels-redis and redis-py: everything that is used of them and not documented by them.

Each is one function, which looks whether the thing is there, and has a fallback or raises
``IncompatibleVersionError``. Their list for users is in docs/explanation/dependencies.md.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import socket
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any
from urllib.parse import unquote, urlsplit

import redis.asyncio.connection
import redis.connection
from channels_redis import utils
from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer
from django.core.exceptions import ImproperlyConfigured

__all__ = [
    "IncompatibleVersionError",
    "buffered",
    "check_layer_classes",
    "check_loop_layer",
    "layer_option",
    "new_connection",
    "options_of",
    "parse_address",
    "release_streams",
    "sentinel_clients",
    "shard_index",
    "socket_of",
    "streams_of",
]

#: The newest releases that this one was tested with.
_TESTED = {"channels-redis": "4.3", "redis": "8.1"}


class IncompatibleVersionError(ImproperlyConfigured):
    """Installed version of a library that lacks what this package relies on."""


def _require(owner: Any, names: Iterable[str], package: str, what: str) -> None:
    missing = [name for name in names if not hasattr(owner, name)]
    if missing:
        raise IncompatibleVersionError(
            f"{what} of {package} {version(package)} has no {', '.join(missing)}, on which RedisChannelLayer relies: "
            f"install {package} {_TESTED[package]}, or a newer django_fastws"
        )


# channels-redis


def check_layer_classes() -> None:
    """Check what ``RedisChannelLayer`` and its ``LoopLayer`` override and call of their parents.

    Raises:
        IncompatibleVersionError: it is not there.
    """
    _require(RedisPubSubChannelLayer, ["_get_layer"], "channels-redis", "RedisPubSubChannelLayer")
    names = ["_get_shard", "_get_group_channel_name"]
    _require(RedisPubSubLoopLayer, names, "channels-redis", "RedisPubSubLoopLayer")


def check_loop_layer(layer: Any) -> None:
    """Check the attributes that ``RedisPubSubLoopLayer`` has made, which ``LoopLayer`` replaces or reads.

    Raises:
        IncompatibleVersionError: one is not there.
    """
    _require(layer, ["_shards", "channels", "groups"], "channels-redis", "RedisPubSubLoopLayer")


def shard_index(channel: str, count: int) -> int:
    """The index of the Redis, among so many, that has a channel: by channels-redis's function, or the same rule."""
    consistent_hash = getattr(utils, "_consistent_hash", None)
    if consistent_hash is not None:
        return int(consistent_hash(channel, count))
    return int((binascii.crc32(channel.encode()) & 0xFFF) / (4096 / count))


def layer_option(layer: Any, name: str, default: Any = None) -> Any:
    """An option with which a layer of channels-redis was made.

    Its core layer has them as attributes, and so has ours; its pub/sub layer keeps them for those of its event loops.

    Raises:
        IncompatibleVersionError: the layer keeps its options elsewhere.
    """
    attributes = vars(layer)
    if name in attributes:
        return attributes[name]
    if "_kwargs" not in attributes:
        _require(object(), [name], "channels-redis", type(layer).__name__)
    return attributes["_kwargs"].get(name, default)


# redis-py, both halves


def parse_address(address: str) -> dict[str, Any]:
    """The ``host`` and ``port``, or the ``path``, of the URL of a Redis, for the log.

    Raises:
        ValueError: it is no URL of a Redis.
    """
    parse = getattr(redis.connection, "parse_url", None)
    if parse is not None:
        return dict(parse(address))
    url = urlsplit(address)
    if url.scheme == "unix":
        return {"path": unquote(url.path)}
    return {"host": unquote(url.hostname or "localhost"), "port": url.port or 6379}


def options_of(address: str) -> dict[str, Any]:
    """Options for redis-py's asyncio half that the URL of a Redis stands for, the class of connections among them.

    Raises:
        ValueError: it is no URL of a Redis.
        IncompatibleVersionError: redis-py does not say.
    """
    _require(redis.asyncio.connection, ["parse_url"], "redis", "redis.asyncio.connection")
    return dict(redis.asyncio.connection.parse_url(address))


def new_connection(pool: Any) -> Any:
    """A connection of redis-py, asyncio's or not, as a pool says; the pool does not count it.

    It asks Redis nothing that is not needed before the first command: each question takes as long as the way there
    and back, and what Redis would announce is not listened to. Where that cannot be turned off, it is asked.

    Raises:
        IncompatibleVersionError: the pool does not say.
    """
    _require(pool, ["connection_class", "connection_kwargs"], "redis", type(pool).__name__)
    connection = pool.connection_class(**pool.connection_kwargs)
    unneeded = [name for name in ("driver_info", "lib_name", "lib_version") if name not in pool.connection_kwargs]
    for name in (*unneeded, "maint_notifications_config"):
        with contextlib.suppress(AttributeError):  # of a property that cannot be set
            setattr(connection, name, None)
    return connection


def sentinel_clients(pool: Any) -> list[Any]:
    """The clients of the Sentinels that a pool asks; none where it does not have them, or not under this name."""
    return list(getattr(getattr(pool, "sentinel_manager", None), "sentinels", ()))


# redis-py's blocking half


def socket_of(connection: Any) -> socket.socket:
    """The socket of a blocking connection that is connected.

    Raises:
        IncompatibleVersionError: the connection keeps it elsewhere.
    """
    _require(connection, ["_sock"], "redis", type(connection).__name__)
    opened: socket.socket = connection._sock
    return opened


# redis-py's asyncio half


def streams_of(connection: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The streams of an asyncio connection that is connected.

    Raises:
        IncompatibleVersionError: the connection keeps them elsewhere.
    """
    _require(connection, ["_reader", "_writer"], "redis", type(connection).__name__)
    return connection._reader, connection._writer


async def buffered(reader: asyncio.StreamReader) -> bytes:
    """Bytes that a stream has received and nobody has read. It does not wait, and the stream takes nothing more."""
    reader.feed_eof()
    return await reader.read()


def release_streams(connection: Any) -> None:
    """Have an asyncio connection forget its streams, which would complain that nobody has closed them."""
    connection._reader = connection._writer = None
