"""A crowd: sockets of several routes, rooms of many sizes, and users whom nobody has in a database.

It is what the console is measured and looked at with.
"""

from __future__ import annotations

from typing import Any

from django_fastws import FastWS, History, LiveSocket, WebSocket

app = FastWS()
tickets = app.room("tickets/{pk:int}", history=History(100), presence=True)


@app.websocket("/chat/{room}")
async def chat(ws: WebSocket, room: str) -> None:
    """What a member says, all members get."""
    await ws.accept()
    await ws.join(f"chat-{room}")
    async for message in ws:
        await ws.broadcast(f"chat-{room}", message.text or "")


@app.websocket("/prices/{symbol}")
async def prices(ws: WebSocket, symbol: str) -> None:
    """A member of two rooms, who only listens."""
    await ws.accept()
    await ws.join(f"prices-{symbol}")
    await ws.join("prices-all")
    async for _ in ws:
        pass


@tickets.on("say")
async def say(ws: LiveSocket, room: Any, text: str) -> None:
    """Tell all members."""
    await room.abroadcast({"text": text}, event="said")


class CrowdUsers:
    """ASGI middleware that takes the number in the query for the primary key of a user.

    Args:
        inner: the application inside.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Put the user into the scope."""
        from django.contrib.auth.models import User

        number = scope["query_string"].decode().removeprefix("as=")
        if number.isdecimal():
            name = f"{_NAMES[int(number) % len(_NAMES)]}{number}"
            scope = {**scope, "user": User(pk=int(number), username=name, email=f"{name}@example.com")}
        await self._inner(scope, receive, send)


_NAMES = ("ada", "grace", "alan", "edsger", "barbara", "donald", "frances", "ken", "margaret", "tim")
