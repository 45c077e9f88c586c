"""The broker of the default channel layer: the one place that looks at what kind of layer it is."""

from __future__ import annotations

from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer

from .broker import Broker
from .channels import ChannelsBroker
from .local import local_broker
from .outages import LayerStatus
from .redis import RedisBroker, RedisChannelLayer

__all__ = ["check_layer", "get_broker", "layer_status", "make_broker"]

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
    return ChannelsBroker(layer)


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
