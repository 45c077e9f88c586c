"""The chat's server: one function."""

from django.utils import timezone

from django_fastws import FastWS, Room, WebSocket

MAX_NAME, MAX_TEXT, MAX_ID = 40, 2000, 64  # characters

app = FastWS(prefix="/ws", tags=["chat"])


@app.websocket("/chat/{room:path}")
async def chat(ws: WebSocket, room: str, name: str = "") -> None:
    """Say who comes, what they write and who goes, to everyone in the room."""
    signed_in = ws.user.is_authenticated
    name = ws.user.get_username() if signed_in else " ".join(name.split())[:MAX_NAME].strip() or f"Guest-{ws.id[:4]}"
    who = {"name": name, "signed_in": signed_in}
    here = Room(f"chat/{room}")  # a chat called "news" is not the room of the news

    await ws.accept()
    await ws.join(here)
    await ws.send({"type": "welcome", **who})
    await ws.broadcast(here, {"type": "user_joined", **who, "at": timezone.now()}, exclude_self=True)
    try:
        async for message in ws:
            try:
                sent = message.json()
                text, key = sent["text"].strip(), sent.get("id")
            except (ValueError, TypeError, KeyError, AttributeError):
                await ws.send({"type": "error", "id": None, "message": 'Send JSON such as {"text": "hello"}.'})
                continue
            if not isinstance(key, str | None) or len(key or "") > MAX_ID:
                key, problem = None, f"An id is a string of at most {MAX_ID} characters."
            elif not text:
                problem = "There is nothing in this message."
            elif len(text) > MAX_TEXT:
                problem = f"This message has {len(text)} characters, and {MAX_TEXT} are the most."
            else:
                # The page knows its own message by the id, and that it has arrived.
                said = {"type": "message", "id": key, **who, "text": text, "at": timezone.now()}
                await ws.broadcast(here, said)
                continue
            await ws.send({"type": "error", "id": key, "message": problem})
    finally:  # however the connection ended
        await ws.broadcast(here, {"type": "user_left", **who, "at": timezone.now()}, exclude_self=True)
