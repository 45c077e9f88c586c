"""Presence: what it costs Redis that very many are present, of whom none comes or goes."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial

from tests.support.processes import HOST

from ..load import Lost, Swarm
from ..messages import READY, room_name, server_frame
from ..programs import ASGIServer, Program, Redis, start
from ..row import Bench, Make, Measure, Row, Sample, Skipped, Target, Watch
from ..sizes import Scale

__all__ = ["PresenceCommands"]

_FEW = "a hundredth of them"
_HELLO = server_frame(READY.encode())
_SERVERS = 2
_ROOMS = 100
_LEASES = 2.0  # for how long it is counted
_SHORTEST = 1.5  # seconds, of a lease; three renewals of it must have their time on a machine that does much else
#: A command that a client has sent; what a script does in Redis has another mark.
_COMMAND = re.compile(rb"^\+[0-9.]+ \[\d+ \d[^\]]*\]")


def _present(scale: Scale) -> int:
    return 5 * scale.idle_sockets


def _lease(scale: Scale) -> float:
    return max(_SHORTEST, 3 * scale.seconds)


class _Monitor:
    """A connection on which Redis tells every command that it gets."""

    def __init__(self, redis: Redis) -> None:
        self._sock = socket.create_connection((HOST, redis.listens), timeout=10)
        self._sock.sendall(b"MONITOR\r\n")
        self._sock.recv(5)  # +OK

    def count(self, seconds: float, prefix: str) -> int:
        """How many commands about keys with a prefix clients send in so many seconds."""
        got, ends = b"", time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self._sock.settimeout(left)
            try:
                got += self._sock.recv(65536)
            except TimeoutError:
                break
        mark = prefix.encode() + b":"
        return sum(mark in line and _COMMAND.match(line) is not None for line in got.split(b"\r\n"))

    def close(self) -> None:
        self._sock.close()


class PresenceCommands(Row):
    """Everybody is there, and stays."""

    name = "presence"
    unit = "commands/s"
    less_is_better = True
    digits = 2
    rounds = 3
    targets = (Target(_FEW, 1.5, is_most=True),)

    def work(self, scale: Scale) -> str:
        return (
            f"{_present(scale):,} are present in {min(_ROOMS, _present(scale)):,} rooms on {_SERVERS} servers, whose "
            f"leases last {_lease(scale):g} seconds, and nobody comes or goes: commands to Redis; daphne"
        )

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        clusters = {"ours": "many", _FEW: "few"}
        servers = {
            name: [self._server(bench, cluster) for _ in range(_SERVERS)] for name, cluster in clusters.items()
        }
        start(stack, [server for pair in servers.values() for server in pair])
        many = _present(bench.scale)
        counts = {"ours": many, _FEW: max(_SERVERS, many // 100)}
        return {
            name: partial(self._made, bench, stack, f"ours{clusters[name]}", servers[name], counts[name])
            for name in clusters
        }

    @staticmethod
    def _server(bench: Bench, cluster: str) -> ASGIServer:
        server = ASGIServer("daphne", "ours", bench.cores.server, bench.redis, cluster, consumers="present")
        server.environment["BENCH_LEASE"] = str(_lease(bench.scale))
        return server

    @staticmethod
    def _made(bench: Bench, stack: ExitStack, prefix: str, servers: Sequence[Program], count: int) -> Measure:
        if count + 200 > bench.open_files:
            raise Skipped(f"needs {count + 200:,} open files, and {bench.open_files:,} are allowed: see `ulimit -n`")
        swarm = stack.enter_context(Swarm())
        paths = [f"/present/{room_name(number % _ROOMS)}" for number in range(count)]
        for number, server in enumerate(servers):
            swarm.connect(server.listens, paths[number::_SERVERS], _HELLO)
        seconds = _LEASES * _lease(bench.scale)

        def measure() -> Sample:
            with closing(_Monitor(bench.redis)) as monitor, Watch(servers, [bench.redis]) as watch:
                found = monitor.count(seconds, prefix)
            if not found:
                raise Lost("no lease was renewed")
            return watch.sample(found / seconds)

        return measure
