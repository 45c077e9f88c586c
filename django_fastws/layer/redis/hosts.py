"""Redis servers, as channels-redis configures them, and pools of connections to them."""

from __future__ import annotations

import contextlib
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

from .compatibility import parse_address

__all__ = [
    "Host",
    "create_blocking_pool",
    "create_client",
    "create_pool",
    "decode_hosts",
    "describe",
    "evicting_policy",
]

Host = dict[str, Any]

_EVICTION_CHECK_SECONDS = 2.0  # to connect, and for the answer


def create_client(host: Host) -> Any:
    """An asyncio client of redis-py for a host, whose pool is the caller's to close."""
    return redis.asyncio.Redis(connection_pool=create_pool(host))


def evicting_policy(host: Host) -> str | None:
    """The ``maxmemory-policy`` by which a Redis evicts keys when its memory is full.

    Returns:
        Its name; None if it evicts nothing, has no limit of memory, or does not say within a few seconds.
    """
    info: dict[str, Any] = {}
    with contextlib.suppress(Exception):  # it is out of reach, or refuses: others tell
        limits = {"socket_timeout": _EVICTION_CHECK_SECONDS, "socket_connect_timeout": _EVICTION_CHECK_SECONDS}
        pool = create_blocking_pool({**host, **limits})
        with contextlib.closing(redis.Redis(connection_pool=pool)) as client:
            info = client.info("memory")  # CONFIG is refused by many who rent out a Redis
        pool.disconnect()
    policy = str(info.get("maxmemory_policy", "noeviction"))
    return policy if info.get("maxmemory") and policy != "noeviction" else None


def decode_hosts(hosts: Any) -> list[Host]:
    """Options for redis-py of each of the ``hosts`` that channels-redis takes.

    Raises:
        ValueError: it is one host, not a list of hosts.
    """
    if isinstance(hosts, (str, bytes)):
        raise ValueError("hosts of a Redis channel layer is a list, even if there is only one")
    return [_decode_host(host) for host in hosts or ["redis://localhost:6379"]]


def _decode_host(host: Any) -> Host:
    if isinstance(host, dict):
        return host
    if isinstance(host, (tuple, list)):
        return {"host": host[0], "port": host[1]}
    return {"address": host}


def create_pool(host: Host) -> Any:
    """A pool of redis-py's asyncio half for a host."""
    asyncio_half = redis.asyncio.sentinel
    return _create_pool(
        host, redis.asyncio.ConnectionPool, asyncio_half.Sentinel, asyncio_half.SentinelConnectionPool
    )


def create_blocking_pool(host: Host) -> Any:
    """The same for threads without an event loop, but for options that only asyncio's half understands."""
    options = {name: value for name, value in host.items() if not _is_for_asyncio(value)}
    blocking = redis.sentinel
    return _create_pool(options, redis.ConnectionPool, blocking.Sentinel, blocking.SentinelConnectionPool)


def _create_pool(host: Host, pool_class: Any, sentinel_class: Any, sentinel_pool_class: Any) -> Any:
    options = dict(host)
    if "address" in options:
        return pool_class.from_url(options.pop("address"), **options)
    master_name = options.pop("master_name", None)
    if master_name is None:
        return pool_class(**options)
    sentinels, kwargs = options.pop("sentinels"), options.pop("sentinel_kwargs", None)
    return sentinel_pool_class(master_name, sentinel_class(sentinels, sentinel_kwargs=kwargs), **options)


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
        host = {**host, **parse_address(str(host["address"]))}
    return str(host.get("path") or f"{host.get('host', 'localhost')}:{host.get('port', 6379)}")
