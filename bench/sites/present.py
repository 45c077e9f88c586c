"""Sockets that are present in a room, beside those of ``bench.sites.consumers``."""

from bench.messages import READY
from django_fastws import WebSocket

from .consumers import app

app.room("room-{number}", presence=True)


@app.websocket("/present/{room}")
async def present(ws: WebSocket, room: str) -> None:
    """Is present, and waits."""
    await ws.accept()
    await ws.join(room, present={"name": "ada"})
    await ws.send(READY)
    async for _ in ws:
        pass
