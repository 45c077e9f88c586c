"""Heartbeat in the event loop of a server: how long it stands still, as a socket asks."""

from __future__ import annotations

import asyncio
import time
from typing import Any

__all__ = ["PATH", "Heartbeat", "with_heartbeat"]

#: The path that tells the longest pause since it was asked before, in milliseconds.
PATH = "/pause"
_BEAT_SECONDS = 0.002


class Heartbeat:
    """Timer that tells by how much it is late, at most; it begins when it is first asked."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._due = 0.0

    def take(self) -> str:
        """The longest pause since this was called before, in milliseconds; in the event loop."""
        if not self._due:
            self._plan()
        longest, self._longest = max(self._longest, time.perf_counter() - self._due), 0.0
        return f"{1e3 * longest:.3f}"

    def _plan(self) -> None:
        self._due = time.perf_counter() + _BEAT_SECONDS
        asyncio.get_running_loop().call_later(_BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        self._longest = max(self._longest, time.perf_counter() - self._due)
        self._plan()


def with_heartbeat(inner: Any) -> Any:
    """An ASGI application that answers ``PATH`` itself, and leaves the rest to the one inside."""
    heartbeat = Heartbeat()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket" or scope["path"] != PATH:
            await inner(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": heartbeat.take()})
        await send({"type": "websocket.close", "code": 1000})

    return application
