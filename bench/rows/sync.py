"""Broadcasts from sync code."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from ..load import Lost, Swarm
from ..messages import MESSAGE, READY, ROOM, encoded, server_frame
from ..programs import ASGIServer, PythonProgram, site_environment, start
from ..row import Bench, Make, Measure, Row, Sample, Target, Watch, calibrate
from ..sizes import Scale

__all__ = ["SyncBroadcast"]

_HELLO = server_frame(READY.encode())
_HEARD_BYTES = len(server_frame(encoded(MESSAGE)))
_PATIENCE = 3.0  # seconds, for whoever loses messages


class _Publisher:
    """A process that broadcasts, and a member that hears it. They share the load's core: the server has its own."""

    def __init__(self, site: str, bench: Bench, stack: ExitStack) -> None:
        server = ASGIServer("daphne", site, bench.cores.server, bench.redis)
        self._program = PythonProgram(
            ["bench.sites.publisher", site],
            bench.cores.load,
            environment=site_environment(site, bench.redis),
            talks=True,
        )
        start(stack, [server, self._program])
        self._program.hear()
        self._watched = [server, self._program], [bench.redis]
        self._swarm = stack.enter_context(Swarm())
        (self._member,) = self._swarm.connect(server.listens, [f"/room/{ROOM}"], _HELLO)
        self._swarm.patience = _PATIENCE
        self._messages = calibrate(lambda count: self._publish(count).seconds, bench.scale.seconds, 10)

    def _publish(self, count: int) -> Watch:
        with Watch(*self._watched) as watch:
            self._program.tell(str(count))
            got, last = self._swarm.collect_any(self._member, count * _HEARD_BYTES)
            watch.stop_at(last)
        self._program.hear()
        if got != count * _HEARD_BYTES:
            raise Lost(f"{got // _HEARD_BYTES:,} of {count:,} messages arrived")
        return watch

    def messages(self) -> Sample:
        """Messages that arrive in a second."""
        watch = self._publish(self._messages)
        return watch.sample(self._messages / watch.seconds)


class SyncBroadcast(Row):
    """From a script to a member."""

    name = "sync"
    unit = "messages/s"
    targets = (Target("Channels", 15),)

    def work(self, scale: Scale) -> str:
        return "broadcasts from sync code in a process of its own, that arrive at a member; daphne"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        sites = {"ours": "ours", "Channels": "channels_peer"}
        return {name: partial(self._published, site, bench, stack) for name, site in sites.items()}

    @staticmethod
    def _published(site: str, bench: Bench, stack: ExitStack) -> Measure:
        return _Publisher(site, bench, stack).messages
