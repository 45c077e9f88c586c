"""The sockets, written as a user of this package would."""

from bench.messages import READY
from django_fastws import FastWS, WebSocket

app = FastWS()


@app.websocket("/room/{room}")
async def room(ws: WebSocket, room: str) -> None:
    """What a member says, all members get."""
    await ws.accept()
    await ws.join(room)
    await ws.send(READY)
    async for message in ws:
        await ws.broadcast(room, message.json())


@app.websocket("/hello")
async def hello(ws: WebSocket) -> None:
    """A first message, and then nothing."""
    await ws.accept()
    await ws.send(READY)
    async for _ in ws:
        pass


@app.websocket("/rooms")
async def rooms(ws: WebSocket, room: list[str]) -> None:
    """A member of several rooms, who says in which one it speaks."""
    await ws.accept()
    for name in room:
        await ws.join(name)
    await ws.send(READY)
    async for message in ws:
        content = message.json()
        await ws.broadcast(content["room"], content)


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    """JSON in, JSON out."""
    await ws.accept()
    async for message in ws:
        await ws.send_json(message.json())
