"""Many outbound routes in one process: how long they take to connect, and the memory that each holds.

    python -m bench.outbound [--routes 500] [--rounds 3]

The peer is the bare websockets client that the routes stand on, with as many connections to the same server. Each
round measures both, one after the other, each in a process of its own; the server is a third process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

HOST = "127.0.0.1"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--routes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=["server", "routes", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part == "server":
        asyncio.run(serve())
    elif options.part:
        measure = run_routes if options.part == "routes" else run_bare
        print(json.dumps(asyncio.run(measure(options.routes, options.port))))
    else:
        compare(options.routes, options.rounds)


def compare(routes: int, rounds: int) -> None:
    """Run both in turn, and print medians and ratios."""
    server = subprocess.Popen([sys.executable, "-m", "bench.outbound", "--part", "server"], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().decode().strip()
        results: dict[str, list[dict[str, float]]] = {"routes": [], "bare": []}
        for _ in range(rounds):
            for part, found in results.items():
                command = [sys.executable, "-m", "bench.outbound", "--part", part]
                command += ["--port", port, "--routes", str(routes)]
                found.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    finally:
        server.terminate()
        server.wait()
    print(f"{routes} connections, medians of {rounds} rounds (spread)")
    for figure, unit in (("connect_seconds", "s"), ("kilobytes_each", "kB")):
        ours, bare = ([result[figure] for result in results[part]] for part in ("routes", "bare"))
        ratio = statistics.median(ours) / statistics.median(bare)
        print(f"  {figure:16} routes {_shown(ours, unit)}   bare websockets {_shown(bare, unit)}   ratio {ratio:.2f}")


def _shown(values: list[float], unit: str) -> str:
    return f"{statistics.median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f})"


async def serve() -> None:
    """A server that accepts and waits."""
    from websockets.asyncio.server import ServerConnection
    from websockets.asyncio.server import serve as listen

    async def wait(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with listen(wait, HOST, 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


def kilobytes() -> float:
    """The memory that this process holds now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 1024


async def run_bare(count: int, port: int) -> dict[str, float]:
    """As many connections of the library, without anything around them."""
    from websockets.asyncio.client import connect

    before, started = kilobytes(), time.perf_counter()
    sockets = await asyncio.gather(*(connect(f"ws://{HOST}:{port}", open_timeout=60) for _ in range(count)))
    figures = _figures(count, before, started)
    for socket in sockets:
        socket.transport.abort()
    return figures


async def run_routes(count: int, port: int) -> dict[str, float]:
    """As many routes under a supervisor."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django_fastws import FastWS
    from django_fastws.clients.supervisor import Supervisor
    from django_fastws.routes import OutboundRoute

    logging.getLogger("django_fastws").setLevel(logging.ERROR)
    connected = asyncio.Event()
    waiting = count
    app = FastWS()

    async def handler(ws: Any) -> None:
        nonlocal waiting
        waiting -= 1
        if not waiting:
            connected.set()
        async for _ in ws:
            pass

    for _ in range(count):
        app.ws(f"ws://{HOST}:{port}", open_timeout=60)(handler)
    routes: list[OutboundRoute] = app.outbound
    supervisor = Supervisor(routes, drain_seconds=10)
    before, started = kilobytes(), time.perf_counter()
    running = asyncio.ensure_future(supervisor.run())
    await connected.wait()
    figures = _figures(count, before, started)
    supervisor.stop()
    await running
    return figures


def _figures(count: int, before: float, started: float) -> dict[str, float]:
    return {"connect_seconds": time.perf_counter() - started, "kilobytes_each": (kilobytes() - before) / count}


if __name__ == "__main__":
    main()
