"""What each thing costs that the formulas of ``bench.scale`` are made of, and whether they tell what happens."""

from __future__ import annotations

import dataclasses
import random
import socket
import ssl
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

from tests.clients.certificates import Certificates
from tests.support.processes import HOST

from ..load import Swarm
from ..messages import READY, client_frame, encoded, room_message, room_name, server_frame
from ..programs import ASGIServer, Program, Redis, cpu_seconds, start
from ..row import FAILURES, Bench, Row, told
from ..scale import Costs, spread
from ..sizes import Scale

__all__ = ["Capacity"]

_HELLO = server_frame(READY.encode())
_WARM_UP = 20  # sockets of each process, that stay
_BROADCASTS = 200  # of each measurement
_SHAKES = 20  # of TLS
_SMALL = 10_000  # the first number of a small room
_LEASE_SECONDS = 30.0  # as it ships
_SHORT_LEASE = 3.0


class _Statistics:
    """A connection on which Redis tells what it has sent."""

    def __init__(self, redis: Redis) -> None:
        self._sock = socket.create_connection((HOST, redis.listens), timeout=10)
        self._file = self._sock.makefile("rb")
        self._own = 0

    def sent(self) -> int:
        """Bytes that it has sent to all other clients."""
        self._sock.sendall(b"INFO stats\r\n")
        head = self._file.readline()  # a bulk string
        body = self._file.read(int(head[1:]) + 2)
        (line,) = [line for line in body.split(b"\r\n") if line.startswith(b"total_net_output_bytes:")]
        sent = int(line.partition(b":")[2]) - self._own
        self._own += len(head) + len(body)
        return sent

    def close(self) -> None:
        self._file.close()
        self._sock.close()


@dataclass(frozen=True)
class _Measured:
    """What was seen with so many processes.

    Attributes:
        processes: how many.
        base_mb: memory of each before there were sockets.
        total_mb: of all in the end.
        connect_us: the servers' time for each socket, which joins two rooms.
        join_us: time of Redis for each first join of a room in a process.
        small_us, large_us: the servers' time for a broadcast to a small and to a large room.
        redis_us: time of Redis for a broadcast to a large room.
        sent: bytes that Redis sends for it.
    """

    processes: int
    base_mb: float
    total_mb: float
    connect_us: float
    join_us: float
    small_us: float
    large_us: float
    redis_us: float
    sent: float


class Capacity(Row):
    """With one process, from which the costs come, and with two and four, for which the formulas foretell."""

    name = "capacity"
    unit = "µs"
    less_is_better = True
    digits = 1
    rounds = 1
    processes: ClassVar[tuple[int, ...]] = (1, 2, 4)

    def work(self, scale: Scale) -> str:
        small, large = _sizes(scale)
        return (
            f"{scale.idle_sockets:,} sockets on 1, 2 and 4 processes, each in a room of {small} and one of {large}, "
            "one broadcast after the other: what each thing costs, and what formulas foretell; runws_server"
        )

    def run(self, bench: Bench) -> dict[str, Any]:
        """Measure with each number of processes.

        Returns:
            The row of the results, with ``costs`` and ``checks``, and ``problems`` by what was measured.
        """
        started = time.monotonic()
        result: dict[str, Any] = self.about(bench.scale) | {"rounds": 1, "peers": [], "problems": {}}
        try:
            found = [self._measure(bench, processes) for processes in self.processes]
            self.say("presence")
            present_us, lease_us = _presence(bench)
        except FAILURES as error:
            return result | {"problem": told(error)}
        costs = _costs(found, bench.scale, present_us, lease_us)
        return result | {
            "seconds": time.monotonic() - started,
            "costs": dataclasses.asdict(costs),
            "checks": [check for seen in found for check in _checks(seen, costs, bench.scale)],
        }

    def _measure(self, bench: Bench, processes: int) -> _Measured:
        self.say(f"{processes} processes")
        count = bench.scale.idle_sockets
        with ExitStack() as stack:
            servers = [
                ASGIServer("runws_server", "ours", bench.cores.server, bench.redis, cluster=f"of{processes}")
                for _ in range(processes)
            ]
            start(stack, servers)
            swarm = stack.enter_context(Swarm())
            statistics = stack.enter_context(closing(_Statistics(bench.redis)))
            for server in servers:
                swarm.connect(server.listens, [f"/rooms?room={room_name(90_000)}"] * _WARM_UP, _HELLO)
            base = sum(server.settled_kilobytes() for server in servers)
            joining = _Joining(servers, bench.scale)
            before = cpu_seconds(servers), cpu_seconds([bench.redis])
            small, large = joining.connect(swarm)
            connect, joins = cpu_seconds(servers) - before[0], cpu_seconds([bench.redis]) - before[1]
            total = sum(server.settled_kilobytes() for server in servers)
            small_us, _, _ = _spoken(servers, bench.redis, statistics, swarm, small, bench.scale.rounds)
            large_us, redis_us, sent = _spoken(servers, bench.redis, statistics, swarm, large, bench.scale.rounds)
        return _Measured(
            processes,
            base / processes / 1024,
            total / 1024,
            connect / count * 1e6,
            joins / joining.first_joins * 1e6,
            small_us,
            large_us,
            redis_us,
            sent,
        )


