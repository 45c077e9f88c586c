"""A process that has imported what is under the package, and forks: a server is up in a third of the processor time.

Nothing of the package, of daphne's server and of the tests is imported before the fork, nor is a reactor installed or
are settings read: what a process does in which order is what is tested.
"""

from __future__ import annotations

import contextlib
import gc
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
import types
import warnings
from collections.abc import Mapping, Sequence
from io import FileIO, TextIOWrapper
from typing import IO, Any

#: What a server of the tests imports anyway, and what takes longest of it.
MODULES = [
    "asgiref.compatibility",
    "asyncio",
    "autobahn.twisted.websocket",
    "channels.apps",
    "channels.db",
    "channels.generic.websocket",
    "channels.layers",
    "channels.routing",
    "channels_redis.core",
    "channels_redis.pubsub",
    "cryptography.x509",
    "django.conf.urls.i18n",
    "django.contrib.admin.apps",
    "django.contrib.admin.decorators",
    "django.contrib.admin.templatetags.admin_list",
    "django.contrib.auth.apps",
    "django.contrib.auth.password_validation",
    "django.contrib.auth.tokens",
    "django.contrib.auth.validators",
    "django.contrib.messages.middleware",
    "django.contrib.sessions.backends.cached_db",
    "django.contrib.sessions.backends.file",
    "django.contrib.sessions.backends.signed_cookies",
    "django.contrib.sessions.middleware",
    "django.contrib.sites.shortcuts",
    "django.contrib.staticfiles.apps",
    "django.contrib.staticfiles.handlers",
    "django.core.asgi",
    "django.core.cache.backends.locmem",
    "django.core.management",
    "django.core.management.commands.makemigrations",
    "django.core.management.commands.migrate",
    "django.core.management.commands.runserver",
    "django.core.management.commands.shell",
    "django.core.management.commands.startproject",
    "django.core.serializers.json",
    "django.core.servers.basehttp",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.utils",
    "django.db.models",
    "django.forms",
    "django.middleware.locale",
    "django.template.backends.django",
    "django.templatetags.cache",
    "django.templatetags.l10n",
    "django.templatetags.tz",
    "django.test.signals",
    "django.urls",
    "django.utils.autoreload",
    "django.utils.translation.reloader",
    "django.views.csrf",
    "django.views.debug",
    "email.message",
    "encodings.idna",
    "h2.connection",
    "httpx2",
    "hypercorn.asyncio.run",
    "hypercorn.run",
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
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvicorn.protocols.websockets.wsproto_impl",
    "websockets.asyncio.client",
    "wsproto",
]
#: These are read when Python starts: with others, a process must start as well.
READ_AT_START = ("PYTHON", "LC_", "LANG")
#: But what these say can be done in a process that runs already.
DONE_LATER = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONWARNINGS"}


class ForkServer:
    """The process that forks. It ends with the process that made it, and whatever it has forked with it."""

    def __init__(self, environment: Mapping[str, str], directory: str) -> None:
        self.environment = {name: value for name, value in environment.items() if name != "PYTHONWARNINGS"}
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

    def can_fork(self, environment: Mapping[str, str]) -> bool:
        """Is a process of this environment what a new Python process would be?"""

        def read_at_start(variables: Mapping[str, str]) -> dict[str, str]:
            return {
                name: value
                for name, value in variables.items()
                if name.startswith(READ_AT_START) and name not in DONE_LATER
            }

        return read_at_start(environment) == read_at_start(self.environment)

    def fork(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        directory: str,
        output: IO[bytes],
        errors: IO[bytes],
        *,
        new_session: bool = False,
    ) -> Forked:
        """Start Python with these arguments: a path, ``-m`` and a module or ``-c`` and code; ``-W`` may be before it.

        It reads nothing, and inherits nothing but what it writes to.
        """
        ended, tell = os.pipe()
        job = json.dumps(
            {
                "arguments": list(arguments),
                "environment": dict(environment),
                "directory": directory,
                "new_session": new_session,
            }
        )
        with self._lock, os.fdopen(tell, "wb"):
            socket.send_fds(self._connection, [job.encode()], [output.fileno(), errors.fileno(), tell])
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
            with contextlib.suppress(ProcessLookupError):  # it ends just now
                os.kill(self.pid, sig)


class Start:
    """What a new process begins with. To be made before anything changes it."""

    def __init__(self) -> None:
        given = {os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path}
        self.installed = [path for path in sys.path[1:] if path not in given]
        self.filters = list(warnings.filters)


