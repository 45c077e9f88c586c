"""What metrics cost: the same work with them, read once a second as Prometheus does, and without."""

from __future__ import annotations

import contextlib
import threading
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import ClassVar

from tests.support.processes import HOST

from ..programs import ASGIServer, start
from ..row import Bench, Make, Measure, Row, Target
from ..sizes import Scale
from .echo import Echo
from .room import Room

__all__ = ["EchoCounted", "RoomCounted"]

_SECONDS = 1.0  # between two readings, which are more than any Prometheus asks for
#: The module with the sockets of each.
_PEERS = {"ours": "consumers", "not counting": "uncounted"}


class _Reader:
    """Reads the metrics of a server, again and again, until it is closed."""

    def __init__(self, server: ASGIServer) -> None:
        self._url = f"http://{HOST}:{server.port}/metrics"
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._is_over.wait(_SECONDS):
            with contextlib.suppress(OSError), urllib.request.urlopen(self._url, timeout=10) as answer:
                answer.read()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()


class _Counted(Row):
    """Any work."""

    slices = 8
    what: ClassVar[str]

    def work(self, scale: Scale) -> str:
        return f"{self.what}, counted, and read once a second by Prometheus; runws_server"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        servers = {
            peer: ASGIServer(
                "runws_server",
                "ours",
                bench.cores.server,
                bench.redis,
                cluster=consumers,
                consumers=consumers,
                settings={"FASTWS_METRICS_PATH": "/metrics"} if peer == "ours" else {},
            )
            for peer, consumers in _PEERS.items()
        }
        start(stack, servers.values())
        stack.callback(_Reader(servers["ours"]).close)
        return {peer: partial(self.measured, server, bench, stack) for peer, server in servers.items()}

    def measured(self, server: ASGIServer, bench: Bench, stack: ExitStack) -> Measure:
        """What measures one server."""
        raise NotImplementedError


class EchoCounted(_Counted):
    """JSON echo."""

    name = "echo-counted"
    unit = "messages/s"
    targets = (Target("not counting", 0.98),)
    what = "JSON echo"

    def measured(self, server: ASGIServer, bench: Bench, stack: ExitStack) -> Measure:
        echo = Echo(server, bench, stack)
        echo.messages(bench.scale.seconds / 4)  # to warm up
        return partial(echo.messages, bench.scale.seconds / self.slices)


class RoomCounted(_Counted):
    """Broadcasts in one room, by what they take of a processor.

    They come one after the other: a burst is sent in a few writes or in many, which outweighs whatever is counted.
    """

    name = "room-counted"
    unit = "µs of a processor"
    less_is_better = True
    targets = (Target("not counting", 1.02, is_most=True),)
    what = "a broadcast"

    def work(self, scale: Scale) -> str:
        return f"{super().work(scale)}, {scale.members:,} members"

    def measured(self, server: ASGIServer, bench: Bench, stack: ExitStack) -> Measure:
        room = Room([server], [bench.redis], stack)
        room.join(bench.scale.members)
        once = room.milliseconds(3).value / 1000
        return partial(room.processor_microseconds, max(3, round(bench.scale.seconds / self.slices / once)))
