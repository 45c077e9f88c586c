"""A reader who follows a page to the letter: makes its files, types its commands, starts its servers."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tests.docs.blocks import Block
from tests.support import interpreter
from tests.support.processes import HOST, ROOT, free_port, wait_for_port

__all__ = ["Reader", "Server"]

#: What a reader installs is installed already: the tests run with it.
_INSTALLATION = re.compile(
    r"python -m venv \S+|\. \.venv/bin/activate|redis-server"
    r"|python -m pip install (path/to/django_fastws|django-fastws)"
    r"|pip install \"django-fastws\[\w+\]\"[\w -]*"
)
_PROGRAMS: dict[str, list[str]] = {
    "python": [],
    "django-admin": ["-m", "django"],
    "daphne": ["-m", "daphne"],
    "uvicorn": ["-m", "uvicorn"],
    "pytest": ["-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"],
}
#: Programs that serve, with the names of their options for the host and the port.
_SERVERS = {"daphne": ("-b", "-p"), "uvicorn": ("--host", "--port")}
_OURS = "python manage.py runws_server"
_REDIS = "redis://127.0.0.1:6379"


class Server:
    """A server that the reader has started. The port is one of this machine's, not the page's."""

    def __init__(self, start: Callable[[IO[bytes]], subprocess.Popen[bytes]], port: int, directory: Path) -> None:
        self.port = port
        self.log_path = directory / f"server-{port}.log"
        with self.log_path.open("wb") as log:
            self.process = start(log)
        try:
            wait_for_port(port, self.process, self.log_path)
        except BaseException:
            self.stop()
            raise

    def url(self, path: str, scheme: str = "ws") -> str:
        """A URL of this server."""
        return f"{scheme}://{HOST}:{self.port}{path}"

    def log(self) -> str:
        """What it has printed so far."""
        return self.log_path.read_text(errors="replace")

    def stop(self) -> None:
        """End it, in the end by force."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


class Reader:
    """Follows pages in a directory of its own; use it in a ``with`` block.

    Args:
        directory: where the reader works.
        redis_url: the Redis of this machine, instead of the one that pages name.
        serves: start the servers that pages start.
        forks: run commands in processes that are forked, not each in a new Python.
        python: the Python of an environment of the reader's own, in which the package is installed; None is that of
            the tests, with the package as it lies here.
    """

    def __init__(
        self,
        directory: Path,
        redis_url: str = _REDIS,
        *,
        serves: bool = True,
        forks: bool = True,
        python: Path | None = None,
    ) -> None:
        self.directory = directory
        self.redis_url = redis_url
        self.serves = serves
        self.forks = forks and python is None
        self.python = python or Path(sys.executable)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "TEST_"))},
            "PYTHONPATH": "" if python else str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "200",
        }
        self.servers: list[Server] = []

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop_servers()

    def follow(self, blocks: list[Block]) -> None:
        """Do what the blocks say, in their order. A block that says nothing to do is an error."""
        for block in blocks:
            self.do(block)

    def do(self, block: Block) -> None:
        """Make the block's file, or type its commands."""
        if block.language == "console":
            self.type(block)
        elif block.file is not None:
            self.write(block)
        else:
            raise AssertionError(f"{block.id}: a reader does not know what to do with this")

    def write(self, block: Block) -> None:
        """Make a file of a block, or add to one."""
        assert block.file is not None
        path = self.directory / block.file
        text = block.text.replace(_REDIS, self.redis_url)
        if block.appends:
            assert path.exists(), f"{block.id}: there is no {block.file} to add to"
            text = path.read_text("utf-8") + "\n" + text
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def type(self, block: Block) -> None:
        """Type every command of a block. Where the page shows what a command prints, it must print that."""
        for command, expected in _commands(block):
            if _INSTALLATION.fullmatch(command):
                continue
            if command.split()[0] in _SERVERS or command.startswith(("python manage.py runserver", _OURS)):
                if self.serves:
                    self.serve(command)
                continue
            printed = self.run(command, block.id)
            if expected:
                assert _lines(printed) == _lines(expected), f"{block.id}: `{command}` printed\n{printed}"

    def run(self, command: str, where: str = "") -> str:
        """Run one command to its end; returns what it prints. It must succeed."""
        program, *arguments = shlex.split(command)
        with tempfile.TemporaryFile() as output:
            status = self._start([*_PROGRAMS[program], *arguments], output).wait()
            output.seek(0)
            printed = output.read().decode()
        assert status == 0, f"{where}: `{command}` ended with {status}:\n{printed}"
        return printed

    def _start(self, arguments: list[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start Python."""
        if self.forks:
            return interpreter.start(arguments, self.environment, output, directory=self.directory)
        return subprocess.Popen(
            [self.python, *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )

    def serve(self, command: str, port: int | None = None) -> Server:
        """Start a server with one command, on a free port unless one is named."""
        program, *arguments = shlex.split(command)
        port = port or free_port()
        if program in _SERVERS:
            host_option, port_option = _SERVERS[program]
            arguments = _with_options(arguments, {host_option: HOST, port_option: str(port)})
        elif command.startswith(_OURS):
            arguments = [*arguments[:2], *_with_options(arguments[2:], {"-b": HOST, "-p": str(port)})]
        else:
            arguments = [*arguments[:2], "--noreload", f"{HOST}:{port}"]
        command = [*_PROGRAMS[program], *arguments]
        server = Server(lambda log: self._start(command, log), port, self.directory)
        self.servers.append(server)
        return server

    def stop_servers(self) -> None:
        """End every server that was started."""
        while self.servers:
            self.servers.pop().stop()


def _with_options(arguments: list[str], options: dict[str, str]) -> list[str]:
    """Arguments with these options set to the reader's own values."""
    kept = []
    skip = False
    for argument in arguments:
        if skip or argument in options:
            skip = not skip and argument in options
            continue
        kept.append(argument)
    return [*(part for option in options.items() for part in option), *kept]


def _commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with what the page shows that it prints."""
    commands: list[tuple[str, str]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:].strip(), ""))
        elif commands and commands[-1][0].endswith("\\"):
            command, _ = commands.pop()
            commands.append((command[:-1] + line.strip(), ""))
        else:
            assert commands, f"{block.id}: output before any command"
            command, output = commands.pop()
            commands.append((command, f"{output}{line}\n"))
    return commands


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]
