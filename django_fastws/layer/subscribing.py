"""Subscribing to groups of the default channel layer."""

from __future__ import annotations

from channels.layers import get_channel_layer

from .broker import Deliver, Link
from .channels import ChannelLink
from .local import LocalLink, is_local
from .redis.layer import RedisChannelLayer, RedisLink

__all__ = ["link"]


def link(deliver: Deliver) -> Link:
    """A link of the running event loop to the default channel layer."""
    layer = get_channel_layer()
    if is_local(layer):
        return LocalLink(deliver)
    if isinstance(layer, RedisChannelLayer):
        return RedisLink(deliver, layer)
    return ChannelLink(deliver, layer)
