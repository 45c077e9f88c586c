"""What so many sockets need, from what was measured: ``python -m bench.scale``.

Pure functions of a ``Workload`` and of ``Costs``; docs/explanation/scale.md tells what they say. Times of a processor
are in microseconds of one core like that on which the costs were measured, sizes in bytes unless a name says
otherwise.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from .results import PUBLISHED, read

__all__ = [
    "LIMITS",
    "SIZES",
    "WORKLOADS",
    "Costs",
    "Limits",
    "Plan",
    "Workload",
    "capacity_table",
    "checks_table",
    "costs_of",
    "costs_table",
    "drain_share",
    "last_has_it_seconds",
    "main",
    "parser",
    "plan",
    "server_cores",
    "redis_cores",
    "redis_egress",
    "spread",
    "storm_cores",
    "storm_redis_cores",
    "storm_seconds",
]

_UNMEASURED = "The results have no row `capacity`: `python -m bench --only capacity` measures it."
#: Numbers of sockets in the table.
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)


@dataclass(frozen=True)
class Costs:
    """What was measured, by the row ``capacity``.

    Attributes:
        process_mb: memory of a process without sockets.
        socket_kb: memory of each socket in a room.
        connect_us: the server's time for a handshake with two joins.
        speak_us: the server's time to take a message from a member and publish it.
        hear_us: its time for a broadcast in each process that has a member of the room.
        delivery_us: its time for each member.
        redis_broadcast_us: time of Redis for a broadcast.
        redis_copy_us: its time for each process that gets it.
        redis_join_us: its time for the first join of a room in a process.
        redis_present_us: its time for one who becomes present in a room.
        redis_lease_us: its time to keep the leases of one process for a second, however many are present.
        copy_bytes: what Redis sends to a process for a broadcast, besides the message.
        tls_us: the server's time for a TLS handshake that resumes nothing, with a certificate of P-256.
    """

    process_mb: float
    socket_kb: float
    connect_us: float
    speak_us: float
    hear_us: float
    delivery_us: float
    redis_broadcast_us: float
    redis_copy_us: float
    redis_join_us: float
    redis_present_us: float
    redis_lease_us: float
    copy_bytes: float
    tls_us: float


@dataclass(frozen=True)
class Workload:
    """What sockets do.

    Attributes:
        name: in the table.
        sockets: open at once.
        members: of each room, each of whom is in this one only.
        broadcasts: in each room, in a second.
        message_bytes: of the JSON of a broadcast.
        present: the share of sockets that are present in their room.
        storm_seconds: within which all come back after a failure, spread by the jitter of the clients.
        has_tls: whether the processes end TLS themselves.
    """

    name: str
    sockets: int
    members: int
    broadcasts: float
    message_bytes: int = 100
    present: float = 0.0
    storm_seconds: float = 60.0
    has_tls: bool = False

    @property
    def rooms(self) -> float:
        """How many there are."""
        return max(1.0, self.sockets / self.members)

    @property
    def spoken(self) -> float:
        """Broadcasts in a second, in all rooms."""
        return self.rooms * self.broadcasts


@dataclass(frozen=True)
class Limits:
    """What is not to be exceeded.

    Attributes:
        sockets: in one process, of one core.
        open_files: that a process may have.
        share: of a core, that is to be busy at most.
        redis_share: of the one core of a Redis.
        egress: bytes in a second that one Redis may send, a tenth of ten gigabits.
        ports: that a balancer has towards one address and port of a server (net.ipv4.ip_local_port_range).
        host_cores: of a machine.
        host_gb: memory of a machine.
    """

    sockets: int = 10_000
    open_files: int = 65_536
    share: float = 0.6
    redis_share: float = 0.6
    egress: float = 125e6
    ports: int = 28_232
    host_cores: int = 16
    host_gb: float = 64.0


LIMITS = Limits()

#: Three ways to use rooms: the first two differ in how many hear what one says.
WORKLOADS = (
    Workload("chat: rooms of 100, a message in each every 10 s, all present", 0, 100, 0.1, present=1.0),
    Workload("documents: rooms of 5, an event in each every second, all present", 0, 5, 1.0, present=1.0),
    Workload("one room of all, a broadcast a second", 0, sys.maxsize, 1.0),
)


def spread(members: float, processes: int) -> float:
    """In how many processes a room of so many members has one, if a balancer spreads them at random.

    Of P processes each is without a member with a chance of (1 - 1/P)^m, so that P (1 - (1 - 1/P)^m) have some.
    """
    return processes * -math.expm1(members * math.log1p(-1 / processes)) if processes > 1 else 1.0


def _hearers(workload: Workload) -> float:
    return min(workload.members, workload.sockets)


def server_cores(workload: Workload, costs: Costs, processes: int) -> float:
    """Cores that all processes together are busy with, while nobody comes or goes.

    Each broadcast costs its fixed part in each process that has a member, and each member its delivery.
    """
    hearers = _hearers(workload)
    each = costs.speak_us + spread(hearers, processes) * costs.hear_us + hearers * costs.delivery_us
    return workload.spoken * each / 1e6


def redis_cores(workload: Workload, costs: Costs, processes: int) -> float:
    """Cores of Redis: one copy of each broadcast for each process with a member, and the leases of all processes."""
    copies = spread(_hearers(workload), processes)
    leases = processes * costs.redis_lease_us if workload.present else 0.0
    return (workload.spoken * (costs.redis_broadcast_us + copies * costs.redis_copy_us) + leases) / 1e6


def redis_egress(workload: Workload, costs: Costs, processes: int) -> float:
    """Bytes in a second that Redis sends: a copy of each broadcast to each process with a member."""
    copies = spread(_hearers(workload), processes)
    return workload.spoken * copies * (workload.message_bytes + costs.copy_bytes)


def _return_us(workload: Workload, costs: Costs) -> float:
    """The servers' time for one who comes back: the handshake, and the news of it for the others in the room."""
    news = workload.present * _hearers(workload) * costs.delivery_us
    return costs.connect_us + (costs.tls_us if workload.has_tls else 0.0) + news


