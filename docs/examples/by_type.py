"""A desk as many projects write it: one handler, and an if/elif over the type of each message."""

from django.utils import timezone
from django_fastws import FastWS, WebSocket

app = FastWS(prefix="/ws")


@app.websocket("/desk/{pk:int}", login_required=True)
async def desk(ws: WebSocket, pk: int):
    await ws.accept()
    await ws.join(f"desk-{pk}")
    async for message in ws:
        try:
            data = message.json()
            kind, text = data["type"], data.get("text", "")
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError):
            await ws.send({"type": "error", "id": None, "message": "bad message"})
            continue
        if kind == "say":
            if not text or len(text) > 2000:
                await ws.send({"type": "error", "id": data.get("id"), "message": "1 to 2000 characters"})
                continue
            said = {"type": "said", "who": ws.user.get_username(), "text": text}
            await ws.broadcast(f"desk-{pk}", said)
            await ws.send({"type": "answer", "id": data.get("id"), "value": len(text)})
        elif kind == "typing":
            typing = {"type": "typing", "who": ws.user.get_username()}
            await ws.broadcast(f"desk-{pk}", typing, exclude_self=True)
        elif kind == "time":
            await ws.send({"type": "answer", "id": data.get("id"), "value": timezone.now()})
        else:
            await ws.send({"type": "error", "id": data.get("id"), "message": f"what is {kind!r}?"})
