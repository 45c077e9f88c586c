"""The main path, end to end."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect as ws_connect

from django_fastws.testing import connect


async def test_echo_through_the_test_client():
    async with connect("/ws/echo") as ws:
        await ws.send("hello")
        assert await ws.receive_text(timeout=2) == "hello"


@pytest.mark.server
@pytest.mark.redis
async def test_a_room_spans_two_daphnes(serve, redis_layer):
    one, two = serve("daphne", layer=redis_layer), serve("daphne", layer=redis_layer)
    async with (
        ws_connect(one.url("/ws/room/größe?name=ada")) as ada,
        ws_connect(two.url("/ws/room/größe?name=bob")) as bob,
    ):
        assert json.loads(await asyncio.wait_for(ada.recv(), 5)) == {"type": "user_joined", "name": "bob"}
        await bob.send("hi")
        for ws in (ada, bob):
            assert json.loads(await asyncio.wait_for(ws.recv(), 5))["text"] == "hi"