def storm_cores(workload: Workload, costs: Costs) -> float:
    """Cores that the servers are busy with while all come back within ``storm_seconds``."""
    return workload.sockets * _return_us(workload, costs) / 1e6 / workload.storm_seconds


def storm_redis_cores(workload: Workload, costs: Costs, processes: int) -> float:
    """Cores of Redis in the same storm: first joins of rooms, and those who become present."""
    first = workload.rooms * spread(_hearers(workload), processes) * costs.redis_join_us
    present = workload.present * workload.sockets * costs.redis_present_us
    return (first + present) / 1e6 / workload.storm_seconds


def storm_seconds(workload: Workload, costs: Costs, processes: int, limits: Limits = LIMITS) -> float:
    """The shortest time in which all can come back without the processes having more to do than they can."""
    free = processes - min(server_cores(workload, costs, processes), processes * 0.9)
    return workload.sockets * _return_us(workload, costs) / 1e6 / free


def drain_share(processes: int, seconds: float, workload: Workload, costs: Costs) -> float:
    """The share of their cores that the other processes are busy with, while one is drained in so many seconds.

    Its sockets come back to the others, as long as ``seconds`` is the window that it tells clients to come back in.
    """
    moving = workload.sockets / processes
    return moving * _return_us(workload, costs) / 1e6 / seconds / max(1, processes - 1)


def last_has_it_seconds(workload: Workload, costs: Costs, processes: int) -> float:
    """How long a process works for one broadcast, until the last of its members has it, if it does nothing else."""
    here = _hearers(workload) / spread(_hearers(workload), processes)
    return (costs.hear_us + here * costs.delivery_us) / 1e6


@dataclass(frozen=True)
class Plan:
    """What a workload needs.

    Attributes:
        workload: with its number of sockets.
        processes: of one core each.
        memory_gb: of all of them.
        busy: the share of its core that each is busy with, while nobody comes or goes.
        deliveries: in a second.
        last_has_it: seconds that a process works for one broadcast.
        redis: cores that it is busy with.
        egress: bytes in a second that it sends.
        redis_nodes: how many are needed for both, and for the storm.
        hosts: machines, by cores and memory.
        ports: connections between one balancer and one process.
        storm: the shortest time in which all can come back.
        redis_storm: cores of Redis while they do so within the workload's time.
        strain: what everything takes of its limit, with one Redis and one balancer; over 1 is too much.
    """

    workload: Workload
    processes: int
    memory_gb: float
    busy: float
    deliveries: float
    last_has_it: float
    redis: float
    egress: float
    redis_nodes: int
    hosts: int
    ports: float
    storm: float
    redis_storm: float
    strain: Mapping[str, float]

    @property
    def first(self) -> str:
        """What comes nearest to its limit with that many processes, and one Redis."""
        return max(self.strain, key=self.strain.__getitem__)


def _processes(workload: Workload, costs: Costs, limits: Limits) -> int:
    """The fewest that keep below the limits; more processes copy each broadcast more often."""
    count = max(1, math.ceil(workload.sockets / min(limits.sockets, limits.open_files * 0.9)))
    while server_cores(workload, costs, count) > count * limits.share:
        count = max(count + 1, math.ceil(count * 1.05))
    return count


