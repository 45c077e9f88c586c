"""The application behind middleware that wraps what it is given, as OpenTelemetry's does and many a logger."""

from __future__ import annotations

from typing import Any

from .asgi import application as inner

__all__ = ["application"]


class Wrapping:
    """ASGI middleware that stands around everything, so that no transport of a server is found."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def wrapped_receive() -> Any:
            return await receive()

        async def wrapped_send(message: Any) -> None:
            await send(message)

        await self._application(scope, wrapped_receive, wrapped_send)


application = Wrapping(inner)
