"""Many connections to a server that only accepts them, in one process: how long that takes, and what each costs.

    python -m bench.sites.many server PORT
    python -m bench.sites.many routes|websockets PORT COUNT

It prints seconds and kilobytes as JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import sys
import time
from typing import Any

from tests.support.processes import HOST


async def serve(port: int) -> None:
    """A server that accepts and waits."""
    from websockets.asyncio.server import ServerConnection
    from websockets.asyncio.server import serve as listen

    async def wait(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with listen(wait, HOST, port, compression=None):
        await asyncio.get_running_loop().create_future()


async def run_websockets(port: int, count: int) -> dict[str, float]:
    """Connections of the library, without anything around them."""
    from websockets.asyncio.client import connect

    measure = _Measure(count)
    sockets = await asyncio.gather(*(connect(f"ws://{HOST}:{port}", open_timeout=60) for _ in range(count)))
    figures = measure.figures()
    for socket in sockets:
        socket.transport.abort()
    return figures


async def run_routes(port: int, count: int) -> dict[str, float]:
    """Routes under a supervisor."""
    import django

    django.setup()
    from django_fastws import FastWS, WebSocket
    from django_fastws.clients.supervisor import Supervisor

    logging.getLogger("django_fastws").setLevel(logging.ERROR)
    connected = asyncio.Event()
    waiting = count
    app = FastWS()

    async def handler(ws: WebSocket) -> None:
        nonlocal waiting
        waiting -= 1
        if not waiting:
            connected.set()
        async for _ in ws:
            pass

    for _ in range(count):
        app.ws(f"ws://{HOST}:{port}", open_timeout=60)(handler)
    supervisor = Supervisor(app.outbound, drain_seconds=10)
    measure = _Measure(count)
    running = asyncio.ensure_future(supervisor.run())
    await connected.wait()
    figures = measure.figures()
    supervisor.stop()
    await running
    return figures


class _Measure:
    """Begins when it is made."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._before = _kilobytes()
        self._started = time.perf_counter()

    def figures(self) -> dict[str, float]:
        """What the connections took."""
        seconds = time.perf_counter() - self._started
        return {"seconds": seconds, "kilobytes": (_kilobytes() - self._before) / self._count}


def _kilobytes() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 1024


def main() -> None:
    """Do what the arguments say."""
    what, port, *count = sys.argv[1:]
    if what == "server":
        asyncio.run(serve(int(port)))
    else:
        measures: dict[str, Any] = {"routes": run_routes, "websockets": run_websockets}
        print(json.dumps(asyncio.run(measures[what](int(port), int(count[0])))))


if __name__ == "__main__":
    main()
