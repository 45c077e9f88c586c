"""Endpoints: where the server listens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect, unix_connect

from tests.clients.certificates import Certificates
from tests.server import loops
from tests.server.loops import both_loops
from tests.site.client import LIMIT, until
from tests.support.processes import HOST, START_SECONDS, Process, free_port

pytestmark = pytest.mark.server

ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.settings", "TEST_FASTWS": '{"FASTWS_DRAIN_SECONDS": 4}'}


class Elsewhere(Process):
    """A server that listens elsewhere; with ``port=0``, nobody waits until it does.

    What has files of ours is started as users start it, which is not forked.
    """

    is_forked = True

    def __init__(self, *options: str, port: int = 0, files: tuple[int, ...] = ()) -> None:
        command = [sys.executable, "manage.py", "runws_server", *loops.chosen, *options]
        super().__init__(command, port, ENVIRONMENT)
        self.pass_fds = files

    def start(self) -> None:
        if self.port:
            super().start()
            return
        with self.log_path.open("ab") as log:
            self.process = self._start(log)


async def echoes(ws: Any) -> None:
    async with ws as socket_:
        await socket_.send("größe")
        assert await asyncio.wait_for(socket_.recv(), LIMIT) == "größe"


async def is_drained(process: Process, opened: Any) -> None:
    """A socket is closed with 1012 when the server is stopped, and its exit status is 0."""
    async with opened as ws:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(ws.wait_closed(), LIMIT)
        assert (ws.close_code, ws.close_reason) == (1012, "service restart;1000")
    assert process.process is not None
    assert await asyncio.to_thread(process.process.wait, 2 * LIMIT) == 0


@both_loops
async def test_a_unix_socket(tmp_path):
    path = str(tmp_path / "server.sock")
    with Elsewhere("-u", path) as server:

        async def is_there() -> bool:
            return Path(path).exists()

        await until(is_there, limit=START_SECONDS)
        await echoes(unix_connect(path, "ws://localhost/ws/echo"))
        async with unix_connect(path, "ws://localhost/ws/about/me") as ws:
            assert json.loads(await ws.recv())["client"] is None
        assert 'None "' not in server.log()  # of the access log
        assert '"WSCONNECT /ws/about/me"' in server.log()
        await is_drained(server, unix_connect(path, "ws://localhost/ws/echo"))
    assert not Path(path).exists()


@both_loops
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX], ids=lambda family: family.name)
async def test_a_socket_that_somebody_else_has_opened(tmp_path, family):
    """As systemd does for socket activation."""
    with socket.socket(family) as listening:
        address: Any = {
            socket.AF_INET: (HOST, 0),
            socket.AF_INET6: ("::1", 0),
            socket.AF_UNIX: str(tmp_path / "server.sock"),
        }[family]
        listening.bind(address)
        listening.listen()
        address = listening.getsockname()

        def opened() -> Any:
            if family == socket.AF_UNIX:
                return unix_connect(address, "ws://localhost/ws/echo", open_timeout=START_SECONDS)
            host = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
            return connect(f"ws://{host}:{address[1]}/ws/echo", proxy=None, open_timeout=START_SECONDS)

        early = asyncio.create_task(_wait_open(opened()))  # it waits in the kernel until the server is there
        with Elsewhere("--fd", str(listening.fileno()), files=(listening.fileno(),)) as server:
            ws = await asyncio.wait_for(early, START_SECONDS)
            await ws.close()
            await echoes(opened())
            await is_drained(server, opened())


async def _wait_open(opening: Any) -> Any:
    return await opening


@both_loops
async def test_tls(tmp_path):
    certificates = Certificates(tmp_path)
    port = free_port()
    file = tmp_path / "good.pem"
    endpoint = f"ssl:port={port}:interface={HOST}:privateKey={file}:certKey={file}"
    context = certificates.client()

    def opened(path: str = "/ws/echo") -> Any:
        return connect(f"wss://{HOST}:{port}{path}", ssl=context, proxy=None)

    with Elsewhere("-e", endpoint, port=port) as server:
        await echoes(opened())
        async with opened("/ws/about/me") as ws:
            assert f'"url":"wss://{HOST}:{port}/ws/about/me"' in await ws.recv()
        await is_drained(server, opened())


@pytest.mark.faults
async def test_over_tls_a_busy_handler_holds_back_its_client_and_a_slow_client_its_handler(tmp_path):
    Certificates(tmp_path)
    port, file = free_port(), tmp_path / "good.pem"
    context = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
    endpoint = f"ssl:port={port}:interface={HOST}:privateKey={file}:certKey={file}"

    def opened(path: str) -> Any:
        return connect(
            f"wss://{HOST}:{port}{path}", ssl=context, proxy=None, compression=None, ping_interval=None, max_size=None
        )

    with Elsewhere("-e", endpoint, "tests.server.plain:application", port=port) as server:
        peak = _peak_kb(server)
        async with opened("/busy/x") as ws:
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 100:
                    await asyncio.wait_for(ws.send(b"x" * 1_000_000), 1)
                    sent += 1
            assert sent < 30
            ws.transport.abort()
        async with opened("/pour/y?megabytes=100") as ws:
            ws.transport.pause_reading()
            await asyncio.sleep(1.5)
            ws.transport.abort()
        assert _peak_kb(server) - peak < 20_000
        async with opened("/pour/z?megabytes=30") as ws:
            assert [len(await asyncio.wait_for(ws.recv(), LIMIT)) for _ in range(30)] == [1024 * 1024] * 30


def _peak_kb(process: Process) -> int:
    assert process.process is not None
    with open(f"/proc/{process.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
