"""The application of the tests, which tells what garbage there is, and makes some where that is asked for."""

from __future__ import annotations

import gc
import json
from typing import Any

from django_fastws import garbage
from tests.site.asgi import application as inner

garbage._LOOK_SECONDS = 0.05
gc.disable()  # collections are those that are asked for


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "websocket" or scope["path"] != "/garbage":
        held: list[Any] = [[] for _ in range(200)] if scope.get("query_string") == b"leak" else []
        if held:
            held.append(held)
        await inner(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    found = gc.collect() if scope["query_string"] == b"collect" else 0
    said = {"found": found, "frozen": gc.get_freeze_count(), "others": len(gc.get_objects())}
    await send({"type": "websocket.send", "text": json.dumps(said)})
    await send({"type": "websocket.close"})
