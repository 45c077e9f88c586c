"""How long the event loop of a server stands still: above all while Python collects garbage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import ClassVar

from websockets.sync.client import connect

from tests.support.processes import HOST, free_port

from ..load import Swarm
from ..messages import READY, ROOM, server_frame
from ..programs import ASGIServer, Program, PythonProgram
from ..row import Bench, Make, Measure, Row, Sample, Target, Watch
from ..sites.heartbeat import PATH
from ..sizes import Scale

__all__ = ["StallConnect", "StallIdle"]

_HELLO = server_frame(READY.encode())
_ROOM = f"/room/{ROOM}"
_FILES = 200  # that a process has open besides its sockets
_CHURN = 5  # one in so many of the sockets comes and goes
_AT_ONCE = 20
_MOST_MS = 120.0

_ASGI = {
    "runws_server": ("runws_server", "ours:with_pauses"),
    "daphne": ("daphne", "ours:with_pauses"),
    "uvicorn": ("uvicorn", "ours:with_pauses"),
    "Channels, daphne": ("daphne", "channels_peer:with_pauses"),
    "Channels, uvicorn": ("uvicorn", "channels_peer:with_pauses"),
}


def _count(scale: Scale) -> int:
    return 5 * scale.idle_sockets


class _Stalls(Row):
    """The longest pause, with a new server each time."""

    unit = "ms"
    less_is_better = True
    rounds = 2
    limit: ClassVar[float] = _MOST_MS
    targets: ClassVar[tuple[Target, ...]] = (Target("at most", 1, is_most=True),)

    def subject(self, scale: Scale) -> str:
        return "runws_server"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        count = _count(bench.scale)
        if count + _FILES > bench.open_files:
            raise RuntimeError(f"needs {count + _FILES:,} open files, and {bench.open_files:,} are allowed")
        servers: dict[str, Callable[[], Program]] = {
            name: partial(ASGIServer, kind, site, bench.cores.server, bench.redis)
            for name, (kind, site) in _ASGI.items()
        }
        servers["websockets"] = partial(_websockets, bench)
        makes = {name: partial(self._made, server, count) for name, server in servers.items()}
        return makes | {"at most": lambda: lambda: Sample(self.limit)}

    def _made(self, server: Callable[[], Program], count: int) -> Measure:
        return partial(self._run, server, count)

    def _run(self, start: Callable[[], Program], count: int) -> Sample:
        with start() as server, Swarm() as swarm:
            swarm.connect(server.listens, [_ROOM], _HELLO)
            _longest_pause(server.listens)
            return self._pause(server, swarm, count)

    def _pause(self, server: Program, swarm: Swarm, count: int) -> Sample:
        raise NotImplementedError


class StallConnect(_Stalls):
    """While many connect."""

    name = "stall-connect"

    def work(self, scale: Scale) -> str:
        return f"the longest pause of the server's event loop while {_count(scale):,} sockets connect"

    def _pause(self, server: Program, swarm: Swarm, count: int) -> Sample:
        with Watch([server], []) as watch:
            swarm.connect(server.listens, [_ROOM] * count, _HELLO)
        return watch.sample(_longest_pause(server.listens))


class StallIdle(_Stalls):
    """While others come and go."""

    name = "stall-idle"

    def work(self, scale: Scale) -> str:
        count = _count(scale)
        return (
            f"the longest pause of the server's event loop while {count // _CHURN:,} sockets come and go, beside "
            f"{count:,} that are idle"
        )

    def _pause(self, server: Program, swarm: Swarm, count: int) -> Sample:
        swarm.connect(server.listens, [_ROOM] * count, _HELLO)
        _longest_pause(server.listens)
        with Watch([server], []) as watch:
            for _ in range(max(1, count // _CHURN // _AT_ONCE)):
                with Swarm() as guests:
                    guests.connect(server.listens, ["/echo"] * _AT_ONCE)
        return watch.sample(_longest_pause(server.listens))


def _websockets(bench: Bench) -> Program:
    port = free_port()
    return PythonProgram(["bench.sites.websockets_paused", str(port)], bench.cores.server, port=port)


def _longest_pause(port: int) -> float:
    """In milliseconds, since this was asked before."""
    with connect(f"ws://{HOST}:{port}{PATH}", compression=None, proxy=None) as client:
        return float(client.recv())
