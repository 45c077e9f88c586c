"""Peers that are no WebSocket server, or a bad one, each on a port of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

__all__ = ["answering", "http"]


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextlib.asynccontextmanager
async def answering(reply: bytes | None, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A peer that says the same to whoever has said something, and hangs up; None says nothing, and does not."""

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await reader.read(65_536)
            if reply is None:
                await reader.read()
            else:
                writer.write(reply)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except OSError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*serving)
    await asyncio.sleep(0)  # an aborted transport is closed in the next turn
