"""Who is gone, and what lasts too long."""

import asyncio
import contextlib

from django_fastws import FastWS, WebSocket, WebSocketDisconnect

app = FastWS(prefix="/ws")

PATIENCE_SECONDS = 60
BEAT_SECONDS = 30


@app.websocket("/idle", idle_timeout=60)
async def idle(ws: WebSocket):
    await ws.accept()
    async for message in ws:
        await ws.send(message.data)


@app.websocket("/patient")
async def patient(ws: WebSocket):
    await ws.accept()
    while not ws.closed:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                message = await ws.receive()
        except TimeoutError:
            await ws.send({"type": "are you there?"})
        else:
            await ws.send(message.data)


@app.websocket("/limited", max_lifetime=3600)
async def limited(ws: WebSocket):
    await ws.accept()
    async for message in ws:
        await ws.send(message.data)


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
