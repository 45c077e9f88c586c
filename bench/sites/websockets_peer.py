"""An echo and a room on the websockets library alone, with uvloop where it is installed.

python -m bench.sites.websockets_peer PORT
"""

import asyncio
import sys
from importlib import import_module
from importlib.util import find_spec

import orjson
from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.messages import READY
from tests.support.processes import HOST

members: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    """Echo; or on any other path, let all members have what one of them says."""
    assert connection.request is not None
    if connection.request.path == "/echo":
        async for text in connection:
            await connection.send(orjson.dumps(orjson.loads(text)).decode())
        return
    members.add(connection)
    try:
        await connection.send(READY)
        async for text in connection:
            broadcast(members, orjson.dumps(orjson.loads(text)).decode())
    finally:
        members.discard(connection)


async def main() -> None:
    """Serve until somebody ends it."""
    async with serve(handle, HOST, int(sys.argv[1]), compression=None, ping_interval=None):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    if find_spec("uvloop"):
        import_module("uvloop").run(main())
    else:
        asyncio.run(main())
