"""Routes in the test's own process that say what they hear, and how handshakes with them end."""

from __future__ import annotations

from typing import Any

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer

from django_fastws import FastWS, WebSocket
from django_fastws.asgi import get_asgi_application
from django_fastws.testing import HandshakeDenied, connect

__all__ = ["EVERY_KIND", "AsyncEcho", "SyncEcho", "echo", "outcome", "serve", "status_of"]


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message.data)


class AsyncEcho(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data, bytes_data)


class SyncEcho(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data, bytes_data)


EVERY_KIND = pytest.mark.parametrize("handler", [echo, AsyncEcho, SyncEcho], ids=["function", "async", "sync"])


def serve(handler: Any = echo, path: str = "/x", **options: Any) -> Any:
    """Declare a route, which is all that ``routes``, the fixture, has; returns its handler."""
    FastWS().websocket(path, **options)(handler)
    return handler


async def outcome(path: str = "/x", application: Any = None, **options: Any) -> int | tuple[int, str]:
    """101 where the handshake is accepted, else the status and the text of the denial."""
    try:
        async with connect(path, application=application or get_asgi_application(), **options):
            return 101
    except HandshakeDenied as denied:
        return denied.status, denied.text


async def status_of(path: str = "/x", application: Any = None, **options: Any) -> int:
    """101 where the handshake is accepted, else the status of the denial."""
    found = await outcome(path, application, **options)
    return found if isinstance(found, int) else found[0]
