"""An echo and a room in python-socketio, written as its documentation does; one process, so no message queue."""

from typing import Any

import socketio

server = socketio.AsyncServer(
    async_mode="asgi", transports=["websocket"], ping_interval=86_400, cors_allowed_origins="*"
)


@server.event
async def join(sid: str, room: str) -> None:
    """Become a member of a room."""
    await server.enter_room(sid, room)
    await server.emit("ready", to=sid)


@server.event
async def echo(sid: str, message: dict[str, Any]) -> None:
    """JSON in, JSON out."""
    await server.emit("echo", message, to=sid)


@server.event
async def say(sid: str, message: dict[str, Any]) -> None:
    """What a member says, all members get."""
    await server.emit("said", message, room="bench")


application = socketio.ASGIApp(server)
