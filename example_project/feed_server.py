"""A small feed to connect to: made-up prices, sent to whoever connects.

    python -m example_project.feed_server [port]

It stands for the market data, telemetry or chat service that a project reads from, and needs no Django.
"""

import asyncio
import contextlib
import json
import random
import signal
import sys
from datetime import UTC, datetime

from websockets.asyncio.server import ServerConnection, broadcast, serve

HOST, PORT = "127.0.0.1", 8765
INTERVAL = 0.5  # seconds between two ticks
START = {"ANVL": 84.0, "BRGE": 152.5, "CLDR": 31.25, "DUNE": 9.8}


async def feed(port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    stopping = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stopping.set)
    clients: set[ServerConnection] = set()

    async def serve_one(client: ServerConnection) -> None:
        clients.add(client)
        try:
            await client.wait_closed()
        finally:
            clients.discard(client)

    async with serve(serve_one, HOST, port):
        print(f"Feed on ws://{HOST}:{port}", flush=True)  # noqa: T201 (a program of its own)
        prices = dict(START)
        while not stopping.is_set():
            prices = {name: round(max(0.5, price * random.gauss(1, 0.004)), 2) for name, price in prices.items()}
            tick = {"type": "tick", "at": datetime.now(UTC).isoformat(), "prices": prices}
            broadcast(clients, json.dumps(tick))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), INTERVAL)


if __name__ == "__main__":
    try:
        asyncio.run(feed(int(sys.argv[1]) if len(sys.argv) > 1 else PORT))
    except OSError as error:
        sys.exit(f"Feed: {error}")
