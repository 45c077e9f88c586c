"""Routes under limits, in the test's own process, and how their handshakes end."""

from __future__ import annotations

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from django.contrib.auth.models import User

from django_fastws import FastWS
from django_fastws.asgi import get_asgi_application
from django_fastws.testing import HandshakeDenied, connect

__all__ = ["ADA", "BOB", "EVERY_KIND", "AsyncEcho", "SyncEcho", "application", "denial", "echo", "outcome", "serve"]

ADA, BOB = User(pk=1, username="ada"), User(pk=2, username="bob")


async def echo(ws):
    await ws.accept()
    async for message in ws:
        await ws.send(message.data)


class AsyncEcho(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data, bytes_data)


class SyncEcho(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data, bytes_data)


EVERY_KIND = pytest.mark.parametrize("handler", [echo, AsyncEcho, SyncEcho], ids=["function", "async", "sync"])


def serve(handler=echo, path="/x", **limits):
    FastWS().websocket(path, **limits)(handler)
    return handler


def application(host="192.0.2.1"):
    """All routes, for clients of this address."""
    inner = get_asgi_application()

    async def from_there(scope, receive, send):
        await inner({**scope, "client": None if host is None else (host, 5000)}, receive, send)

    return from_there


async def outcome(path="/x", application=application, host="192.0.2.1", **options):
    """101 where the handshake is accepted, else the status and the text."""
    try:
        async with connect(path, application=application(host), **options):
            return 101
    except HandshakeDenied as denied:
        return denied.status, denied.text


async def denial(path="/x", host="192.0.2.1", **options):
    with pytest.raises(HandshakeDenied) as raised:
        async with connect(path, application=application(host), **options):
            pass
    return raised.value
