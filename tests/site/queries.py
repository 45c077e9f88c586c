"""Handlers that use the database, and one that waits in it."""

from __future__ import annotations

import threading
from typing import Any

from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.db.backends.signals import connection_created

from django_fastws import FastWS, WebSocket

app = FastWS(prefix="/ws/queries", tags=["site", "queries"])

_blocks: dict[str, threading.Event] = {}


def _wait_for(token: str) -> str:
    """The SQL function wait_for() on SQLite: waits until somebody releases the token."""
    _blocks[token] = threading.Event()
    _blocks[token].wait()
    return token


def _add_functions(connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function("wait_for", 1, _wait_for)


connection_created.connect(_add_functions)


def run(query: str) -> dict[str, Any]:
    """Run a query: its rows, and which thread and connection it ran in."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        rows = cursor.fetchall() if cursor.description else []
        return {
            "rows": rows,
            "thread": threading.current_thread().name,
            "backend": connection.connection.info.backend_pid if connection.vendor == "postgresql" else 0,
        }


async def ask(query: str, how: str = "sync_to_async") -> dict[str, Any]:
    """Run a query in one way or another; errors are told."""
    try:
        if how == "orm":
            return {"rows": [[await User.objects.filter(username="ada").acount()]]}
        wrap: Any = sync_to_async if how == "sync_to_async" else database_sync_to_async
        result: dict[str, Any] = await wrap(run)(query)
        return result
    except DatabaseError as error:
        return {"error": type(error).__name__}


@app.websocket("/run")
async def run_queries(ws: WebSocket) -> None:
    """Runs every query that is sent."""
    await ws.accept()
    async for message in ws:
        await ws.send_json(await ask(**message.json()))


@app.websocket("/consumer")
class Consumer(AsyncJsonWebsocketConsumer):
    """The same as a consumer."""

    async def receive_json(self, content: Any) -> None:
        await self.send_json(await ask(**content))


@app.websocket("/sync-consumer")
class SyncConsumer(JsonWebsocketConsumer):
    """The same as a consumer that runs in a thread altogether."""

    def receive_json(self, content: Any) -> None:
        try:
            self.send_json(run(content["query"]))
        except DatabaseError as error:
            self.send_json({"error": type(error).__name__})


@app.websocket("/names")
async def names(ws: WebSocket) -> None:
    """Reads the users one by one, and waits for the client between them."""
    await ws.accept()
    async for user in User.objects.order_by("username").aiterator(chunk_size=1):
        await ws.send(user.username)
        await ws.receive()


@app.websocket("/user")
async def user(ws: WebSocket) -> None:
    """Says who is logged in."""
    await ws.accept()
    await ws.send_json(
        {"user": ws.user.username, "users": await User.objects.filter(username=ws.user.username).acount()}
    )


@app.websocket("/waiting")
async def waiting(ws: WebSocket) -> None:
    """Says which tokens are waited for on SQLite; releases those that are sent."""
    await ws.accept()
    await ws.send_json(sorted(_blocks))
    async for message in ws:
        _blocks[str(message)].set()
        await ws.send("released")


@app.websocket("/threads")
async def threads(ws: WebSocket) -> None:
    """The threads of the process that run the sync code of handlers."""
    await ws.accept()
    await ws.send_json([thread.name for thread in threading.enumerate() if "fastws" in thread.name])
