"""Who is gone, and what lasts too long."""

import asyncio
import contextlib

from django_fastws import FastWS, WebSocket, WebSocketDisconnect, WebSocketException

app = FastWS(prefix="/ws")

IDLE_SECONDS = 60
LIFETIME_SECONDS = 3600
BEAT_SECONDS = 30


@app.websocket("/idle")
async def idle(ws: WebSocket):
    await ws.accept()
    try:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                message = await ws.receive()
            await ws.send(message.data)
    except TimeoutError:
        raise WebSocketException(4408, "idle") from None


@app.websocket("/limited")
async def limited(ws: WebSocket):
    await ws.accept()
    try:
        async with asyncio.timeout(LIFETIME_SECONDS):
            async for message in ws:
                await ws.send(message.data)
    except TimeoutError:
        await ws.close(4408, "come again")


@app.websocket("/beating")
async def beating(ws: WebSocket):
    await ws.accept()
    heart = asyncio.create_task(beat(ws))
    try:
        async for message in ws:
            await ws.send(message.data)
    finally:
        heart.cancel()


async def beat(ws):
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await ws.send({"type": "beat"})
            await asyncio.sleep(BEAT_SECONDS)


@app.websocket("/measured")
async def measured(ws: WebSocket):
    await ws.accept()
    try:
        async with asyncio.timeout(5):
            seconds = await ws.ping()
    except TimeoutError:
        await ws.close(4408, "no pong")
    except NotImplementedError:
        await ws.send({"type": "unknown"})
    else:
        await ws.send({"type": "round_trip", "seconds": seconds})


@app.websocket("/ticking")
async def ticking(ws: WebSocket):
    await ws.accept()
    async with asyncio.TaskGroup() as tasks:
        ticker = tasks.create_task(tick(ws))
        async for message in ws:
            await ws.send({"type": "echo", "text": message.text})
        ticker.cancel()


async def tick(ws):
    for number in range(1_000_000):
        await ws.send({"type": "tick", "number": number})
        await asyncio.sleep(1)