def _sizes(scale: Scale) -> tuple[int, int]:
    """Members of the small and of the large rooms, for both of which sockets divide without a rest."""
    return (2, 10) if scale.idle_sockets < 200 else (4, 100)


#: A turn of a room: who speaks, who hears, and the frame.
Turn = tuple[int, list[int], bytes]


class _Joining:
    """Sockets of which each is on a process at random and in one room of each size."""

    def __init__(self, servers: list[ASGIServer], scale: Scale) -> None:
        self._servers = servers
        chance = random.Random(len(servers))
        small, large = _sizes(scale)
        order = list(range(scale.idle_sockets))
        chance.shuffle(order)
        self._rooms = [(_SMALL + place // small, number // large) for number, place in enumerate(order)]
        self._on = [chance.randrange(len(servers)) for _ in order]
        self.first_joins = len(
            {(room, on) for rooms, on in zip(self._rooms, self._on, strict=True) for room in rooms}
        )

    def connect(self, swarm: Swarm) -> tuple[list[Turn], list[Turn]]:
        """Open all sockets; returns a turn for each small and for each large room."""
        members: dict[int, list[int]] = defaultdict(list)
        for place, server in enumerate(self._servers):
            here = [rooms for rooms, on in zip(self._rooms, self._on, strict=True) if on == place]
            paths = ["/rooms?" + "&".join(f"room={room_name(room)}" for room in rooms) for rooms in here]
            for member, rooms in zip(swarm.connect(server.listens, paths, _HELLO), here, strict=True):
                for room in rooms:
                    members[room].append(member)
        turns = {
            room: (found[0], found, client_frame(encoded(room_message(room)))) for room, found in members.items()
        }
        small = [turn for room, turn in turns.items() if room >= _SMALL]
        return small, [turn for room, turn in turns.items() if room < _SMALL]


def _spoken(
    servers: list[ASGIServer], redis: Redis, statistics: _Statistics, swarm: Swarm, turns: list[Turn], rounds: int
) -> tuple[float, float, float]:
    """What a broadcast takes of the servers and of Redis, in microseconds, and what Redis sends, in bytes: medians.

    One comes after the other: what comes at once is sent in one go, and costs less.
    """
    size = len(server_frame(encoded(room_message(0))))
    many = (turns * _BROADCASTS)[:_BROADCASTS]
    swarm.relay(many, size, 1)  # to warm up
    found = []
    for _ in range(rounds):
        before = cpu_seconds(servers), cpu_seconds([redis]), statistics.sent()
        swarm.relay(many, size, 1)
        after = cpu_seconds(servers), cpu_seconds([redis]), statistics.sent()
        found.append([(late - early) / len(many) for late, early in zip(after, before, strict=True)])
    server, store, sent = map(median, zip(*found, strict=True))
    return server * 1e6, store * 1e6, sent


def _presence(bench: Bench) -> tuple[float, float]:
    """Time of Redis for one who becomes present, and for the leases of a process in a second, in microseconds."""
    count = bench.scale.idle_sockets
    lease = min(_SHORT_LEASE, max(1.5, 3 * bench.scale.seconds))
    with ExitStack() as stack:
        server = ASGIServer(
            "runws_server", "ours", bench.cores.server, bench.redis, cluster="present", consumers="present"
        )
        server.environment["BENCH_LEASE"] = str(lease)
        start(stack, [server])
        swarm = stack.enter_context(Swarm())
        idle = _share(bench.redis, lease)
        before = cpu_seconds([bench.redis])
        paths = [f"/present/{room_name(number % max(1, count // 100))}" for number in range(count)]
        swarm.connect(server.listens, paths, _HELLO)
        present = (cpu_seconds([bench.redis]) - before) / count * 1e6
        kept = max(0.0, _share(bench.redis, 2 * lease) - idle)
    return present, kept * 1e6 * lease / _LEASE_SECONDS


def _share(program: Program, seconds: float) -> float:
    """Of a core, that a process takes meanwhile."""
    before, started = cpu_seconds([program]), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds([program]) - before) / (time.monotonic() - started)


def _handshake_seconds() -> float:
    """The server's time for a TLS handshake that resumes nothing, with a certificate of P-256, without a network."""
    with tempfile.TemporaryDirectory(prefix="fastws-bench-") as directory:
        made = Certificates(Path(directory))
        server, client = made.server(), made.client()
    spent = 0.0
    for _ in range(_SHAKES):
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours, theirs = server.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up, server_hostname=HOST)
        is_open = False
        while not is_open:
            _step(theirs)
            started = time.thread_time()
            is_open = _step(ours)
            spent += time.thread_time() - started
    return spent / _SHAKES


