"""The broker of the default channel layer: the one place that looks at what kind of layer it is."""

from __future__ import annotations

from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels_redis.core import RedisChannelLayer as CoreLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from .broker import Broker
from .channels import ChannelsBroker, ChannelsRedisBroker
from .local import local_broker
from .outages import LayerStatus
from .redis import RedisBroker, RedisChannelLayer, client_of, evicting_policy_of

__all__ = [
    "check_layer",
    "evicting_policy",
    "get_broker",
    "has_redis",
    "is_local",
    "layer_status",
    "make_broker",
    "redis_client",
    "redis_prefix",
]

#: The default layer, as it was last, and its broker.
_current: tuple[Any, Broker] | None = None


def get_broker() -> Broker:
    """The broker of the default channel layer, in any thread. It is chosen once, and anew when the layer is replaced.

    Raises:
        Exception: that of a layer which is configured wrongly.
    """
    global _current
    layer, current = get_channel_layer(), _current
    if current is not None and current[0] is layer:
        return current[1]
    broker = make_broker(layer)
    _current = layer, broker
    return broker


def make_broker(layer: Any) -> Broker:
    """A broker for a channel layer; None is no layer."""
    # A subclass of the in-memory layer may well mean to see what passes, so it is treated as any other layer.
    if layer is None or type(layer) is InMemoryChannelLayer:
        return local_broker
    if isinstance(layer, RedisChannelLayer):
        return RedisBroker(layer)
    if isinstance(layer, RedisPubSubChannelLayer):
        # It does not wait for Redis to confirm a subscription.
        return ChannelsRedisBroker(layer, confirms_subscriptions=False)
    if isinstance(layer, CoreLayer):
        return ChannelsRedisBroker(layer)
    return ChannelsBroker(layer)


def is_local() -> bool:
    """Whether the default layer ends at this process."""
    return get_broker() is local_broker


def layer_status() -> LayerStatus:
    """State of the layer, as far as this process knows it, without asking. It never blocks, in any thread.

    A layer that ends at the process is always reachable, and so is one that nobody has used yet.
    """
    return get_broker().status


async def check_layer(seconds: float = 2.0) -> None:
    """Ask the layer, each of its servers, whether it is there.

    Args:
        seconds: the longest that this may take.
    Raises:
        WebSocketConnectionError: it does not answer in time.
    """
    await get_broker().check(seconds)


# The Redis of the layer, for what is no message


def has_redis() -> bool:
    """Whether the default layer has a Redis."""
    return bool(get_broker().redis_hosts)


def redis_client() -> Any:
    """An asyncio client of redis-py for the first Redis of the default layer.

    Returns:
        A client, whose pool is the caller's to close; None if the layer has no Redis.
    """
    hosts = get_broker().redis_hosts
    return client_of(hosts[0]) if hosts else None


def redis_prefix() -> str:
    """The prefix of the default layer, with which every key begins that this package writes into its Redis."""
    return get_broker().redis_prefix


def evicting_policy() -> str | None:
    """The ``maxmemory-policy`` by which the first Redis of the default layer evicts keys when its memory is full.

    Returns:
        Its name; None if it evicts nothing, has no limit of memory, or does not say within a few seconds.
    """
    hosts = get_broker().redis_hosts
    return evicting_policy_of(hosts[0]) if hosts else None
