"""Messages of either kind."""

from django_fastws import FastWS, WebSocket

app = FastWS(prefix="/ws")


@app.websocket("/inbox")
async def inbox(ws: WebSocket):
    await ws.accept()
    async for message in ws:
        if message.text is None:
            await ws.send({"kind": "binary", "bytes": len(message.data)})
            continue
        try:
            command = message.json()
        except ValueError:
            await ws.send({"kind": "text", "text": message.text})
        else:
            await ws.send({"kind": "json", "value": command})