def _step(side: ssl.SSLObject) -> bool:
    """Go on with a handshake as far as it goes; returns whether it is done."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _costs(found: list[_Measured], scale: Scale, present_us: float, lease_us: float) -> Costs:
    """Those of one process; what a copy takes, of Redis and of who gets it, is how the most differ from one."""
    one, *_, most = found
    small, large = _sizes(scale)
    delivery = max(0.0, (one.large_us - one.small_us) / (large - small))
    hear = max(0.0, (most.small_us - one.small_us) / (spread(small, most.processes) - 1))
    copy = max(0.0, (most.redis_us - one.redis_us) / (spread(large, most.processes) - 1))
    return Costs(
        process_mb=one.base_mb,
        socket_kb=(one.total_mb - one.base_mb) * 1024 / scale.idle_sockets,
        connect_us=one.connect_us,
        speak_us=max(0.0, one.small_us - small * delivery - hear),
        hear_us=hear,
        delivery_us=delivery,
        redis_broadcast_us=max(0.0, one.redis_us - copy),
        redis_copy_us=copy,
        redis_join_us=one.join_us,
        redis_present_us=present_us,
        redis_lease_us=lease_us,
        copy_bytes=one.sent - len(encoded(room_message(0))),
        tls_us=_handshake_seconds() * 1e6,
    )


def _checks(seen: _Measured, costs: Costs, scale: Scale) -> Iterator[dict[str, Any]]:
    """What the formulas foretell for so many processes, beside what was measured."""
    small, large = _sizes(scale)
    processes, message = seen.processes, len(encoded(room_message(0)))
    copies = spread(large, processes)

    def server(members: int) -> float:
        return costs.speak_us + spread(members, processes) * costs.hear_us + members * costs.delivery_us

    memory = processes * costs.process_mb + scale.idle_sockets * costs.socket_kb / 1024
    for what, unit, foretold, measured in (
        (f"servers, a broadcast to {small}", "µs", server(small), seen.small_us),
        (f"servers, a broadcast to {large}", "µs", server(large), seen.large_us),
        (
            f"Redis, a broadcast to {large}",
            "µs",
            costs.redis_broadcast_us + copies * costs.redis_copy_us,
            seen.redis_us,
        ),
        ("Redis sends for it", "bytes", copies * (message + costs.copy_bytes), seen.sent),
        ("servers, a socket that connects", "µs", costs.connect_us, seen.connect_us),
        ("memory of all", "MB", memory, seen.total_mb),
    ):
        yield {"processes": processes, "what": what, "unit": unit, "foretold": foretold, "measured": measured}
