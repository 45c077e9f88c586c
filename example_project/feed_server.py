"""A small feed to connect to: made-up prices of four symbols, each on a path of its own.

    python -m example_project.feed_server [port [--until-eof]]

With ``--until-eof`` it ends with whoever holds the other end of its standard input, however that one ends. It stands
for the market data, telemetry or chat service that a project reads from, and needs no Django.
"""

import asyncio
import contextlib
import json
import random
import signal
import sys
from collections import defaultdict
from datetime import UTC, datetime

from websockets.asyncio.server import ServerConnection, broadcast, serve

HOST, PORT = "127.0.0.1", 8765
INTERVAL = 0.1  # seconds between two ticks
START = {"ANVL": 84.0, "BRGE": 152.5, "CLDR": 31.25, "DUNE": 9.8}


async def feed(port: int, *, until_eof: bool = False) -> None:
    """Serve until SIGINT or SIGTERM, or until the end of standard input."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopping.set)
    if until_eof:
        loop.add_reader(sys.stdin, stopping.set)  # nobody writes there
    clients: defaultdict[str, set[ServerConnection]] = defaultdict(set)

    async def serve_one(client: ServerConnection) -> None:
        symbol = client.request.path.strip("/") if client.request else ""
        if symbol not in START:
            await client.close(1008, "no such symbol")
            return
        clients[symbol].add(client)
        try:
            await client.wait_closed()
        finally:
            clients[symbol].discard(client)

    async with serve(serve_one, HOST, port):
        print(f"Feed on ws://{HOST}:{port}", flush=True)  # noqa: T201 (a program of its own)
        prices = dict(START)
        while not stopping.is_set():
            for symbol, price in prices.items():
                prices[symbol] = round(max(0.5, price * random.gauss(1, 0.002)), 2)
                tick = {"type": "tick", "at": datetime.now(UTC).isoformat(), "price": prices[symbol]}
                broadcast(clients[symbol], json.dumps(tick))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), INTERVAL)


if __name__ == "__main__":
    try:
        asyncio.run(feed(int(sys.argv[1]) if len(sys.argv) > 1 else PORT, until_eof="--until-eof" in sys.argv))
    except OSError as error:
        sys.exit(f"Feed: {error}")
