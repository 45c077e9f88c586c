"""The paths of routes."""

from django_fastws import FastWS, WebSocket
from django_fastws.routing import reverse_ws

app = FastWS(prefix="/ws")


@app.websocket("/chat/{room}", name="chat-room")
async def chat(ws: WebSocket, room: str):
    await ws.accept()


def paths():
    by_name = reverse_ws("chat-room", room="lobby")
    by_handler = reverse_ws(chat, room="lobby")
    assert by_name == by_handler == "/ws/chat/lobby"
