"""The state of the default layer, without asking and when asked."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest
from channels.layers import get_channel_layer

from django_fastws import WebSocketConnectionError
from django_fastws.layer import LayerStatus, check_layer, layer_status
from tests.conftest import layer_config
from tests.layer.inside import is_reachable
from tests.site.client import until
from tests.support.processes import stopped

pytestmark = [pytest.mark.faults, pytest.mark.redis]


async def test_the_state_of_a_layer_inside_the_process(settings):
    for layers in ({}, {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}):
        settings.CHANNEL_LAYERS = layers
        assert layer_status() == LayerStatus(is_reachable=True, seconds=0.0, error="")
        await check_layer()


@pytest.mark.parametrize("name", ["ours", "pubsub", "core"])
async def test_the_state_of_a_layer_with_redis(settings, own_redis, name):
    settings.CHANNEL_LAYERS = {"default": layer_config(name, own_redis)}
    assert layer_status() == LayerStatus(is_reachable=True, seconds=0.0, error="")
    await check_layer()
    with stopped(own_redis):
        started = time.monotonic()
        with pytest.raises(WebSocketConnectionError, match=r"cannot check the channel layer: .* within 0\.3 seconds"):
            await check_layer(0.3)
        assert time.monotonic() - started < 8  # not the ten seconds of the default
    await check_layer()
    if name != "ours":
        return
    own_redis.stop(signal.SIGKILL)
    with pytest.raises(WebSocketConnectionError, match="cannot check the channel layer"):
        await check_layer(0.3)
    status = layer_status()
    assert not status.is_reachable
    assert 0 < status.seconds < 30
    assert str(own_redis.port) in status.error
    assert await asyncio.to_thread(layer_status)  # in any thread
    own_redis.start()
    await until(is_reachable, "the return, with nobody who waits for it")
    await check_layer()
    await get_channel_layer().flush()
