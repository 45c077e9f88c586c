"""The only package that calls a channel layer.

A hub subscribes to groups here and anyone publishes to them. There are three ways underneath:

- no layer, or Channels' in-memory layer: a bus inside this process, thread-safe and without its capacity of 100;
- ``RedisChannelLayer``: two connections to each Redis for each event loop, pipelined, with confirmed subscriptions;
- any other layer: one channel for each hub, added to the groups.

What crosses is an envelope: a dict with a ``type``, a version, and values that are str or bytes. Receivers ignore
keys that they do not know.
"""

from __future__ import annotations

from .broker import Link
from .local import expect_members
from .outages import LayerStatus
from .probe import announce_layer, first_problem, layer_problem
from .publishing import apublish, publish
from .redis.eviction import evicting_policy
from .redis.hosts import has_redis, redis_client, redis_prefix
from .redis.layer import RedisChannelLayer
from .status import check_layer, layer_status
from .subscribing import link

__all__ = [
    "LayerStatus",
    "Link",
    "RedisChannelLayer",
    "announce_layer",
    "apublish",
    "check_layer",
    "evicting_policy",
    "expect_members",
    "first_problem",
    "has_redis",
    "layer_problem",
    "layer_status",
    "link",
    "publish",
    "redis_client",
    "redis_prefix",
]
