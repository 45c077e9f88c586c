"""Where the server listens, and the command that starts it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect, unix_connect

from tests.clients.certificates import Certificates
from tests.server.client import fetch
from tests.site.client import until
from tests.support.processes import HOST, ROOT, ASGIServer, Process, free_port, wait_for_port
from tests.support.subprocesses import Project

pytestmark = pytest.mark.server

ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.settings", "TEST_FASTWS": '{"FASTWS_DRAIN_SECONDS": 4}'}


class Elsewhere(Process):
    """A server that listens elsewhere; with ``port=0``, nobody waits until it does."""

    def __init__(self, *options: str, port: int = 0, files: tuple[int, ...] = ()) -> None:
        super().__init__([sys.executable, "manage.py", "runws_server", *options], port, ENVIRONMENT)
        self.files = files

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, pass_fds=self.files
            )
        if self.port:
            wait_for_port(self.port, self.process, self.log_path)


async def echoes(ws: Any) -> None:
    async with ws as socket_:
        await socket_.send("größe")
        assert await asyncio.wait_for(socket_.recv(), 10) == "größe"


async def is_drained(process: Process, opened: Any) -> None:
    """A socket is closed with 1012 when the server is stopped, and its exit status is 0."""
    async with opened as ws:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(ws.wait_closed(), 10)
        assert (ws.close_code, ws.close_reason) == (1012, "service restart")
    assert process.process is not None
    assert await asyncio.to_thread(process.process.wait, 15) == 0


async def test_a_unix_socket(tmp_path):
    path = str(tmp_path / "server.sock")
    with Elsewhere("-u", path) as server:

        async def is_there() -> bool:
            return Path(path).exists()

        await until(is_there, limit=20)
        await echoes(unix_connect(path, "ws://localhost/ws/echo"))
        async with unix_connect(path, "ws://localhost/ws/about/me") as ws:
            assert json.loads(await ws.recv())["client"] is None
        assert "None - - [" not in server.log()  # of the access log
        assert '"WSCONNECT /ws/about/me"' in server.log()
        await is_drained(server, unix_connect(path, "ws://localhost/ws/echo"))
    assert not Path(path).exists()


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
                return unix_connect(address, "ws://localhost/ws/echo")
            host = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
            return connect(f"ws://{host}:{address[1]}/ws/echo", proxy=None)

        early = asyncio.create_task(_wait_open(opened()))  # it waits in the kernel until the server is there
        with Elsewhere("--fd", str(listening.fileno()), files=(listening.fileno(),)) as server:
            ws = await asyncio.wait_for(early, 20)
            await ws.close()
            await echoes(opened())
            await is_drained(server, opened())


async def _wait_open(opening: Any) -> Any:
    return await opening


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
            assert [len(await asyncio.wait_for(ws.recv(), 20)) for _ in range(30)] == [1024 * 1024] * 30


def _peak_kb(process: Process) -> int:
    assert process.process is not None
    with open(f"/proc/{process.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


# The command


@pytest.mark.parametrize("name", ["", "tests.site.asgi:application", "tests.site.asgi.application"])
async def test_the_application_of_the_settings_is_the_default(name):
    """And may be named either way."""
    server = ASGIServer("runws_server", app=name)
    server.command = [part for part in server.command if part]
    with server:
        await echoes(connect(server.url("/ws/echo"), proxy=None))


def test_without_an_application_it_says_what_to_set(tmp_path):
    project = Project(tmp_path, "del ASGI_APPLICATION\n")
    done = project.manage("runws_server", "--skip-checks")
    assert done.returncode == 1
    assert "CommandError: there is no application: set ASGI_APPLICATION, or name one" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--forwarded-hops", "-1"], "--forwarded-hops takes a number of proxies from 0"),
        (["--drain-seconds", "-1"], "--drain-seconds takes a number of seconds from 0"),
        (["--drain-seconds", "nan"], "--drain-seconds takes a number of seconds from 0"),
        (["--proxy-headers-host", "X-Real-IP"], "--proxy-headers has to be passed for this parameter"),
        (["--lifespan", "maybe"], "invalid choice: 'maybe'"),
        (["--fd", "seven"], "invalid int value: 'seven'"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, options, says):
    done = Project(tmp_path).manage("runws_server", *options)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_and_the_status_is_1(tmp_path):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        done = Project(tmp_path).manage("runws_server", "-b", HOST, "-p", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "CRITICAL | daphne.server | Listen failure: Couldn't listen on 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_descriptor_that_is_no_socket_is_said_and_the_status_is_1(tmp_path):
    done = Project(tmp_path).manage("runws_server", "--fd", "77")
    assert done.returncode == 1
    assert "Listen failure: " in done.stderr
    assert "Traceback" not in done.stderr


def test_it_has_every_option_of_daphnes(tmp_path):
    done = Project(tmp_path).manage("runws_server", "--help")
    daphne = subprocess.run(
        [sys.executable, "-m", "daphne", "--help"], capture_output=True, text=True, check=True
    ).stdout
    options = {word.strip("[],") for word in daphne.split() if word.startswith(("-", "[-"))}
    assert len(options) > 25
    assert {option for option in options if option not in done.stdout} == set()


async def test_the_root_path_and_the_name_of_the_server_are_daphnes(plain):
    server = plain("--root-path", "/app", "--no-server-name")
    answer = await fetch(server, "/scope/")
    assert answer.json()["root_path"] == "/app"
    assert "server" not in answer.headers


def test_a_log_of_the_projects_own_is_not_doubled(tmp_path):
    """daphne gives the root logger a handler if it has none."""
    logging = """
        LOGGING = {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"mine": {"class": "logging.StreamHandler"}},
            "loggers": {"django_fastws": {"handlers": ["mine"], "level": "INFO"}},
        }
        """
    project = Project(tmp_path, logging)
    port = free_port()
    done = project.run(f"""
        import os, signal, socket, threading, time

        def stop_when_it_listens():
            while True:
                try:
                    socket.create_connection(("{HOST}", {port})).close()
                except OSError:
                    time.sleep(0.05)
                else:
                    os.kill(os.getpid(), signal.SIGTERM)
                    return

        threading.Thread(target=stop_when_it_listens, daemon=True).start()
        from django.core.management import execute_from_command_line as run
        run(["", "runws_server", "-b", "{HOST}", "-p", "{port}"])
        """)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Draining: ") == 1
    assert done.stderr.count("Starting server at") == 1
