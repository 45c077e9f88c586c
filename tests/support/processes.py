"""Real servers for tests: each on a free port of 127.0.0.1, started and stopped by the test that needs it."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tests.support import interpreter, redis_binary
from tests.support.event_loops import on_chosen_loop
from tests.support.interpreter import ROOT

if TYPE_CHECKING:  # the benchmarks start processes, too, and no PostgreSQL
    import psycopg

HOST = "127.0.0.1"
START_SECONDS = 90  # on a machine that does much else

#: How each ASGI server is started. {port} is filled in.
COMMANDS = {
    "daphne": ["-m", "daphne", "-b", HOST, "-p", "{port}", "{app}"],
    "runws_server": ["manage.py", "runws_server", "-b", HOST, "-p", "{port}", "{app}"],
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
    "hypercorn": ["-m", "hypercorn", "--workers", "0", "--bind", f"{HOST}:{{port}}", "{app}"],
    "hypercorn-worker": ["-m", "hypercorn", "--bind", f"{HOST}:{{port}}", "{app}"],
    "granian": ["-m", "granian", "--interface", "asgi", "--host", HOST, "--port", "{port}", "{app}"],
    "wsgi": ["-m", "tests.site.wsgi", "{port}"],
    "runserver": ["manage.py", "runserver", "--noreload", f"{HOST}:{{port}}"],
}


#: Those that run in one process. granian starts processes of its own, as hypercorn does unless it is told not to.
FORKED = {"daphne", "runws_server", "uvicorn", "uvicorn-websockets", "uvicorn-wsproto", "hypercorn", "runserver"}


class Ports:
    """Ports that this process alone gives to servers: a block, which a lock keeps from other processes of tests.

    One that the system has chosen is anybody's until a server listens on it, and again while that is stopped: it goes
    to the next who asks, or to a connection. The system chooses none below 32,768, and browsers take all from 20,000.
    """

    FIRST, LAST, BLOCK = 20_000, 32_000, 400

    def __init__(self) -> None:
        self._lock: int | None = None
        self._ports: Iterator[int] = iter(())

    def take(self) -> int:
        """The next of them on which nothing listens just now."""
        if self._lock is None:
            self._ports = itertools.cycle(self._take_block())
        for port in itertools.islice(self._ports, self.BLOCK):
            with contextlib.suppress(OSError), socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((HOST, port))
                return port
        raise RuntimeError("something listens on every port of the block")

    def _take_block(self) -> range:
        directory = Path(tempfile.gettempdir()) / f"fastws-test-ports-{os.geteuid()}"
        directory.mkdir(exist_ok=True)
        for first in range(self.FIRST, self.LAST, self.BLOCK):
            lock = os.open(directory / str(first), os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
            else:
                self._lock = lock  # as long as the process lasts
                return range(first, first + self.BLOCK)
        raise RuntimeError(f"other processes have all ports from {self.FIRST} to {self.LAST}: {directory}")

    def close(self) -> None:
        """Leave them to others."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


_ports = Ports()


