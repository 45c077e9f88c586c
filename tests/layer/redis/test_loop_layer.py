"""The layer of an event loop: commands of whoever keeps something of a room, where the room's keys are."""

from __future__ import annotations

import pytest
from channels.layers import get_channel_layer

from django_fastws import WebSocketConnectionError
from django_fastws._core.resp import command
from tests.site.client import token

pytestmark = pytest.mark.redis


async def test_commands_go_where_the_keys_of_a_name_are_and_one_that_fails_fails_alone(layer):
    loop_layer = get_channel_layer().for_loop()
    await loop_layer.ready()
    names = [token() for _ in range(5)]
    keys = [f"{loop_layer.prefix}:mine:{{{name}}}".encode() for name in names]
    made = await loop_layer.exchange(
        [(name, command(b"SET", key, b"1")) for name, key in zip(names, keys, strict=True)]
    )
    assert made == [b"OK"] * 5
    script = b"return redis.call('INCR', KEYS[1])"
    counted, refused = await loop_layer.exchange(
        [(names[0], command(b"EVAL", script, b"1", keys[0])), (names[1], command(b"LPUSH", keys[1], b"1"))]
    )
    assert counted == 2
    assert isinstance(refused, WebSocketConnectionError)
    await get_channel_layer().flush()
