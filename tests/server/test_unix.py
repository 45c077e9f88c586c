"""Unix sockets: whatever a former server has left behind, the next one starts, and steals from nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.site.client import until
from tests.support.processes import ROOT

pytestmark = pytest.mark.server

ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.settings", "TEST_FASTWS": '{"FASTWS_DRAIN_SECONDS": 2}'}


def start(*options: str, pid: str = "") -> subprocess.Popen[str]:
    """Start a server; with ``pid``, it takes itself for that process."""
    command = [sys.executable, "manage.py", "runws_server", *options, "tests.server.plain:application"]
    if pid:
        code = (
            f"import os, runpy, sys\nos.getpid = lambda: {pid}\nsys.argv = sys.argv[1:]\n"
            "runpy.run_path('manage.py', run_name='__main__')"
        )
        command[1:2] = ["-c", code, "manage.py"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


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


async def ended(process: subprocess.Popen[str], signum: int | None = None) -> str:
    """Wait for the end of a server; returns what it has said."""
    if signum is not None:
        process.send_signal(signum)
    _, said = await asyncio.to_thread(process.communicate, None, 90)
    assert "Traceback" not in said
    return said


@pytest.fixture
def path(tmp_path):
    return tmp_path / "server.sock"


def stale(path: Path) -> None:
    """A socket that nobody listens on any more."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


@pytest.mark.parametrize("lock", ["ours", "dead", "other", "none", "broken"])
async def test_it_starts_whatever_a_former_server_has_left(path, lock):
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
        await ended(server, signal.SIGTERM)
    assert server.returncode == 0
    assert not path.exists()


async def test_a_path_may_hold_what_has_a_meaning_in_an_endpoint(path):
    path = path.with_name("a:b=c\\d ü.sock")
    server = start("-u", str(path))
    try:
        await serves(path)
    finally:
        await ended(server, signal.SIGTERM)
    assert server.returncode == 0
    assert not path.exists()


async def test_it_starts_again_after_a_kill(path):
    for signum in (signal.SIGKILL, signal.SIGTERM):
        server = start("-e", f"unix:{path}", pid="7")
        try:
            await serves(path)
        finally:
            await ended(server, signum)
    assert not path.exists()


async def test_a_server_that_lives_loses_nothing_to_another(path):
    first = start("-u", str(path))
    try:
        await serves(path)
        second = start("-u", str(path))
        assert f"another server listens on {str(path)!r}: stop it, or choose another path" in await ended(second)
        assert second.returncode == 1
        await serves(path)
    finally:
        await ended(first, signal.SIGTERM)


@pytest.mark.parametrize("kind", ["file", "directory", "long", "nowhere"])
async def test_a_path_that_cannot_be_a_socket_is_said(path, kind):
    says = "is there, and no socket: choose another path, or remove it"
    if kind == "file":
        path.write_text("mine")
    elif kind == "directory":
        path.mkdir()
    elif kind == "long":
        path, says = path.with_name("x" * 120), "is too long for a socket: 107 bytes is the most"
    else:
        path, says = path / "none.sock", "there is no such directory"
    server = start("-u", str(path))
    assert says in await ended(server)
    assert server.returncode == 1
    assert kind != "file" or path.read_text() == "mine"


async def test_two_that_start_at_once_do_not_take_it_from_each_other(path):
    stale(path)
    servers = [start("-u", str(path)) for _ in range(2)]

    async def one_has_ended() -> bool:
        return any(server.poll() is not None for server in servers)

    try:
        await until(one_has_ended, limit=90)
        await serves(path)
    finally:
        for server in servers:
            await ended(server, signal.SIGTERM)
    assert sorted(server.returncode for server in servers) == [0, 1]


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_path_that_somebody_has_taken_is_left_to_them(path, replaced):
    server = start("-u", str(path))
    try:
        await serves(path)
        path.unlink()
        if replaced:
            stale(path)
    finally:
        await ended(server, signal.SIGTERM)
    assert server.returncode == 0
    assert path.exists() is replaced
