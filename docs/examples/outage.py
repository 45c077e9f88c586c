"""The page says when messages are late."""

import asyncio

from django.dispatch import receiver
from django_fastws import FastWS, WebSocket
from django_fastws.signals import layer_lost, layer_restored

app = FastWS(prefix="/ws")
here: set[WebSocket] = set()  # the sockets of this process


@app.websocket("/board")
async def board(ws: WebSocket):
    await ws.accept()
    await ws.join("board")
    here.add(ws)
    try:
        async for message in ws:
            await ws.broadcast("board", message.text)
    finally:
        here.discard(ws)


@receiver(layer_lost)
async def say_late(sender, error, **kwargs):
    await tell({"type": "late"})


@receiver(layer_restored)
async def say_back(sender, error, seconds, **kwargs):
    await tell({"type": "back", "after": round(seconds)})


async def tell(data):
    await asyncio.gather(*(ws.send(data) for ws in here), return_exceptions=True)
