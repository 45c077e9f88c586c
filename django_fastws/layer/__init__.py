"""The only package that calls a channel layer.

A hub subscribes to groups here and anyone publishes to them. There are three ways underneath:

- no layer, or Channels' in-memory layer: a bus inside this process, thread-safe and without its capacity of 100;
- ``RedisChannelLayer``: two connections to each Redis for each event loop, pipelined, with confirmed subscriptions;
- any other layer: one channel for each hub, added to the groups.

What crosses is an envelope: a dict with a ``type``, a version, and values that are str or bytes. Receivers ignore
keys that they do not know.
"""

from __future__ import annotations

from .eviction import evicting_policy
from .hosts import has_redis, redis_client, redis_prefix
from .link import Link
from .local import expect_members
from .losses import losses
from .outages import LayerStatus
from .publishing import apublish, publish
from .redis import RedisChannelLayer
from .status import check_layer, layer_status
from .subscribing import link

__all__ = [
    "LayerStatus",
    "Link",
    "RedisChannelLayer",
    "apublish",
    "check_layer",
    "evicting_policy",
    "expect_members",
    "has_redis",
    "layer_status",
    "link",
    "losses",
    "publish",
    "redis_client",
    "redis_prefix",
]
