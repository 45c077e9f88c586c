"""Handlers that tell who serves them, and of which client."""

from __future__ import annotations

import asyncio
import os

from django_fastws import FastWS, WebSocket

app = FastWS(prefix="/ws")


@app.websocket("/where")
async def where(ws: WebSocket) -> None:
    """Tells who and what the handshake came to; then sends back what comes."""
    await ws.accept()
    await ws.send({"pid": os.getpid(), "client": ws.client, "scheme": ws.scope["scheme"]})
    async for message in ws:
        await ws.send(message.data)


@app.websocket("/stay")
async def stay(ws: WebSocket) -> None:
    """Goes on after the socket has closed, until it is cancelled, so that its process cannot end before."""
    await ws.accept()
    await ws.send({"pid": os.getpid()})
    try:
        async for _ in ws:
            pass
    finally:
        await asyncio.Event().wait()


@app.websocket("/member/{room}")
async def member(ws: WebSocket, room: str) -> None:
    """Broadcasts what comes to the room, and answers "ok" and the text as soon as the broadcast has been made."""
    await ws.accept()
    await ws.join(room)
    await ws.send(f"joined {os.getpid()}")
    async for message in ws:
        await ws.broadcast(room, message.data)
        await ws.send(f"ok {message.text}")


@app.websocket("/close/{code:int}")
async def close(ws: WebSocket, code: int) -> None:
    """Closes with a code."""
    await ws.accept()
    await ws.close(code, "on purpose")
