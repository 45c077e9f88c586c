"""One trace for each message."""

from django_fastws import FastWS, WebSocket
from opentelemetry import trace

app = FastWS(prefix="/ws")
tracer = trace.get_tracer("chat")


@app.websocket("/traced/{room}")
async def traced(ws: WebSocket, room: str):
    await ws.accept()
    await ws.join(room)
    async for message in ws:
        with tracer.start_as_current_span("chat message", attributes={"chat.room": room}):
            await ws.broadcast(room, message.text)
