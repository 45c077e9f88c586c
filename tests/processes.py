"""Real servers for tests: each on a free port of 127.0.0.1, started and stopped by the test that needs it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests import redis_binary

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
START_SECONDS = 30

#: How each ASGI server is started. {port} is filled in.
COMMANDS = {
    "daphne": ["-m", "daphne", "-b", HOST, "-p", "{port}", "{app}"],
    "uvicorn": ["-m", "uvicorn", "--host", HOST, "--port", "{port}", "{app}"],
    "uvicorn-websockets": [
        "-W",
        "ignore",
        "-m",
        "uvicorn",
        "--ws",
        "websockets",
        "--host",
        HOST,
        "--port",
        "{port}",
        "{app}",
    ],
    "uvicorn-wsproto": ["-m", "uvicorn", "--ws", "wsproto", "--host", HOST, "--port", "{port}", "{app}"],
    "hypercorn": ["-m", "hypercorn", "--bind", f"{HOST}:{{port}}", "{app}"],
    "granian": ["-m", "granian", "--interface", "asgi", "--host", HOST, "--port", "{port}", "{app}"],
    "runserver": ["manage.py", "runserver", "--noreload", f"{HOST}:{{port}}"],
}


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a process listens."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}:\n{log.read_text()}")
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} did not listen within {START_SECONDS} seconds:\n{log.read_text()}")


class Process:
    """A command that listens on a port; use it in a ``with`` block."""

    def __init__(self, command: list[str], port: int, environment: Mapping[str, str] | None = None) -> None:
        self.command = command
        self.port = port
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TEST_SERVER": "1", **(environment or {})}
        self.directory = tempfile.TemporaryDirectory(prefix="fastws-test-")
        self.log_path = Path(self.directory.name) / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens. It may have run before."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            wait_for_port(self.port, self.process, self.log_path)
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def send_signal(self, signum: int) -> None:
        """Send it a signal, unless it has ended."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signum)

    def stop(self, signum: int = signal.SIGTERM, limit: float = 15) -> int:
        """End it, by force after ``limit`` seconds, and return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signum)
            try:
                self.process.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def log(self, start: int = 0) -> str:
        """What it has printed so far, from a byte on."""
        return self.log_path.read_bytes()[start:].decode(errors="replace")

    def log_size(self) -> int:
        """How many bytes it has printed so far."""
        return self.log_path.stat().st_size

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        self.directory.cleanup()


class ASGIServer(Process):
    """An ASGI server with the application of the tests.

    Args:
        kind: a key of ``COMMANDS``.
        layer: the default channel layer's configuration; None for the in-memory one.
        settings: FASTWS_ settings.
        app: the application to serve.
        environment: more environment variables.
    """

    def __init__(
        self,
        kind: str = "daphne",
        *,
        layer: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        app: str = "tests.site.asgi:application",
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        port = port or free_port()
        variables = {"DJANGO_SETTINGS_MODULE": "tests.settings", **(environment or {})}
        if layer is not None:
            variables["TEST_LAYER"] = json.dumps(layer)
        if settings is not None:
            variables["TEST_FASTWS"] = json.dumps(settings)
        command = [part.format(port=port, app=app) for part in COMMANDS[kind]]
        super().__init__([sys.executable, *command], port, variables)
        self.kind = kind

    def url(self, path: str) -> str:
        return f"ws://{HOST}:{self.port}{path}"

    def http_url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}{path}"


class RedisServer(Process):
    """A redis-server without persistence. Raises RuntimeError where there is no binary."""

    def __init__(self) -> None:
        binary = redis_binary.find()
        if binary is None:
            raise RuntimeError("no redis-server on this machine: `python -m tests.redis_binary` gets one")
        port = free_port()
        options = [
            "--port",
            str(port),
            "--bind",
            HOST,
            "--save",
            "",
            "--appendonly",
            "no",
            "--loglevel",
            "warning",
        ]
        super().__init__([str(binary), *options], port)

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"


@contextlib.contextmanager
def stopped(process: Process) -> Iterator[None]:
    """Hold a process with SIGSTOP, so that its peers see silence, not a closed connection."""
    assert process.process is not None
    process.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.process.send_signal(signal.SIGCONT)
