"""Whether the default channel layer can be reached."""

from __future__ import annotations

from channels.layers import get_channel_layer

from .errors import translated
from .local import is_local
from .outages import LayerStatus, outage_of
from .redis.layer import RedisChannelLayer

__all__ = ["check_layer", "layer_status"]


def layer_status() -> LayerStatus:
    """What this process knows of the layer, without asking it. It never blocks, in any thread.

    A layer that ends at the process is always reachable, and so is one that nobody has used yet.
    """
    layer = get_channel_layer()
    return LayerStatus(is_reachable=True) if is_local(layer) else outage_of(layer).status


async def check_layer(seconds: float = 2.0) -> None:
    """Ask the layer, each of its servers, whether it is there.

    Args:
        seconds: the longest that this may take.
    Raises:
        WebSocketConnectionError: it does not answer in time.
    """
    layer = get_channel_layer()
    if is_local(layer):
        return
    async with translated("check the channel layer", seconds):
        if isinstance(layer, RedisChannelLayer):
            await layer._get_layer().check()
        else:
            await layer.group_send("fastws.check", {"type": "fastws.check"})
