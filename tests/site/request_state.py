"""Handlers that say what Django makes of their connection: script prefix, language."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from django.urls import get_script_prefix, reverse
from django.utils import translation

from django_fastws import FastWS, WebSocket
from django_fastws.routing import reverse_ws

app = FastWS(prefix="/ws/state", tags=["site"])


def state() -> dict[str, Any]:
    """What there is, wherever this is called."""
    return {
        "prefix": get_script_prefix(),
        "page": reverse("hello"),
        "socket": reverse_ws("state"),
        "language": translation.get_language(),
        "month": translation.gettext("January"),
    }


@app.websocket("/function", name="state")
async def function(ws: WebSocket) -> None:
    """Tells of itself and of its thread, at every message."""
    await ws.accept()
    while True:
        await ws.send_json([state(), await sync_to_async(state)()])
        await ws.receive()


@app.websocket("/consumer")
class Consumer(AsyncJsonWebsocketConsumer):
    """The same as a consumer."""

    async def connect(self) -> None:
        await self.accept()
        await self.send_json([state(), await sync_to_async(state)()])


@app.websocket("/sync-consumer")
class SyncConsumer(JsonWebsocketConsumer):
    """The same as a consumer that runs in a thread altogether."""

    def connect(self) -> None:
        self.accept()
        self.send_json([state(), state()])
