"""WebSockets for Django, in and out.

from django_fastws import FastWS, WebSocket

app = FastWS()

@app.websocket("/echo")
async def echo(ws: WebSocket):
    await ws.accept()
    async for message in ws:
        await ws.send(message.data)
"""

import typing as _typing

from ._core.parameters import Query
from .exceptions import (
    HistoryUnavailable,
    InvalidMessage,
    LiveError,
    MessageTooBig,
    Reconnect,
    RouteError,
    WebSocketConnectionError,
    WebSocketDisconnect,
    WebSocketError,
    WebSocketException,
    WebSocketStateError,
)
from .fastws import FastWS
from .rooms import History, Latest, Position, Room, Stored
from .users import adisconnect, disconnect
from .websocket import ClientState, WebSocket, WebSocketMessage

if _typing.TYPE_CHECKING:
    from httpx2 import Response

    from .live import Event, LiveSocket

__all__ = [
    "ClientState",
    "Event",
    "FastWS",
    "History",
    "HistoryUnavailable",
    "InvalidMessage",
    "Latest",
    "LiveError",
    "LiveSocket",
    "MessageTooBig",
    "Position",
    "Query",
    "Reconnect",
    "Response",
    "Room",
    "RouteError",
    "Stored",
    "WebSocket",
    "WebSocketConnectionError",
    "WebSocketDisconnect",
    "WebSocketError",
    "WebSocketException",
    "WebSocketMessage",
    "WebSocketStateError",
    "adisconnect",
    "disconnect",
]

__version__ = "0.1.0"

_LIVE = frozenset({"Event", "LiveSocket"})


def __getattr__(name: str) -> _typing.Any:
    # Only processes that send requests pay for the HTTP library, and only those that declare live rooms for pydantic.
    if name == "Response":
        from httpx2 import Response

        return Response
    if name in _LIVE:
        from . import live

        return getattr(live, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
