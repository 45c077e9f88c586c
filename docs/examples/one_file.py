"""A server in one file: ``python main.py``."""

from django_fastws import FastWS, WebSocket

app = FastWS()


@app.websocket("/rooms/{room}")
async def talk(ws: WebSocket, room: str, name: str = "Anonymous"):
    await ws.accept()
    await ws.join(room)
    async for message in ws:
        await ws.broadcast(room, {"name": name, "text": message.text})


if __name__ == "__main__":
    app.serve(host="127.0.0.1", port=8000)
