"""Handlers for the end of a server. What they have to tell they print: nobody could ask for it afterwards."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from django_fastws import FastWS, Room, WebSocket, WebSocketDisconnect

from .reports import tell, told

app = FastWS(prefix="/ws", tags=["site", "ends"])


def say(token: str, **facts: Any) -> None:
    """Print what a test looks for in the log."""
    print(json.dumps({"token": token, **facts}), flush=True)


@app.websocket("/stop/{how}/{token}")
async def stop(ws: WebSocket, how: str, token: str, room: str = "", seconds: float = 0.0) -> None:
    """Receives, or sends, or waits, until it is over; then takes its time."""
    await ws.accept()
    if room:
        await ws.join(room)
    await ws.send("here")
    try:
        if how == "for":
            async for _ in ws:
                pass
            say(token, code=ws.close_code, reason=ws.close_reason)
        elif how == "send":
            while True:
                await ws.send("tick")
                await asyncio.sleep(0.01)
        elif how == "wait":
            await asyncio.Event().wait()
        elif how == "block":
            await ws.receive()
            say(token, blocks=True)
            time.sleep(60)
        else:
            await ws.receive()
    except WebSocketDisconnect as error:
        say(token, code=error.code, reason=error.reason)
        raise
    except asyncio.CancelledError:
        say(token, cancelled=True)
        raise
    finally:
        await asyncio.sleep(seconds)
        if room:
            await Room(room).abroadcast("left")
        say(token, finished=True)


@app.websocket("/busy/{token}")
async def busy(ws: WebSocket, token: str) -> None:
    """Receives nothing until it is told to go on; then counts what it gets."""
    await ws.accept()
    await told(f"accept {token}")
    messages = 0
    async for _ in ws:
        messages += 1
    tell(token, messages=messages, code=ws.close_code)
