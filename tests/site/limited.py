"""Handlers behind limits and rules."""

from __future__ import annotations

import asyncio
from typing import Any

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from django_fastws import FastWS, WebSocket, WebSocketDisconnect

from .reports import tell, told

app = FastWS(prefix="/ws/limited", tags=["site", "limited"])


@app.websocket("/idle/{token}", idle_timeout=1.5)
@app.websocket("/lifetime/{token}", max_lifetime=1.5)
@app.websocket("/rate/{token}", rate="1/h burst 3")
@app.websocket("/size/{token}", max_message_bytes=1000)
@app.websocket("/user/{token}", login_required=True, max_connections_per_user=2)
@app.websocket("/free/{token}")
async def limited(ws: WebSocket, token: str) -> None:
    """Tells what it has received, and how it ended."""
    await ws.accept()
    await ws.join(f"limited {token}")
    await ws.send("ready")
    got: list[Any] = []
    raised = None
    try:
        while True:
            got.append(str((await ws.receive()).data)[:20])
    except WebSocketDisconnect as end:
        raised = [end.code, end.reason]
        raise
    finally:
        tell(token, got=got, raised=raised, closed=[ws.close_code, ws.close_reason])


@app.websocket("/few", max_connections=2)
async def few(ws: WebSocket) -> None:
    await ws.accept()
    await ws.receive()


@app.websocket("/slow-rate", handshake_rate="1/h")
async def seldom(ws: WebSocket) -> None:
    await ws.accept()


@app.websocket("/rule/{let}", permission=lambda ws: ws.path_params["let"] == "in")
async def rule(ws: WebSocket, let: str) -> None:
    await ws.accept()


@app.websocket("/pour/{token}")
async def pour(ws: WebSocket, token: str) -> None:
    """Sends without end and receives nothing; tells when the client takes no more."""
    await ws.accept()
    is_told = False
    try:
        while True:
            sending = asyncio.ensure_future(ws.send_bytes(b"x" * 60_000))
            await asyncio.wait([sending], timeout=0.3)
            if not sending.done() and not is_told:
                is_told = True
                tell(f"{token} is full")
            await sending
    except WebSocketDisconnect as end:
        tell(token, raised=[end.code, end.reason])


@app.websocket("/consumer/idle/{token}", idle_timeout=1.5)
@app.websocket("/consumer/lifetime/{token}", max_lifetime=1.5)
@app.websocket("/consumer/rate/{token}", rate="1/h burst 3")
@app.websocket("/consumer/size/{token}", max_message_bytes=1000)
@app.websocket("/consumer/user/{token}", login_required=True, max_connections_per_user=2)
class Limited(AsyncWebsocketConsumer):
    """The same as a consumer."""

    async def connect(self) -> None:
        self.got: list[Any] = []
        await self.accept()
        await self.send("ready")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.got.append(str(text_data or bytes_data)[:20])

    async def disconnect(self, code: int) -> None:
        tell(self.scope["url_route"]["kwargs"]["token"], got=self.got, raised=[code])


@app.websocket("/consumer/late/{token}")
class Late(AsyncWebsocketConsumer):
    """Accepts when it is told to, and sends."""

    async def connect(self) -> None:
        name = self.scope["url_route"]["kwargs"]["token"]
        tell(f"{name} waits")
        await told(f"accept {name}")
        await self.accept()
        await self.send("ready")

    async def disconnect(self, code: int) -> None:
        tell(self.scope["url_route"]["kwargs"]["token"], code=code)


@app.websocket("/consumer/fails/{how}")
class Failing(AsyncWebsocketConsumer):
    """Ends in one way or another at the first message."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        how = self.scope["url_route"]["kwargs"]["how"]
        if how == "close":
            await self.close(code=1013)
        elif how == "stop":
            raise StopConsumer
        raise RuntimeError(f"on purpose: {text_data}")
