"""Handlers for the servers of the tests."""

from __future__ import annotations

from django_fastws import FastWS, WebSocket

from . import (  # noqa: F401 (their routes)
    browser,
    ends,
    identity,
    limited,
    live,
    members,
    mistakes,
    patterns,
    present,
    queries,
    request_state,
    sockets,
)

app = FastWS(prefix="/ws", tags=["site"])


@app.websocket("/echo", tags=["basic"])
async def echo(ws: WebSocket) -> None:
    """Sends back what comes, of the same kind."""
    await ws.accept()
    async for message in ws:
        await ws.send(message.data)


@app.websocket("/room/{room}")
async def room(ws: WebSocket, room: str, name: str = "Anonymous") -> None:
    """A chat room: tells who comes, what they say, and who goes."""
    await ws.accept()
    await ws.join(room)
    await ws.broadcast(room, {"type": "user_joined", "name": name}, exclude_self=True)
    try:
        async for message in ws:
            await ws.broadcast(room, {"type": "message", "name": name, "text": message.text})
    finally:
        await ws.broadcast(room, {"type": "user_left", "name": name})
