"""What an idle socket costs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from ..load import Swarm
from ..messages import READY, ROOM, server_frame
from ..programs import ASGIServer
from ..row import Bench, Make, Measure, Row, Sample, Target
from ..scale import Scale

__all__ = ["Memory"]

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
    return partial(_measure, bench, site)  # with a new server each time


def _measure(bench: Bench, site: str) -> Sample:
    count = bench.scale.idle_sockets
    with ASGIServer("daphne", site, bench.cores.server, bench.redis) as server, Swarm() as swarm:
        swarm.connect(server.listens, [_PATH] * _WARM_UP, _HELLO)
        before = server.settled_kilobytes()
        swarm.connect(server.listens, [_PATH] * count, _HELLO)
        return Sample((server.settled_kilobytes() - before) / count)
