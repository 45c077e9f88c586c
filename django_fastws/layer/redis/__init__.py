"""Broker and channel layer for Redis: publishing in batches, with retries, and subscriptions that are confirmed."""

from __future__ import annotations

from .cluster_client import client_of, evicting_policy_of
from .cluster_hosts import check_cluster
from .compatibility import layer_option
from .hosts import Host, decode_hosts
from .layer import RedisChannelLayer
from .pubsub import RedisBroker

__all__ = [
    "Host",
    "RedisBroker",
    "RedisChannelLayer",
    "check_cluster",
    "client_of",
    "decode_hosts",
    "evicting_policy_of",
    "layer_option",
]
