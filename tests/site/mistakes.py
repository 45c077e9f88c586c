"""Handlers with mistakes that a beginner makes."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.http import Http404

from django_fastws import FastWS, WebSocket

app = FastWS(prefix="/ws/mistakes", tags=["site"])


@app.websocket("/forgotten")
async def forgotten(ws: WebSocket) -> None:
    """Forgets to await what it sends."""
    await ws.accept()
    async for message in ws:
        ws.send("on purpose")  # type: ignore[unused-coroutine]  # noqa: RUF100
        await ws.send(f"behind {message.text}")


@app.websocket("/unaccepted")
async def unaccepted(ws: WebSocket) -> None:
    """Forgets to accept."""


@app.websocket("/number")
async def number(ws: WebSocket, pk: int) -> None:
    """Takes a number."""
    await ws.accept()


@app.websocket("/missing")
async def missing(ws: WebSocket) -> None:
    """Finds nothing."""
    raise Http404('no "such\nthing')


@app.websocket("/late")
async def late(ws: WebSocket) -> None:
    """Thinks for longer than a server waits."""
    await asyncio.sleep(3)
    await ws.accept()


@app.websocket("/consumer")
class Consumer(AsyncWebsocketConsumer):
    """Does not accept."""

    async def connect(self) -> Any:
        """Neither accepts nor closes."""


@app.websocket("/blocking")
async def blocking(ws: WebSocket) -> None:
    """Blocks the event loop until that is in the log."""
    said = Said()
    logging.getLogger("django_fastws.loop").addHandler(said)
    await ws.accept()
    await ws.receive()
    deadline = time.monotonic() + 20
    while not said.records and time.monotonic() < deadline:
        time.sleep(0.01)
    await ws.send("done")


class Said(logging.Handler):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
