"""Handlers for rooms: a member that does what it is told, and a look into the process."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from django_fastws import FastWS, Room, WebSocket, WebSocketConnectionError
from tests.support.hubs import hub_state

app = FastWS(prefix="/ws", tags=["site", "rooms"])


@app.websocket("/member")
async def member(ws: WebSocket, room: list[str] = []) -> None:  # noqa: B006 (each call gets a copy)
    """Joins rooms and says its id; then does what it is told, and answers ``{"done": ...}``."""
    await ws.accept()
    for name in room:
        await ws.join(name)
    await ws.send_json({"id": ws.id})
    async for message in ws:
        command = message.json()
        done = await _do(ws, **command)
        if not command.get("quiet"):
            await ws.send_json({"done": done})


async def _do(ws: WebSocket, do: str, room: str = "", data: Any = None, **more: Any) -> Any:
    if do == "join":
        await ws.join(room)
    elif do == "leave":
        await ws.leave(Room(room))
    elif do == "broadcast":
        await ws.broadcast(room, data, exclude_self=more.get("exclude_self", False))
    elif do == "exclude":
        await Room(room).abroadcast(data, exclude=more["exclude"])
    elif do == "bytes":
        await Room(room).abroadcast(bytes.fromhex(data))
    elif do == "count":
        for number in range(data):
            await ws.broadcast(room, f"{more['prefix']}{number}")
    elif do == "flood":
        for _ in range(more["times"]):
            await ws.broadcast(room, "x" * data)
    elif do == "race":
        calls = {"join": ws.join, "leave": ws.leave}
        await asyncio.gather(*(calls[call](name) for call, name in data))
    elif do == "try":
        try:
            await _do(ws, room=room, data=data, do=more["to"], exclude_self=True)
        except WebSocketConnectionError as error:
            return str(error)
    elif do == "rooms":
        return sorted(ws.rooms)
    elif do == "close":
        await ws.close(4000)
    elif do == "close and live on":
        await ws.close(4000)
        await asyncio.sleep(5)
    else:
        raise ValueError(do)
    return None


@app.websocket("/ends/{how}")
async def ends(ws: WebSocket, how: str, room: str, token: str = "") -> None:
    """A member that ends in one way or another when it is sent something; it never leaves the room by itself."""
    await ws.accept()
    await ws.join(room)
    await ws.send_text("joined")
    await ws.receive()
    if how == "error":
        raise RuntimeError(f"on purpose: {token}")
    if how == "close":
        await ws.close(4000)
    if how == "cancel":
        task = asyncio.current_task()
        assert task is not None
        task.cancel(f"on purpose: {token}")
        await asyncio.sleep(0)


@app.websocket("/consumer/{room}")
class Consumer(AsyncJsonWebsocketConsumer):
    """A consumer of Channels', which uses groups as such do."""

    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()
        await self.send_json("joined")

    async def receive_json(self, content: Any) -> None:
        await self.channel_layer.group_send(self.room, {"type": "said", "content": content})

    async def said(self, event: dict[str, Any]) -> None:
        await self.send_json(event["content"])

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)


@app.websocket("/inspect")
async def inspect(ws: WebSocket) -> None:
    """Says who is in which room of this process, by the names of the layer's groups."""
    await ws.accept()
    async for message in ws:
        if message.json().get("collect"):
            gc.collect()
        hub = hub_state()
        await ws.send_json(
            {
                "rooms": hub.rooms,
                "subscribes": hub.is_open,
                "tasks": len(asyncio.all_tasks()),
                "sockets": sum(type(thing) is WebSocket for thing in gc.get_objects()),
            }
        )
