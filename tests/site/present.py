"""Rooms that know who is in them, for the servers of the tests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django_fastws import FastWS, LiveSocket, Presence, Room, WebSocket
from django_fastws.signals import presence_joined, presence_left

app = FastWS(prefix="/ws")
here = app.room("here/{name}", presence=True)
crowd = app.room("crowd/{name}", presence=Presence(counts_only=True))

#: Where every process writes the signals that it sends, a line for each; "" for nowhere.
SIGNALS = os.environ.get("TEST_SIGNALS", "")


@here.card
async def card(ws: LiveSocket, name: str) -> dict[str, str]:
    """Who it is."""
    return {"name": ws.user.get_username()}


@here.on("show")
async def show(ws: LiveSocket, room: Room, name: str, card: dict[str, str]) -> None:
    """Shows another card."""
    await ws.set_presence(room, card)


@here.on("fill")
async def fill(ws: LiveSocket, name: str, size: int, times: int) -> None:
    """Sends the caller more than it may read."""
    for _ in range(times):
        await ws.emit("filling", "x" * size)


@app.websocket("/present/{room}")
async def present(ws: WebSocket, room: str) -> None:
    """Is present in a room here, with a card; says when it is so, and takes another card for each message."""
    await ws.accept()
    await ws.join(f"here/{room}", present={"name": ws.user.get_username()})
    await ws.send_json("present")
    async for message in ws:
        await ws.join(f"here/{room}", present=message.json())
        await ws.send_json("shown")


def _record(kind: str) -> Any:
    def write(room: str, key: str, meta: Any, **more: Any) -> None:
        line = json.dumps([kind, room, key, meta, os.getpid()])
        with Path(SIGNALS).open("a") as file:
            file.write(line + "\n")

    return write


if SIGNALS:
    _receivers = {kind: _record(kind) for kind in ("joined", "left")}
    presence_joined.connect(_receivers["joined"])
    presence_left.connect(_receivers["left"])
