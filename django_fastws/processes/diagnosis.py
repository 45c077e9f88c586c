"""Diagnosis of a handshake: an application that tells a client who has a pass what the server has seen of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from ..types import ASGIApp, CallScope, Receive, Send
from .passes import PASS_HEADER, passes
from .responder import current_responder

__all__ = ["diagnosis_of"]

_LONGEST_SECONDS = 3700.0  # that such a socket is open: an hour of silence is the longest that is tried
_TOLD = frozenset(
    {
        b"host",
        b"origin",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"forwarded",
        b"x-real-ip",
        b"via",
    }
)


def diagnosis_of(scope: CallScope) -> ASGIApp | None:
    """The application for a handshake that has a valid pass, which is used up by that; None for any other."""
    for name, value in scope.get("headers") or ():
        if name == PASS_HEADER:
            return _diagnose if passes.take(value.decode("latin-1")) else None
    return None


async def _diagnose(scope: CallScope, receive: Receive, send: Send) -> None:
    """Accept, tell what was seen, and be silent until the client leaves."""
    if (await receive())["type"] != "websocket.connect":
        return
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": json.dumps(_seen(scope))})
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            while (await receive())["type"] != "websocket.disconnect":
                pass
    except TimeoutError:
        await send({"type": "websocket.close", "code": 1000})


def _seen(scope: CallScope) -> dict[str, Any]:
    headers: dict[str, str] = {}
    for raw_name, value in scope.get("headers") or ():
        if raw_name in _TOLD:
            name, text = raw_name.decode("latin-1"), value.decode("latin-1")
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
    client: Any = scope.get("client")
    return {
        "process": current_responder().name,
        "client": None if client is None else [str(client[0]), int(client[1])],
        "scheme": scope.get("scheme", "ws"),
        "path": scope.get("path", ""),
        "headers": headers,
    }
