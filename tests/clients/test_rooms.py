"""A feed from outside, broadcast to the sockets of a real server."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect as ws_connect

from django_fastws import Room

from .conftest import running
from .peers import listen


@pytest.mark.server
@pytest.mark.redis
async def test_a_broadcast_of_an_outbound_handler_reaches_the_sockets_of_a_daphne(
    app, peer, serve, redis_layer, settings
):
    settings.CHANNEL_LAYERS = {"default": redis_layer}
    daphne = await asyncio.to_thread(serve, "daphne", layer=redis_layer)
    joined = asyncio.Event()

    async def feed(ws, visit):
        await joined.wait()
        for price in (1, 2, 3):
            await ws.send(json.dumps({"price": price}))
        await listen(ws, visit)

    server = await peer(feed)

    @app.ws(server.url)
    async def relay(ws):
        async for message in ws:
            await Room("market").abroadcast(message.json())

    async with ws_connect(daphne.url("/ws/room/market?name=ada")) as ada, running(app):
        await ada.send("joined")
        assert json.loads(await asyncio.wait_for(ada.recv(), 20))["text"] == "joined"
        joined.set()
        got = [json.loads(await asyncio.wait_for(ada.recv(), 20)) for _ in range(3)]
    assert got == [{"price": 1}, {"price": 2}, {"price": 3}]
