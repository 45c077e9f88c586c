"""The processes that take part: Redis, servers, clients; each is pinned to its core, and killed in the end."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from tests.support import redis_binary
from tests.support.processes import HOST, ROOT, free_port, wait_for_port

from .machine import on_core

__all__ = ["ASGIServer", "Program", "PythonProgram", "Redis", "cpu_seconds", "site_environment", "start"]

#: Pings are off, for sockets that count bytes do not answer them; all else is as it ships.
_NO_PINGS = "86400"
_QUIET = ["--access-log", os.devnull]
_SERVERS = {
    "daphne": ["daphne", "--ping-interval", _NO_PINGS, "-b", HOST, "-p"],
    "runws_server": ["django", "runws_server", *_QUIET, "--ping-interval", _NO_PINGS, "-b", HOST, "-p"],
    "uvicorn": ["uvicorn", "--ws-ping-interval", _NO_PINGS, "--host", HOST, "--port"],
}
_SETTLED_SECONDS = 0.3
_SILENCE_SECONDS = 60.0


class Program:
    """A process of its own; use it in a ``with`` block, or start several at once with ``start``.

    Args:
        command: with its arguments.
        core: to pin it to; None for none.
        port: where it will listen; None if it does not.
        environment: further variables.
        talks: it is told what to do through its standard input, and answers on its standard output.
    """

    def __init__(
        self,
        command: list[str],
        core: int | None,
        *,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        talks: bool = False,
    ) -> None:
        self.command = command
        self.core = core
        self.port = port
        self.talks = talks
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self.environment = {**os.environ, "PYTHONPATH": path, **(environment or {})}
        self._directory = tempfile.TemporaryDirectory(prefix="fastws-bench-")
        self._log = Path(self._directory.name) / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the process was not started")
        return self._process

    @property
    def listens(self) -> int:
        """The port on which it listens."""
        if self.port is None:
            raise RuntimeError(f"{self.command!r} does not listen")
        return self.port

    def start(self) -> None:
        """Start it; returns once it listens, if it is to listen."""
        with self._log.open("ab") as log, on_core(self.core):
            self._process = self._open(log)
        if self.port is not None:
            wait_for_port(self.port, self._process, self._log)

    def _open(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE if self.talks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if self.talks else log,
            stderr=log,
        )

    def tell(self, line: str) -> None:
        """Send it a line."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, as ``hear`` will say
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def hear(self, patience: float = _SILENCE_SECONDS) -> str:
        """The next line that it says.

        Args:
            patience: seconds for which it may say nothing.
        Raises:
            RuntimeError: it has ended instead, or says nothing for so long.
        """
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], patience)[0]:
            raise RuntimeError(f"{self.command!r} says nothing:\n{self.log()}")
        answer = self.process.stdout.readline().decode().strip()
        if not answer:
            raise RuntimeError(f"{self.command!r} has ended:\n{self.log()}")
        return answer

    def log(self) -> str:
        """The end of what it has complained of."""
        return self._log.read_text(errors="replace")[-3000:]

    def kilobytes(self) -> float:
        """The memory that it holds now: its resident set."""
        return _pages(self.process.pid) * resource.getpagesize() / 1024

    def settled_kilobytes(self, limit: float = 10) -> float:
        """The memory that it holds once that has not changed for a while, or after ``limit`` seconds."""
        deadline = time.monotonic() + limit
        found, since = self.kilobytes(), time.monotonic()
        while time.monotonic() - since < _SETTLED_SECONDS and time.monotonic() < deadline:
            time.sleep(0.02)
            if (now := self.kilobytes()) != found:
                found, since = now, time.monotonic()
        return found

    def stop(self) -> None:
        """Kill it: it has nothing to save, and thousands of sockets would take it long to close."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
        self._directory.cleanup()

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class PythonProgram(Program):
    """A module of the benchmarks, run with arguments; the others are as for ``Program``."""

    def __init__(self, module: list[str], core: int | None, **options: Any) -> None:
        super().__init__([sys.executable, "-m", *module], core, **options)


class ASGIServer(Program):
    """A stock server with one of the applications in ``bench.sites``.

    Args:
        kind: daphne, runws_server or uvicorn.
        site: the module whose ``application`` is served; or a module, a colon, and the name of what is served.
        redis: that of its channel layer.
        cluster: servers of one site and one cluster share their rooms.
        consumers: the module with the sockets of this package.
        settings: further ones.
    """

    def __init__(
        self,
        kind: str,
        site: str,
        core: int | None,
        redis: Redis,
        cluster: str = "",
        consumers: str = "consumers",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        port = free_port()
        target = f"bench.sites.{site}" if ":" in site else f"bench.sites.{site}:application"
        command = [sys.executable, "-m", *_SERVERS[kind], str(port), target]
        environment = site_environment(site, redis, cluster) | {"BENCH_CONSUMERS": consumers}
        environment["BENCH_SETTINGS"] = json.dumps(dict(settings or {}))
        super().__init__(command, core, port=port, environment=environment)


def site_environment(site: str, redis: Redis, cluster: str = "") -> dict[str, str]:
    """The variables that ``bench.sites.settings`` reads."""
    site = site.partition(":")[0]
    backend = {
        "ours": "django_fastws.layer.RedisChannelLayer",
        "channels_peer": "channels_redis.pubsub.RedisPubSubChannelLayer",
    }.get(site)
    layer = {"BACKEND": backend, "CONFIG": {"hosts": [redis.url], "prefix": site + cluster}} if backend else None
    return {"DJANGO_SETTINGS_MODULE": "bench.sites.settings", "BENCH_SITE": site, "BENCH_LAYER": json.dumps(layer)}


class Redis(Program):
    """A redis-server of the benchmarks' own, that keeps nothing on disk."""

    def __init__(self, core: int | None) -> None:
        port = free_port()
        options = ["--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no", "--loglevel", "warning"]
        super().__init__([str(redis_binary.find()), *options], core, port=port)

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"


def start(stack: contextlib.ExitStack, programs: Iterable[Program]) -> None:
    """Start several at once, and stop them with the stack."""
    listed = list(programs)
    for program in listed:
        stack.callback(program.stop)
    with ThreadPoolExecutor(len(listed)) as pool:  # each start pins its own thread
        for started in [pool.submit(program.start) for program in listed]:
            started.result()


def cpu_seconds(programs: Iterable[Program]) -> float:
    """The time that these processes have spent on a core so far, in all their threads."""
    return sum(_nanoseconds(program.process.pid) for program in programs) / 1e9


def _nanoseconds(pid: int) -> int:
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            spent += int((task / "schedstat").read_text().split()[0])
    return spent


def _pages(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
