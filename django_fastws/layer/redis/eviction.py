"""Eviction policy of a Redis: whether it may forget keys that are in use."""

from __future__ import annotations

import contextlib
from typing import Any

import redis

from .hosts import create_blocking_pool, layer_hosts

__all__ = ["evicting_policy"]

_SECONDS = 2.0  # to connect, and for the answer


def evicting_policy() -> str | None:
    """The ``maxmemory-policy`` by which the first Redis of the default layer forgets keys when its memory is full.

    Returns:
        Its name; None if it forgets nothing, has no limit of memory, or does not say within a few seconds.
    """
    hosts = layer_hosts()
    if not hosts:
        return None
    info: dict[str, Any] = {}
    with contextlib.suppress(Exception):  # it is out of reach, or refuses: others tell
        limits = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
        pool = create_blocking_pool({**hosts[0], **limits})
        with contextlib.closing(redis.Redis(connection_pool=pool)) as client:
            info = client.info("memory")  # CONFIG is refused by many who rent out a Redis
        pool.disconnect()
    policy = str(info.get("maxmemory_policy", "noeviction"))
    return policy if info.get("maxmemory") and policy != "noeviction" else None
