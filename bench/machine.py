"""The machine: which core does what, how many files may be open, and what it is made of."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.support import redis_binary

__all__ = ["Cores", "Others", "choose_cores", "describe", "missing", "on_core", "raise_open_files", "versions"]

#: What the rows stand on or measure against.
_PACKAGES = (
    "Django",
    "channels",
    "channels-redis",
    "daphne",
    "autobahn",
    "Twisted",
    "redis",
    "uvicorn",
    "uvloop",
    "httptools",
    "starlette",
    "chanx",
    "litestar",
    "python-socketio",
    "websockets",
    "picows",
    "pydantic",
    "orjson",
)
#: Where a package is better known by another name.
_NAMES = {"redis": "redis-py"}
_TOPOLOGY = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Cores:
    """Which core runs what; None where there is only one, or where processes cannot be pinned.

    Attributes:
        server: what is measured.
        load: the load generator, Redis, and the peers of what is measured.
    """

    server: int | None
    load: int | None

    def __str__(self) -> str:
        if self.server is None:
            return "nothing is pinned: there is only one core to be had"
        return f"what is measured on core {self.server}, the load and Redis on core {self.load}"


def choose_cores() -> Cores:
    """Two cores of those that this process may use, and not two threads of one core if there is a choice."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return Cores(None, None)
    server = allowed[0]
    others = [core for core in allowed[1:] if core not in _siblings(server)]
    return Cores(server, (others or allowed[1:])[0])


def _siblings(core: int) -> set[int]:
    """The threads of the same physical core."""
    try:
        text = (_TOPOLOGY / f"cpu{core}/topology/thread_siblings_list").read_text()
    except OSError:
        return {core}
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Run this thread, and whatever it starts meanwhile, on one core; None leaves it as it is."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Others:
    """What other processes take of the cores, which makes figures worse, and not for all peers alike.

    Args:
        cores: that should be this program's and its children's alone.
        elsewhere: the seconds that its living children have spent so far; those that have ended count by themselves.
    """

    def __init__(self, cores: Cores, elsewhere: Callable[[], float]) -> None:
        self._cores = [core for core in (cores.server, cores.load) if core is not None] or [0]
        self._elsewhere = elsewhere
        self._before = self._now()

    def share(self) -> float:
        """Their share of the cores since this was made; the host of a virtual machine is one of them."""
        seconds, busy, own = (now - then for now, then in zip(self._now(), self._before, strict=True))
        return max(0.0, (busy - own) / (seconds * len(self._cores)))

    def _now(self) -> tuple[float, float, float]:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
        return time.monotonic(), sum(map(_busy_seconds, self._cores)), own + self._elsewhere()


def _busy_seconds(core: int) -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _, _, irq, softirq, steal, *_ = map(int, fields)
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return 0.0


def raise_open_files() -> int:
    """Let this process, and those that it starts, open as many files as the system lets it; returns how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def missing() -> str | None:
    """Why nothing can be measured here; None if it can."""
    if platform.system() != "Linux":
        return "the benchmarks need Linux: epoll, /proc, and processes that can be pinned to a core"
    try:
        found = redis_binary.find()
    except redis_binary.RedisBinaryError as error:
        return str(error)
    return None if found else "no redis-server on this machine: `python -m tests.support.redis_binary` gets one"


def describe(cores: Cores) -> dict[str, Any]:
    """The machine, for whoever reads the results."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "pinning": str(cores),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def versions() -> dict[str, str]:
    """The releases of all that takes part; what is not installed is left out."""
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[_NAMES.get(package, package)] = version(package)
    binary = redis_binary.find()
    if binary is not None:
        told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
        found["Redis"] = next((word[2:] for word in told.split() if word.startswith("v=")), told.strip())
    return found
