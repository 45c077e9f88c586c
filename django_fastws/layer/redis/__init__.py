"""Broker and channel layer for Redis: publishing in batches, with retries, and subscriptions that are confirmed."""

from __future__ import annotations

from .hosts import decode_hosts, evicting_policy, has_redis, redis_client, redis_prefix
from .layer import RedisChannelLayer
from .pubsub import RedisBroker

__all__ = [
    "RedisBroker",
    "RedisChannelLayer",
    "decode_hosts",
    "evicting_policy",
    "has_redis",
    "redis_client",
    "redis_prefix",
]
