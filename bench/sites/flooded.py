"""Bare clients that are flooded, each with the same loop around its messages.

    python -m bench.sites.flooded websockets|picows URL

The first message says how many will follow; when these are there, the client says so, and the next one is a number
again. The route of this package that does the same is in ``bench.sites.feed``.
"""

import asyncio
import sys
from importlib import import_module
from typing import Any

#: Both have the same interface.
LIBRARIES = {"websockets": "websockets.asyncio.client", "picows": "picows.websockets.asyncio.client"}


async def read(connect: Any, url: str) -> None:
    """Take what comes."""
    async with connect(url, ping_interval=None, max_queue=16) as connection:
        missing = 0
        async for text in connection:
            if missing:
                missing -= 1
                if not missing:
                    await connection.send("done")
            else:
                missing = int(text)


if __name__ == "__main__":
    asyncio.run(read(import_module(LIBRARIES[sys.argv[1]]).connect, sys.argv[2]))
