"""Applications that answer with whatever a test wants: a consumer class, and plain ASGI beside it."""

from __future__ import annotations

import ast
from typing import Any
from urllib.parse import parse_qs

from channels.consumer import AsyncConsumer, SyncConsumer
from channels.exceptions import StopConsumer

from django_fastws import FastWS
from django_fastws.asgi import get_asgi_application

from .asgi import application as _  # noqa: F401 (sets Django up)

__all__ = ["application"]

app = FastWS(prefix="/ws/answering", tags=["site", "answering"])


def script_of(scope: Any) -> Any:
    """The messages of a test: a Python literal in the query string."""
    return ast.literal_eval(parse_qs(scope["query_string"].decode())["script"][0])


@app.websocket("/consumer")
class Consumer(AsyncConsumer):
    """Sends the messages of a script, in the middle of its connecting."""

    async def websocket_connect(self, event: Any) -> None:
        for message in script_of(self.scope):
            await self.send(message)

    async def websocket_receive(self, event: Any) -> None:
        await self.send({"type": "websocket.send", "text": event["text"]})

    async def websocket_disconnect(self, event: Any) -> None:
        raise StopConsumer


@app.websocket("/sync")
class SyncedConsumer(SyncConsumer):
    """Likewise from a thread."""

    def websocket_connect(self, event: Any) -> None:
        for message in script_of(self.scope):
            self.send(message)

    def websocket_disconnect(self, event: Any) -> None:
        raise StopConsumer


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """Likewise without any class."""
    await receive()
    for message in script_of(scope):
        await send(message)
    if scope["type"] == "websocket":
        while (await receive())["type"] != "websocket.disconnect":
            pass


def beside(inner: Any) -> Any:
    """Middleware that has an application of its own on one path."""

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        await (plain if scope["path"] == "/plain" else inner)(scope, receive, send)

    return dispatch


whole = get_asgi_application(websocket_middleware=[beside])


async def application(scope: Any, receive: Any, send: Any) -> None:
    """HTTP on one path goes past Django."""
    is_plain = scope["type"] == "http" and scope["path"] == "/plain"
    await (plain if is_plain else whole)(scope, receive, send)
