"""Channel layers, and the broker through which rooms and users publish and subscribe, whatever the layer.

There are three brokers:

- no layer, or Channels' in-memory layer: a broker inside this process, thread-safe and without its capacity of 100;
- ``RedisChannelLayer``: two connections to each Redis for each event loop, pipelined, with confirmed subscriptions;
- any other layer: one channel for each client, added to the groups.

What is published is an ``Envelope``.
"""

from __future__ import annotations

from .announcements import announce
from .broker import Broker, BrokerClient, Deliver, publishing_seconds
from .default import (
    check_layer,
    evicting_policy,
    get_broker,
    has_redis,
    is_local,
    layer_status,
    redis_client,
    redis_prefix,
)
from .local import local_broker
from .outages import LayerStatus
from .presence_store import TRIAL, PresenceStore
from .probe import announce_layer, first_problem, layer_problem
from .redis import RedisChannelLayer, check_cluster, decode_hosts

__all__ = [
    "TRIAL",
    "Broker",
    "BrokerClient",
    "Deliver",
    "LayerStatus",
    "PresenceStore",
    "RedisChannelLayer",
    "announce",
    "announce_layer",
    "check_cluster",
    "check_layer",
    "decode_hosts",
    "evicting_policy",
    "expect_members",
    "first_problem",
    "forget_histories",
    "get_broker",
    "has_redis",
    "is_local",
    "layer_problem",
    "layer_status",
    "publishing_seconds",
    "redis_client",
    "redis_prefix",
]

expect_members = local_broker.expect_members
forget_histories = local_broker.forget_histories