class Job:
    """What to do in a process that was forked."""

    def __init__(self, message: bytes, start: Start) -> None:
        job = json.loads(message)
        self.arguments: list[str] = job["arguments"]
        self.environment: dict[str, str] = job["environment"]
        self.directory: str = job["directory"]
        self.new_session: bool = job["new_session"]
        self.start = start

    def prepare(self, output: int, errors: int) -> None:
        """Make this process what a new one would be."""
        if self.new_session:
            os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup ignores, and whatever it starts
        os.chdir(self.directory)
        os.environ.clear()
        os.environ.update(self.environment)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        is_unbuffered = bool(self.environment.get("PYTHONUNBUFFERED"))
        sys.stdout = sys.__stdout__ = _text(sys.stdout, is_unbuffered=is_unbuffered)
        sys.stderr = sys.__stderr__ = _text(sys.stderr, is_unbuffered=is_unbuffered)
        sys.dont_write_bytecode = bool(self.environment.get("PYTHONDONTWRITEBYTECODE"))
        sys.orig_argv = [sys.executable, *self.arguments]
        options = [option for option in self.environment.get("PYTHONWARNINGS", "").split(",") if option]
        while self.arguments[0] == "-W":
            options.append(self.arguments[1])
            del self.arguments[:2]
        sys.warnoptions[:] = options = list(dict.fromkeys(options))
        imported = [one for one in warnings.filters if one not in self.start.filters]
        warnings.resetwarnings()
        warnings.filters[:] = self.start.filters
        warnings._processoptions(options)
        warnings.filters[:0] = imported

    def run(self) -> None:
        """Run it as ``__main__``."""
        kind, *others = self.arguments
        given = [os.path.abspath(path) for path in self.environment.get("PYTHONPATH", "").split(os.pathsep) if path]
        sys.path[:] = dict.fromkeys([*given, *self.start.installed])
        for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
            del sys.modules[name]
        if kind == "-m":
            sys.argv = others
            sys.path.insert(0, os.getcwd())
            runpy.run_module(others[0], run_name="__main__", alter_sys=True)
            return
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        if kind == "-c":
            sys.argv = ["-c", *others[1:]]
            sys.path.insert(0, "")
            code = compile(others[0], "<string>", "exec")
        else:
            sys.argv = self.arguments
            sys.path.insert(0, os.path.dirname(os.path.realpath(kind)))
            main.__file__ = path = os.path.abspath(kind)
            with open(path, "rb") as file:
                code = compile(file.read(), path, "exec")
        exec(code, main.__dict__)


def _text(stream: Any, *, is_unbuffered: bool) -> TextIOWrapper:
    """A standard stream, as Python makes it when it starts; from one that was made so."""
    number = stream.fileno()
    return TextIOWrapper(
        FileIO(number, "wb", closefd=False) if is_unbuffered else open(number, "wb", closefd=False),
        encoding=stream.encoding,
        errors=stream.errors,
        newline="\n",
        line_buffering=number == 2 and not is_unbuffered,
        write_through=is_unbuffered,
    )


def serve(connection: socket.socket, start: Start) -> Job:
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
        message, files, _, _ = socket.recv_fds(connection, 1_000_000, 3)
        if not message:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            os._exit(0)
        output, errors, tell = files
        if not (pid := os.fork()):
            job = Job(message, start)
            job.prepare(output, errors)
            for number in (output, errors, tell, *running.values()):
                os.close(number)
            for sock in (connection, woken, wake):
                sock.close()
            return job
        os.close(output)
        os.close(errors)
        running[pid] = tell
        connection.send(str(pid).encode())


def reap(running: dict[int, int]) -> None:
    """Tell of those that have ended."""
    for pid, tell in list(running.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del running[pid]
            with contextlib.suppress(BrokenPipeError):  # nobody waits
                os.write(tell, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(tell)


def main() -> None:
    start = Start()
    for name in MODULES:
        with contextlib.suppress(ImportError):  # what the lowest versions do not have, servers do not import
            importlib.import_module(name)
    unwanted = [
        name for name in sys.modules if name.startswith(("django_fastws", "daphne", "twisted.internet.reactor"))
    ]
    assert not unwanted, unwanted
    assert not sys.modules["django.conf"].settings.configured
    gc.collect()
    gc.freeze()  # else what is forked looks through all of it, and has a copy of it, when it ends at the latest
    serve(socket.socket(fileno=int(sys.argv[1])), start).run()


if __name__ == "__main__":
    main()
