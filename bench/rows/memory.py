"""What an idle socket costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..accounts import database_settings, make_accounts
from ..load import Swarm
from ..messages import READY, ROOM, server_frame
from ..programs import ASGIServer, site_environment
from ..row import Bench, Make, Measure, Row, Sample, Target
from ..sizes import Scale

__all__ = ["Memory", "MemoryOfUsers"]

_HELLO = server_frame(READY.encode())
_PATH = f"/room/{ROOM}"
_WARM_UP = 50  # sockets, that stay


class Memory(Row):
    """The memory that sockets add to a new server, in which some are open already."""

    name = "memory"
    unit = "kB/socket"
    less_is_better = True
    digits = 1
    rounds = 3
    targets = (Target("Channels", 0.65, is_most=True), Target("raw ASGI", 1.1, is_most=True))

    def work(self, scale: Scale) -> str:
        return f"memory of each of {scale.idle_sockets:,} idle sockets in one room; daphne"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        sites = {"ours": "ours", "Channels": "channels_peer", "raw ASGI": "raw"}
        return {name: partial(_made, bench, site) for name, site in sites.items()}


def _made(bench: Bench, site: str) -> Measure:
    return partial(_measure, bench, "daphne", site)  # with a new server each time


class MemoryOfUsers(Row):
    """The same on the server of this package, for users with a session."""

    name = "memory-users"
    unit = "kB/socket"
    less_is_better = True
    digits = 1
    rounds = 3
    targets = (Target("Channels", 0.5, is_most=True),)

    def work(self, scale: Scale) -> str:
        return (
            f"memory of each of {scale.idle_sockets:,} idle sockets in one room, with session and user; runws_server"
        )

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="fastws-bench-")))
        settings = database_settings(directory / "accounts.sqlite3")
        environment = site_environment("raw", bench.redis) | {"BENCH_SETTINGS": json.dumps(settings)}
        headers = [f"Cookie: sessionid={key}\r\n" for key in make_accounts(environment)]

        def made(kind: str, site: str) -> Measure:
            return partial(_measure, bench, kind, site, headers, settings)

        return {"ours": partial(made, "runws_server", "ours"), "Channels": partial(made, "daphne", "channels_peer")}


def _measure(
    bench: Bench,
    kind: str,
    site: str,
    headers: Sequence[str] = ("",),
    settings: Mapping[str, Any] | None = None,
) -> Sample:
    count = bench.scale.idle_sockets
    server = ASGIServer(kind, site, bench.cores.server, bench.redis, settings=settings)
    with server, Swarm() as swarm:
        swarm.connect(server.listens, [_PATH] * _WARM_UP, _HELLO, headers)
        before = server.settled_kilobytes()
        swarm.connect(server.listens, [_PATH] * count, _HELLO, headers)
        return Sample((server.settled_kilobytes() - before) / count)
