"""Cutting a connection off: what waits in the system's buffers is dropped, too."""

from __future__ import annotations

import asyncio

from .conftest import run
from .peers import shake_hands, soon

LIBRARIES = ("websockets", "picows", "plain")


async def test_after_a_reset_nothing_more_goes_out(app, raw_peer):
    """The holder of a lease that is over must not be heard any more, also by a peer that reads late."""
    is_reset, ends = asyncio.Event(), []

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        await is_reset.wait()
        try:
            while await reader.read(65536):
                pass
            ends.append("all was sent")
        except ConnectionResetError:
            ends.append("reset")

    server = await raw_peer(behave, limit=4096)

    @app.ws(server.url, ping_interval=None, compression=None)
    async def feed(ws):
        connection = ws._transport.connection
        while not connection.transport.get_write_buffer_size():  # first the system's buffers are filled
            await ws.send("x" * 10_000)
        ws._transport.reset()
        is_reset.set()
        await soon(lambda: ends)

    await run(app)
    assert ends == ["reset"]
