"""Django projects of a test's own, and the command in them, run as users run it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tests.support import interpreter
from tests.support.interpreter import ROOT

from .peers import PATIENCE

_MANAGE = """
import os
import sys

from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"""

_SETTINGS = """
SECRET_KEY = "for tests only"
INSTALLED_APPS = ["channels", "django_fastws", "feeds", "tests.support.started.Started"]
ASGI_APPLICATION = "feeds.asgi.application"
SILENCED_SYSTEM_CHECKS = ["fastws.W002", "fastws.W006"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
USE_TZ = True
FASTWS_CLIENT_BACKOFF_BASE = 0.02
FASTWS_CLIENT_BACKOFF_CAP = 0.02
"""

_CONSUMERS = """
import asyncio

from django_fastws import FastWS, WebSocket

app = FastWS()

"""


class Project:
    """A Django project with one app, ``feeds``.

    Args:
        directory: where its files go; it must not exist.
        library: that connects its routes.
    """

    def __init__(self, directory: Path, library: str = "websockets") -> None:
        self.directory = directory
        self._settings = f"{_SETTINGS}FASTWS_CLIENT_LIBRARY = {library!r}\n"
        self.commands: list[Command] = []
        (directory / "feeds").mkdir(parents=True)
        self.write("manage.py", _MANAGE)
        self.write("settings.py", self._settings)
        self.write("feeds/__init__.py", "")

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.directory / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def consumers(self, text: str, **values: Any) -> Path:
        """Write ``feeds/consumers.py``; ``asyncio``, ``FastWS``, ``WebSocket``, ``app`` and the values are there."""
        given = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        return self.write("feeds/consumers.py", _CONSUMERS + given + textwrap.dedent(text))

    def settings(self, text: str = "", **values: Any) -> None:
        """Add settings."""
        given = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        self.write("settings.py", self._settings + given + textwrap.dedent(text))

    def read(self, name: str) -> str:
        """What a handler has written into a file of the project; "" if there is none."""
        path = self.directory / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    async def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Command:
        """Start ``manage.py runws_clients``."""
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **(environment or {})}
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb") as output:
            process = interpreter.start(
                ["manage.py", "runws_clients", *arguments],
                variables,
                output,
                directory=self.directory,
                new_session=True,
            )
        command = Command(process, os.fdopen(reading, "rb"))
        self.commands.append(command)
        return command

    async def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run ``manage.py runws_clients`` to its end; returns the exit status and what was printed."""
        command = await self.start(*arguments, environment=environment)
        return await command.ended(), command.output

    async def __aenter__(self) -> Project:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for command in self.commands:
            await command.kill()


class Command:
    """A command that runs in a process of its own, and what it prints, line by line."""

    def __init__(self, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        self.process = process
        self._output = output
        self.lines: list[str] = []
        self._news = asyncio.Event()
        self._reading = asyncio.ensure_future(self._read())

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    async def line(self, text: str, count: int = 1, timeout: float = PATIENCE) -> str:
        """Wait for a line that holds a text, for so many of them; returns the last."""
        deadline = time.monotonic() + timeout
        while len(found := [line for line in self.lines if text in line]) < count:
            left = deadline - time.monotonic()
            assert left > 0, f"no {text!r} within {timeout} seconds in:\n{self.output}"
            assert not self._reading.done(), f"it ended without {text!r}:\n{self.output}"
            self._news.clear()
            waiting = asyncio.ensure_future(self._news.wait())
            await asyncio.wait([waiting, self._reading], timeout=left, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        return found[count - 1]

    def send(self, signum: int) -> None:
        self.process.send_signal(signum)

    async def stop(self, signum: int = signal.SIGTERM) -> int:
        """Signal it and wait for its end; returns the exit status."""
        self.send(signum)
        return await self.ended()

    async def ended(self, timeout: float = PATIENCE) -> int:
        """Wait for its end, and for all that it has printed; returns the exit status."""
        try:
            await asyncio.wait_for(asyncio.shield(self._reading), timeout)
            return await asyncio.to_thread(self.process.wait, timeout)
        except (TimeoutError, subprocess.TimeoutExpired):
            raise AssertionError(f"it did not end within {timeout} seconds:\n{self.output}") from None

    async def kill(self) -> None:
        """End it by force, and whatever it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self.ended()

    async def _read(self) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._output
        )
        with contextlib.closing(transport):
            async for line in reader:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._news.set()
