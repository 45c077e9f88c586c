"""A process that has imported what is under the package, and forks: a server is up in a third of the processor time.

Nothing of the package, of daphne's server and of the tests is imported before the fork, nor is a reactor installed or
are settings read: what a process does in which order is what is tested.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import IO, Any

#: What a server of the tests imports anyway, and what takes longest of it.
MODULES = [
    "asyncio",
    "autobahn.twisted.websocket",
    "channels.db",
    "channels.generic.websocket",
    "channels.layers",
    "channels.routing",
    "channels_redis.core",
    "channels_redis.pubsub",
    "cryptography.x509",
    "django.contrib.admin.decorators",
    "django.contrib.staticfiles.handlers",
    "django.core.asgi",
    "django.core.management",
    "django.core.serializers.json",
    "django.core.servers.basehttp",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.utils",
    "django.db.models",
    "django.forms",
    "django.template.backends.django",
    "django.test.signals",
    "django.urls",
    "django.utils.autoreload",
    "django.views.debug",
    "email.message",
    "h2.connection",
    "httpx2",
    "idna",
    "orjson",
    "picows",
    "psycopg",
    "pydantic.root_model",
    "pydantic.type_adapter",
    "redis.asyncio",
    "twisted.internet.asyncioreactor",
    "twisted.internet.endpoints",
    "twisted.internet.ssl",
    "twisted.web.http",
    "uvicorn",
    "websockets.asyncio.client",
    "wsproto",
]
#: These are read when Python starts: with others, a process must start as well.
READ_AT_START = ("PYTHON", "LC_", "LANG")


class ForkServer:
    """The process that forks. It ends with the process that made it, and whatever it has forked with it."""

    def __init__(self, environment: Mapping[str, str], directory: str) -> None:
        self.environment = dict(environment)
        self.directory = directory
        self._lock = threading.Lock()
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=directory,
                env=self.environment,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
            )

    def can_fork(self, environment: Mapping[str, str], directory: str) -> bool:
        """Is a process of these what a new Python process would be?"""

        def read_at_start(variables: Mapping[str, str]) -> dict[str, str]:
            return {name: value for name, value in variables.items() if name.startswith(READ_AT_START)}

        return directory == self.directory and read_at_start(environment) == read_at_start(self.environment)

    def fork(self, arguments: Sequence[str], environment: Mapping[str, str], output: IO[bytes]) -> Forked:
        """Start Python with these arguments: a path or ``-m`` and a module, before it ``-W ignore`` or nothing."""
        ended, tell = os.pipe()
        job = json.dumps({"arguments": list(arguments), "environment": dict(environment)})
        with self._lock, os.fdopen(tell, "wb"):
            socket.send_fds(self._connection, [job.encode()], [output.fileno(), tell])
            pid = int(self._connection.recv(64))
        return Forked([sys.executable, *arguments], pid, ended)

    def close(self) -> None:
        self._connection.close()
        self._process.wait()


class Forked(subprocess.Popen[bytes]):
    """A process that another has forked for us."""

    def __init__(self, args: list[str], pid: int, ended: int) -> None:  # without Popen's: it would start one
        self.args = args
        self.pid = pid
        self.returncode: Any = None
        self.stdin = self.stdout = self.stderr = None
        self._ended = os.fdopen(ended, "rb", buffering=0)

    def __del__(self, *_: object) -> None:
        self._ended.close()

    def poll(self) -> int | None:
        return self._wait_for(0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._wait_for(timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return status

    def _wait_for(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            self.returncode = int(
                self._ended.read(64) or -signal.SIGKILL
            )  # nothing: the server has gone, and killed it
        return self.returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


class Job:
    """What to do in a process that was forked."""

    def __init__(self, message: bytes) -> None:
        job = json.loads(message)
        self.arguments: list[str] = job["arguments"]
        self.environment: dict[str, str] = job["environment"]

    def prepare(self, output: int) -> None:
        """Make this process what a new one would be."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup ignores, and whatever it starts
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.clear()
        os.environ.update(self.environment)

    def run(self) -> None:
        """Run it as ``__main__``."""
        arguments = self.arguments
        if arguments[0] == "-W":
            warnings.simplefilter(arguments[1])
            arguments = arguments[2:]
        if arguments[0] == "-m":
            sys.argv = arguments[1:]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            runpy.run_path(arguments[0], run_name="__main__")


def serve(connection: socket.socket) -> Job:
    """Fork for whoever asks, and say who has ended. Returns in each process that was forked."""
    woken, wake = socket.socketpair()
    woken.setblocking(False)
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the tests stop what they have started
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([connection, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            reap(running)
        if connection not in ready:
            continue
        message, files, _, _ = socket.recv_fds(connection, 1_000_000, 2)
        if not message:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            os._exit(0)
        output, tell = files
        if not (pid := os.fork()):
            job = Job(message)
            job.prepare(output)
            for number in (output, tell, *running.values()):
                os.close(number)
            for sock in (connection, woken, wake):
                sock.close()
            return job
        os.close(output)
        running[pid] = tell
        connection.send(str(pid).encode())


def reap(running: dict[int, int]) -> None:
    """Tell of those that have ended."""
    for pid, tell in list(running.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del running[pid]
            os.write(tell, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(tell)


def main() -> None:
    for name in MODULES:
        with contextlib.suppress(ImportError):  # what the lowest versions do not have, servers do not import
            importlib.import_module(name)
    unwanted = [
        name for name in sys.modules if name.startswith(("django_fastws", "daphne", "twisted.internet.reactor"))
    ]
    assert not unwanted, unwanted
    serve(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
