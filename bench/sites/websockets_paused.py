"""The server of websockets, which says hello, and how long its event loop has stood still.

python -m bench.sites.websockets_paused PORT
"""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, serve

from bench.messages import READY
from bench.sites.heartbeat import PATH, Heartbeat
from tests.support.processes import HOST


async def main() -> None:
    """Serve until killed."""
    heartbeat = Heartbeat()

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        if connection.request.path == PATH:
            await connection.send(heartbeat.take())
            return
        if connection.request.path != "/echo":
            await connection.send(READY)
        async for _ in connection:
            pass

    async with serve(handle, HOST, int(sys.argv[1]), ping_interval=None, compression=None):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
