"""TCP servers of tests, in asyncio, that leave no connection behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.support.processes import HOST

__all__ = ["accepted", "tcp_server"]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def accepted() -> None:
    """Wait until the handlers of connections have begun that were accepted before a server was closed.

    It takes asyncio so many turns of the loop: to accept, to make the transport, and to start the handler's task.
    """
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def tcp_server(handle: Handler) -> AsyncIterator[int]:
    """A server on a free port, which is given; at the end, its connections are aborted and its handlers awaited."""
    handlers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers[task] = writer
        try:
            await handle(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await accepted()
        for writer in handlers.values():
            writer.transport.abort()
        await asyncio.gather(*handlers, return_exceptions=True)
