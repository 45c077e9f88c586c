"""Bare ASGI, with nothing between the server and a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

from bench.messages import READY

_encode = json.JSONEncoder(separators=(",", ":")).encode


def _echo_with(again: Callable[[str], str]) -> Callable[[Any, Any, Any], Any]:
    """An application that answers every message; on any path but the echo's it says hello first."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            raise ValueError(f"no {scope['type']} here")
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] != "/echo":
            await send({"type": "websocket.send", "text": READY})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": again(event["text"])})

    return application


#: With Python's own JSON, as Channels and Starlette do.
application = _echo_with(lambda text: _encode(json.loads(text)))
#: With the JSON of this package.
with_orjson = _echo_with(lambda text: orjson.dumps(orjson.loads(text)).decode())
