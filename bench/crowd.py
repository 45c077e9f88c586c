"""Crowd: thousands of sockets on several ``runws_server`` processes, to measure the console, and to look at it.

    python -m bench.crowd --sockets 10000 --processes 4

It prints the variables of the environment in which any other process of the project sees them all, and stays until
it is interrupted. ``--settings`` and ``--application`` serve another project instead, which has the routes of
``bench.sites.crowd``.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress

from tests.support.processes import HOST, free_port

from .machine import raise_open_files
from .programs import Program, PythonProgram, Redis, start

__all__ = ["Crowd", "main"]

_PREFIX = "crowd"
_OPENING_SECONDS = 600.0
#: A machine that does much else takes its time for so many handshakes.
_PATIENT = ["--websocket_connect_timeout", "120"]


class Crowd:
    """Servers and their sockets; they end with the stack.

    Args:
        stack: stops what is started.
        redis: of the channel layer.
        sockets: how many, over all servers.
        processes: how many servers.
        said: how many messages their clients send in a second, together.
        core: to pin the servers to; None for none.
        load_core: likewise the clients.
        settings: the module of the settings.
        application: what is served.

    Attributes:
        environment: the variables with which another process is on the same layer.
        servers: the processes.
        seconds: how long it took to open the sockets.
    """

    def __init__(
        self,
        stack: ExitStack,
        redis: Redis,
        *,
        sockets: int,
        processes: int,
        said: float = 0,
        core: int | None = None,
        load_core: int | None = None,
        settings: str = "bench.sites.settings",
        application: str = "bench.sites.crowded:application",
    ) -> None:
        layer = {
            "BACKEND": "django_fastws.layer.RedisChannelLayer",
            "CONFIG": {"hosts": [redis.url], "prefix": _PREFIX},
        }
        self.environment: Mapping[str, str] = {
            "DJANGO_SETTINGS_MODULE": settings,
            "BENCH_SITE": "ours",
            "BENCH_CONSUMERS": "crowd",
            "BENCH_LAYER": json.dumps(layer),
        }
        self.servers = [self._server(application, core) for _ in range(processes)]
        start(stack, self.servers)
        ports = [str(server.port) for server in self.servers]
        self.clients = PythonProgram(["bench.crowd_clients", str(sockets), str(said), *ports], load_core, talks=True)
        began = time.monotonic()
        start(stack, [self.clients])
        self.clients.hear(patience=_OPENING_SECONDS)
        self.seconds = time.monotonic() - began

    def _server(self, application: str, core: int | None) -> Program:
        port = free_port()
        options = ["--access-log", "/dev/null", "--ping-interval", "86400", "--forwarded-hops", "1", *_PATIENT]
        command = ["django", "runws_server", *options, "-b", HOST, "-p", str(port), application]
        return PythonProgram(command, core, port=port, environment=self.environment)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.crowd", description=__doc__)
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--said", type=float, default=5, metavar="N", help="messages that clients send each second")
    parser.add_argument("--settings", default="bench.sites.settings")
    parser.add_argument("--application", default="bench.sites.crowded:application")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise_open_files()
    with Redis(None) as redis, ExitStack() as stack:
        crowd = Crowd(
            stack,
            redis,
            sockets=options.sockets,
            processes=options.processes,
            said=options.said,
            settings=options.settings,
            application=options.application,
        )
        print(f"{options.sockets:,} sockets in {crowd.seconds:.1f} seconds", file=sys.stderr)
        print(json.dumps({**crowd.environment, "PORTS": [server.port for server in crowd.servers]}), flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
