"""Unix sockets: whatever a former server has left behind, the next one starts, and steals from nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.site.client import until
from tests.support import interpreter

pytestmark = pytest.mark.server

ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.settings", "TEST_FASTWS": '{"FASTWS_DRAIN_SECONDS": 2}'}


class Server:
    """A server that is started; with ``pid``, it takes itself for that process."""

    def __init__(self, log_path: Path, *options: str, pid: str = "") -> None:
        command = ["manage.py", "runws_server", *options, "tests.server.plain:application"]
        if pid:
            code = (
                f"import os, runpy, sys\nos.getpid = lambda: {pid}\nsys.argv = sys.argv[1:]\n"
                "runpy.run_path('manage.py', run_name='__main__')"
            )
            command = ["-c", code, *command]
        self.log_path = log_path
        with log_path.open("wb") as log:
            self.process = interpreter.start(command, {**os.environ, **ENVIRONMENT}, log)

    async def ended(self, signum: int | None = None) -> tuple[int, str]:
        """Wait for its end; returns its status, and what it has said."""
        if signum is not None:
            self.process.send_signal(signum)
        status = await asyncio.to_thread(self.process.wait, 90)
        said = self.log_path.read_text()
        assert "Traceback" not in said
        return status, said


async def ask(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /scope/ HTTP/1.0\r\nHost: x\r\n\r\n")
    try:
        return await reader.readline()
    finally:
        writer.close()


async def serves(path: Path) -> None:
    async def answers() -> bool:
        try:
            return await ask(path) == b"HTTP/1.0 200 OK\r\n"
        except OSError:
            return False

    await until(answers, limit=90)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "server.sock"


@pytest.fixture
def start(tmp_path):
    """Start servers; those that are left are killed."""
    servers: list[Server] = []

    def start_one(*options: str, pid: str = "") -> Server:
        servers.append(Server(tmp_path / f"{len(servers)}.log", *options, pid=pid))
        return servers[-1]

    yield start_one
    for server in servers:
        server.process.kill()


def stale(path: Path) -> None:
    """A socket that nobody listens on any more."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


@pytest.mark.parametrize("lock", ["ours", "dead", "other", "none", "broken"])
async def test_it_starts_whatever_a_former_server_has_left(path, start, lock):
    """Twisted's lock names a process, and in a container the next one has the same number."""
    stale(path)
    owner = {"ours": "7", "dead": str(2**22 - 7), "other": str(os.getpid()), "broken": "x"}.get(lock)
    if owner:
        Path(f"{path}.lock").symlink_to(owner)
    server = start("-u", str(path), pid="7" if lock == "ours" else "")
    try:
        await serves(path)
        assert not os.path.lexists(f"{path}.lock")
    finally:
        status, _ = await server.ended(signal.SIGTERM)
    assert status == 0
    assert not path.exists()


async def test_a_path_may_hold_what_has_a_meaning_in_an_endpoint(path, start):
    path = path.with_name("a:b=c\\d ü.sock")
    server = start("-u", str(path))
    try:
        await serves(path)
    finally:
        status, _ = await server.ended(signal.SIGTERM)
    assert status == 0
    assert not path.exists()


async def test_it_starts_again_after_a_kill(path, start):
    for signum in (signal.SIGKILL, signal.SIGTERM):
        server = start("-e", f"unix:{path}", pid="7")
        try:
            await serves(path)
        finally:
            await server.ended(signum)
    assert not path.exists()


async def test_a_server_that_lives_loses_nothing_to_another(path, start):
    first = start("-u", str(path))
    try:
        await serves(path)
        status, said = await start("-u", str(path)).ended()
        assert f"another server listens on {str(path)!r}: stop it, or choose another path" in said
        assert status == 1
        await serves(path)
    finally:
        await first.ended(signal.SIGTERM)


@pytest.mark.parametrize("kind", ["file", "directory", "long", "nowhere"])
async def test_a_path_that_cannot_be_a_socket_is_said(path, start, kind):
    says = "is there, and no socket: choose another path, or remove it"
    if kind == "file":
        path.write_text("mine")
    elif kind == "directory":
        path.mkdir()
    elif kind == "long":
        path, says = path.with_name("x" * 120), "is too long for a socket: 107 bytes is the most"
    else:
        path, says = path / "none.sock", "there is no such directory"
    status, said = await start("-u", str(path)).ended()
    assert says in said
    assert status == 1
    assert kind != "file" or path.read_text() == "mine"


async def test_two_that_start_at_once_do_not_take_it_from_each_other(path, start):
    stale(path)
    servers = [start("-u", str(path)) for _ in range(2)]

    async def one_has_ended() -> bool:
        return any(server.process.poll() is not None for server in servers)

    try:
        await until(one_has_ended, limit=90)
        await serves(path)
    finally:
        ends = [await server.ended(signal.SIGTERM) for server in servers]
    assert sorted(status for status, _ in ends) == [0, 1]


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_path_that_somebody_has_taken_is_left_to_them(path, start, replaced):
    server = start("-u", str(path))
    try:
        await serves(path)
        path.unlink()
        if replaced:
            stale(path)
    finally:
        status, _ = await server.ended(signal.SIGTERM)
    assert status == 0
    assert path.exists() is replaced