def free_port() -> int:
    """A port that nothing listens on, and that nobody else gets."""
    return _ports.take()


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

    #: Where the command runs, and as which user; None for the user of the tests.
    cwd: Path = ROOT
    user: str | None = None
    #: Whether it is Python in one process, which may be forked from one that has imported most of it.
    is_forked = False

    def __init__(self, command: list[str], port: int, environment: Mapping[str, str] | None = None) -> None:
        self.command = command
        self.port = port
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TEST_SERVER": "1", **(environment or {})}
        self.directory = tempfile.TemporaryDirectory(prefix="fastws-test-")
        self.log_path = Path(self.directory.name) / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.cwd = ROOT
        self.pass_fds: tuple[int, ...] = ()

    def start(self) -> None:
        """Start it and wait until it listens. It may have run before."""
        with self.log_path.open("ab") as log:
            self.process = self._start(log)
        try:
            wait_for_port(self.port, self.process, self.log_path)
        except BaseException:
            self.stop(signal.SIGKILL)
            raise
        # A server listens a moment before it ends in order at a signal.
        while self.is_forked and self.process.poll() is None and self._dies_of(signal.SIGTERM):
            time.sleep(0.01)

    def _dies_of(self, signum: int) -> bool:
        assert self.process is not None
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:  # it has ended, or there is no such thing here
            return False
        return "SigCgt:" in status and not int(status.partition("SigCgt:")[2].split()[0], 16) >> signum - 1 & 1

    def _start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        command = on_chosen_loop(self.command)
        if self.is_forked and not self.pass_fds:
            return interpreter.start(command[1:], self.environment, log, directory=self.cwd)
        return subprocess.Popen(
            command,
            cwd=self.cwd,
            user=self.user,
            env=self.environment,
            pass_fds=self.pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def send_signal(self, signum: int) -> None:
        """Send it a signal, unless it has ended."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signum)

    def stop(self, signum: int = signal.SIGTERM, limit: float = 30) -> int:
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
        options: more of the command line.
        environment: more environment variables.
    """

    def __init__(
        self,
        kind: str = "daphne",
        *,
        layer: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        app: str = "tests.site.asgi:application",
        options: Sequence[str] = (),
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
        super().__init__([sys.executable, *command, *options], port, variables)
        self.kind = kind
        self.is_forked = kind in FORKED

    def url(self, path: str) -> str:
        return f"ws://{HOST}:{self.port}{path}"

    def http_url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}{path}"


class RedisServer(Process):
    """A redis-server without persistence. Raises RuntimeError where there is no binary.

    Args:
        more: options of its command line.
    """

    def __init__(self, *more: str) -> None:
        binary = redis_binary.find()
        if binary is None:
            raise RuntimeError("no redis-server on this machine: `python -m tests.support.redis_binary` gets one")
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
            *more,
        ]
        super().__init__([str(binary), *options], port)
        self.cwd = Path(self.directory.name)  # where a replica's copy is put, whatever is said of saving

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"


def find_postgres() -> Path | None:
    """The directory of PostgreSQL's server programs: of the PATH, else the newest of Debian's; None without any."""
    if on_path := shutil.which("initdb"):
        return Path(on_path).parent
    versions = {path: path.parent.parent.name for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")}
    return max(versions, key=lambda path: float(versions[path])).parent if versions else None


class PostgresServer(Process):
    """A PostgreSQL server with one empty database. Raises RuntimeError where there is no server program.

    The server refuses to run as root: under root, it runs as another user.
    """

    DATABASE = "fastws"

    def __init__(self) -> None:
        programs = find_postgres()
        if programs is None:
            raise RuntimeError("no PostgreSQL server on this machine: with Debian, `apt install postgresql`")
        port = free_port()
        super().__init__([], port)
        data = Path(self.directory.name) / "data"
        options = {
            "port": port,
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 50,
        }
        self.command = [str(programs / "postgres"), "-D", str(data)]
        for name, value in options.items():
            self.command += ["-c", f"{name}={value}"]
        self.cwd = Path(self.directory.name)
        if os.geteuid() == 0:
            self.user = next(name for name in ("postgres", "nobody") if _is_user(name))
            shutil.chown(self.directory.name, self.user)
        made = subprocess.run(
            [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            cwd=self.cwd,
            user=self.user,
            env={**self.environment, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")

    def start(self) -> None:
        """Start it and wait until it answers: it listens before that."""
        import psycopg

        super().start()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.execute("SELECT 1", "postgres")
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                break
        if not self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{self.DATABASE}'", "postgres"):
            self.execute(f"CREATE DATABASE {self.DATABASE}", "postgres")

    def stop(self, signum: int = signal.SIGINT, limit: float = 15) -> int:
        """End it; SIGINT closes every connection, SIGQUIT leaves the rest as a crash does."""
        return super().stop(signum, limit)

    def connect(self, database: str = DATABASE) -> psycopg.Connection[Any]:
        """A connection of its own, in autocommit mode."""
        import psycopg

        return psycopg.connect(host=HOST, port=self.port, user="postgres", dbname=database, autocommit=True)

    def execute(self, query: str, database: str = DATABASE) -> list[tuple[Any, ...]]:
        """Run a query in a connection of its own; the rows, if it has any."""
        with self.connect(database) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def settings(self) -> dict[str, Any]:
        """What goes into Django's DATABASES."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": HOST,
            "PORT": self.port,
            "USER": "postgres",
            "NAME": self.DATABASE,
            "OPTIONS": {"application_name": "fastws"},
        }


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


@contextlib.contextmanager
def stopped(process: Process) -> Iterator[None]:
    """Hold a process with SIGSTOP, so that its peers see silence, not a closed connection."""
    assert process.process is not None
    process.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.process.send_signal(signal.SIGCONT)
