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
from importlib import import_module as _import_module

from ._core.parameters import Query
from ._core.version import __version__ as __version__  # also for type checkers
from .exceptions import (
    HistoryUnavailable,
    InvalidMessage,
    LiveError,
    MessageTooBig,
    PresenceUnavailable,
    Reconnect,
    RouteError,
    WebSocketConnectionError,
    WebSocketDisconnect,
    WebSocketError,
    WebSocketException,
    WebSocketStateError,
)
from .fastws import FastWS
from .rooms import History, Latest, Position, Presence, Present, Room, Stored
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
    "Presence",
    "PresenceUnavailable",
    "Present",
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

_LIVE = frozenset({"Event", "LiveSocket"})


def __getattr__(name: str) -> _typing.Any:
    # Only processes that send requests pay for the HTTP library, and only those that declare live rooms for pydantic.
    if name == "Response":
        from httpx2 import Response

        return Response
    if name in _LIVE:
        from . import live

        return getattr(live, name)
    if name == "views":  # for urls.py: django_fastws.views.publish
        return _import_module(".views", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
