"""The client's end of the servers that a reader starts. Every wait has a limit."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from websockets.asyncio.client import connect as ws_connect

from tests.docs.reader import Server

__all__ = ["LIMIT", "chatting", "heard", "join", "until"]

LIMIT = 40  # seconds that any one thing may take


def join(server: Server, path: str, **options: Any) -> Any:
    """Connect to a server. Options are those of websockets."""
    return ws_connect(server.url(path), open_timeout=LIMIT, proxy=None, **options)


async def heard(ws: Any, expected: Any) -> None:
    """Wait for a message, passing over others."""
    seen = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LIMIT):
            while True:
                message = await ws.recv()
                with contextlib.suppress(ValueError):
                    message = json.loads(message)
                if message == expected:
                    return
                seen.append(message)
    raise AssertionError(f"{expected!r} did not come, but {seen!r}")


async def chatting(*sockets: Any, echo: Any = lambda text: {"username": "Anonymous", "message": text}) -> None:
    """Wait until every socket is in its room: each hears itself."""
    for number, ws in enumerate(sockets):
        await ws.send(f"here is number {number}")
        await heard(ws, echo(f"here is number {number}"))


async def until(condition: Any) -> None:
    """Look again until it is true; for what a server writes to its log."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 (another process writes it)
            await asyncio.sleep(0.02)
