"""A layer with Redis in the process of the test, and members of its rooms."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from channels.layers import get_channel_layer

from django_fastws.layer import layer_status
from django_fastws.testing import connect as connect_inside
from tests.site.client import LIMIT

LOST, BACK = "Lost the channel layer", "The channel layer is back after "


class Inside:
    """A layer of this process, and members of its rooms."""

    def __init__(self, settings: Any, *urls: Any, **config: Any) -> None:
        layer = {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"hosts": list(urls), **config}}
        settings.CHANNEL_LAYERS = {"default": layer}
        self._stack = AsyncExitStack()

    async def member(self, room: str) -> Any:
        ws = await self._stack.enter_async_context(connect_inside(f"/ws/member?room={room}"))
        await ws.receive_json()
        return ws

    async def close(self) -> None:
        await self._stack.aclose()
        await get_channel_layer().flush()


async def is_lost() -> bool:
    return not layer_status().is_reachable


async def is_reachable() -> bool:
    return layer_status().is_reachable


async def texts(ws: Any, count: int) -> list[str]:
    async with asyncio.timeout(LIMIT):
        return [await ws.receive_text() for _ in range(count)]
