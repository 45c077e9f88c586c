"""WebSockets for Django, in and out.

from django_fastws import FastWS, WebSocket

app = FastWS()

@app.websocket("/echo")
async def echo(ws: WebSocket):
    await ws.accept()
    async for message in ws:
        await ws.send(message.data)
"""

from .exceptions import (
    MessageTooBig,
    WebSocketConnectionError,
    WebSocketDisconnect,
    WebSocketError,
    WebSocketException,
    WebSocketStateError,
)
from .fastws import FastWS
from .rooms import Room
from .websocket import ClientState, WebSocket, WebSocketMessage

__all__ = [
    "ClientState",
    "FastWS",
    "MessageTooBig",
    "Room",
    "WebSocket",
    "WebSocketConnectionError",
    "WebSocketDisconnect",
    "WebSocketError",
    "WebSocketException",
    "WebSocketMessage",
    "WebSocketStateError",
]

__version__ = "0.1.0"
