from django_fastws import FastWS, WebSocket

app = FastWS(prefix="/ws")


@app.websocket("/chat/{room}")
async def chat(ws: WebSocket, room: str, username: str = "Anonymous"):
    await ws.accept()
    await ws.join(room)
    async for message in ws:
        await ws.broadcast(room, {"username": username, "message": message.text})
