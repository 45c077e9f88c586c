"""Broker and channel layer for Redis: publishing in batches, with retries, and subscriptions that are confirmed."""

from __future__ import annotations

from .compatibility import layer_option
from .hosts import Host, create_client, decode_hosts, evicting_policy
from .layer import RedisChannelLayer
from .pubsub import RedisBroker

__all__ = [
    "Host",
    "RedisBroker",
    "RedisChannelLayer",
    "create_client",
    "decode_hosts",
    "evicting_policy",
    "layer_option",
]
