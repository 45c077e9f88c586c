"""Publishing to groups of the default channel layer."""

from __future__ import annotations

import asyncio
import time

from channels.layers import get_channel_layer

from ..conf import conf
from .broker import Envelope
from .channels import bridge
from .errors import translated
from .local import is_local, publish_locally
from .redis.layer import RedisChannelLayer

__all__ = ["apublish", "publish"]

_GLANCE = 0.001  # seconds between two looks at whether a hub has room again


async def apublish(group: str, envelope: Envelope) -> None:
    """Publish to every process that subscribed to the group; returns when the layer has it.

    While ``RedisChannelLayer`` cannot be reached, this waits for up to ``FASTWS_PUBLISH_RETRY_SECONDS``.

    Raises:
        WebSocketConnectionError: the layer cannot be reached in time, or refuses.
    """
    layer = get_channel_layer()
    if isinstance(layer, RedisChannelLayer):
        await layer._get_layer().broadcast(group, envelope)
    elif is_local(layer):
        held = publish_locally(group, envelope)
        await asyncio.sleep(0)  # so that whoever publishes in a loop lets the sockets be written
        while any(link.is_held for link in held):  # noqa: ASYNC110 (they may be of other loops)
            await asyncio.sleep(_GLANCE)
    else:
        async with translated("broadcast"):
            await layer.group_send(group, dict(envelope))


def publish(group: str, envelope: Envelope) -> None:
    """Publish from a thread without an event loop; as ``apublish``.

    Raises:
        WebSocketConnectionError: the layer cannot be reached in time, or refuses.
    """
    layer = get_channel_layer()
    if isinstance(layer, RedisChannelLayer):
        layer.blocking.publish(group, envelope, layer.serialize)
    elif is_local(layer):
        held = publish_locally(group, envelope)
        ends = time.monotonic() + conf.publish_timeout_seconds
        while any(link.is_held for link in held) and time.monotonic() < ends:
            time.sleep(_GLANCE)
    else:
        bridge().run(apublish(group, envelope))