def plan(workload: Workload, costs: Costs, limits: Limits = LIMITS) -> Plan:
    """What a workload needs, and what breaks first if it does not get it."""
    count = _processes(workload, costs, limits)
    memory = count * costs.process_mb / 1024 + workload.sockets * costs.socket_kb / 1024**2
    redis, egress = redis_cores(workload, costs, count), redis_egress(workload, costs, count)
    redis_storm = storm_redis_cores(workload, costs, count)
    storm = storm_seconds(workload, costs, count, limits)
    strain = {
        "fan-out of one process": server_cores(workload, costs, count) / count / limits.share,
        "descriptors of a process": workload.sockets / count / limits.open_files,
        "ports of one balancer": workload.sockets / count / limits.ports,
        "egress of one Redis": egress / limits.egress,
        "core of one Redis": redis / limits.redis_share,
        "core of one Redis in a storm": redis_storm,
        "handshakes in a storm": storm / workload.storm_seconds,
    }
    nodes = max(redis / limits.redis_share, redis_storm, egress / limits.egress)
    return Plan(
        workload=workload,
        processes=count,
        memory_gb=memory,
        busy=server_cores(workload, costs, count) / count,
        deliveries=workload.spoken * _hearers(workload),
        last_has_it=last_has_it_seconds(workload, costs, count),
        redis=redis,
        egress=egress,
        redis_nodes=max(1, math.ceil(nodes)),
        hosts=max(1, math.ceil(count / limits.host_cores), math.ceil(memory / limits.host_gb)),
        ports=workload.sockets / count,
        storm=storm,
        redis_storm=redis_storm,
        strain=strain,
    )


def costs_of(results: Mapping[str, Any]) -> Costs | None:
    """The costs in results of the benchmarks; None if the row ``capacity`` was not measured."""
    for row in results["rows"]:
        if row["name"] == "capacity" and "costs" in row:
            return Costs(**{field.name: row["costs"][field.name] for field in fields(Costs)})
    return None


def capacity_table(results: Mapping[str, Any]) -> str:
    """What each workload needs at each size, as a table of the documentation."""
    costs = costs_of(results)
    if costs is None:
        return _UNMEASURED
    lines = []
    for workload in WORKLOADS:
        lines += [f"*{workload.name[0].upper()}{workload.name[1:]}*", "", *_table(workload, costs, SIZES), ""]
    return "\n".join(lines).rstrip()


def costs_table(results: Mapping[str, Any]) -> str:
    """The costs, as a table of the documentation."""
    costs = costs_of(results)
    if costs is None:
        return _UNMEASURED
    lines = ["| Cost | Measured |", "|---|---:|"]
    lines += [f"| `{field.name}` | {getattr(costs, field.name):,.1f} |" for field in fields(Costs)]
    return "\n".join(lines)


def checks_table(results: Mapping[str, Any]) -> str:
    """What the formulas foretell beside what was measured, as a table of the documentation."""
    lines = ["| Processes | | Foretold | Measured | |", "|---:|---|---:|---:|---:|"]
    for row in results["rows"]:
        for check in row.get("checks", ()):
            foretold, measured, unit = check["foretold"], check["measured"], check["unit"]
            cells = (f"{check['processes']}", check["what"], f"{foretold:,.0f} {unit}", f"{measured:,.0f} {unit}")
            off = f"{foretold / measured - 1:+.0%}" if measured else "–"
            lines.append("| " + " | ".join((*cells, off)) + " |")
    return "\n".join(lines) if len(lines) > 2 else _UNMEASURED


def _table(workload: Workload, costs: Costs, sizes: Sequence[int]) -> Iterator[str]:
    yield (
        "| Sockets | Processes | Memory | Deliveries/s | Busy | A broadcast | Redis, cores | Redis sends "
        "| Nodes of Redis | All back in | Nearest its limit |"
    )
    yield "|" + "---:|" * 10 + "---|"
    for sockets in sizes:
        found = plan(replace(workload, sockets=sockets), costs)
        yield (
            f"| {sockets:,} | {found.processes:,} | {found.memory_gb:,.1f} GB | {found.deliveries:,.0f} "
            f"| {found.busy:.0%} | {found.last_has_it * 1000:,.1f} ms "
            f"| {found.redis:,.2f} | {found.egress / 1e6:,.1f} MB/s | {found.redis_nodes:,} "
            f"| {found.storm:,.0f} s | {found.first} ({found.strain[found.first]:,.2g} ×) |"
        )


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog="python -m bench.scale", description="What so many sockets need.")
    made.add_argument("--results", type=Path, metavar="FILE", help="with the row capacity (bench/results.json)")
    made.add_argument("--check", action="store_true", help="run 1, 2 and 4 processes and compare")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or measure and compare with what the formulas say; returns the exit status."""
    options = parser().parse_args(arguments)
    if options.check:
        from .command import main as bench

        with tempfile.TemporaryDirectory() as directory:
            return bench(["--only", "capacity", "--output", str(options.results or Path(directory) / "results.json")])
    found = read(options.results or PUBLISHED) or {"rows": []}
    if costs_of(found) is None:
        print(_UNMEASURED, file=sys.stderr)
        return 1
    print("\n\n".join(make(found) for make in (capacity_table, costs_table, checks_table)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
