"""Handlers for the tests of the test client."""

from django_fastws import FastWS
from django_fastws.testing import connect

__all__ = ["echo", "serve", "show", "shown"]


def serve(handler, path="/x"):
    FastWS().websocket(path)(handler)
    return handler


async def echo(ws):
    await ws.accept()
    async for message in ws:
        await ws.send(message.data)


async def show(ws, **kwargs):
    """Sends what a handler can know of its handshake."""
    await ws.accept(ws.scope["subprotocols"][0] if ws.scope["subprotocols"] else None, {"X-Answer": "größe"})
    await ws.send_json(
        {
            "path": ws.scope["path"],
            "raw_path": ws.scope["raw_path"].decode("latin-1"),
            "query": ws.scope["query_string"].decode("latin-1"),
            "host": ws.headers["host"],
            "headers": {name: value for name, value in ws.headers.items() if name.startswith("x-")},
            "cookies": ws.cookies,
            "origin": ws.headers.get("origin"),
            "url": ws.url,
        }
    )


async def shown(path, **kwargs):
    FastWS().websocket("/{rest:path}")(show)
    async with connect(path, **kwargs) as ws:
        return await ws.receive_json()
