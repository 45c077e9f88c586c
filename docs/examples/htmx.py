"""HTML over a socket, for htmx."""

from django.template.loader import render_to_string
from django_fastws import FastWS, WebSocket

app = FastWS(prefix="/ws")


@app.websocket("/lines/{room}")
async def lines(ws: WebSocket, room: str):
    await ws.accept()
    await ws.join(f"lines-{room}")
    async for message in ws:
        text = message.json()["text"]
        await ws.broadcast(f"lines-{room}", render_to_string("chat/line.html", {"text": text}))
