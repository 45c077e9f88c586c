"""One room, spread over two processes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from ..programs import ASGIServer, start
from ..row import Bench, Make, Row, Target
from ..sizes import Scale
from .room import Room, joined

__all__ = ["TwoProcesses"]


class TwoProcesses(Row):
    """Both share the server's core, so that the load has its own."""

    name = "processes"
    unit = "deliveries/s"
    targets = (Target("Channels", 25),)

    def work(self, scale: Scale) -> str:
        each = scale.members_each
        return f"one room in two processes, {each:,} members in each, a burst of broadcasts by one of them; daphne"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        makes: dict[str, Make] = {}
        for name, site in (("ours", "ours"), ("Channels", "channels_peer")):
            servers = [ASGIServer("daphne", site, bench.cores.server, bench.redis) for _ in range(2)]
            start(stack, servers)
            room = Room(servers, [bench.redis], stack)
            makes[name] = partial(joined, room, bench.scale.members_each, bench.scale)
        return makes
