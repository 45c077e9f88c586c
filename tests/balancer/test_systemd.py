"""The systemd units: as text, and what they start."""

from __future__ import annotations

import asyncio
import configparser
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from django_fastws.conf import conf
from tests.balancer.client import browser, connect
from tests.balancer.conftest import served
from tests.balancer.proxies import DEPLOY
from tests.balancer.servers import RunwsServer
from tests.support.processes import RedisServer, free_port

UNITS = DEPLOY / "systemd"
PYTHON = "/srv/mysite/.venv/bin/python"
CURL = shutil.which("curl")


def unit(name: str) -> configparser.ConfigParser:
    """A unit's sections; a key that comes twice is an error."""
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((UNITS / name).read_text("utf-8"))
    return parser


@pytest.mark.systemd
def test_systemd_finds_nothing_to_say_of_the_units(tmp_path):
    python = tmp_path / PYTHON[1:]
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    for path in UNITS.iterdir():
        text = path.read_text("utf-8").replace("/srv/mysite", f"{tmp_path}/srv/mysite")
        (tmp_path / path.name).write_text(text.replace("/usr/bin/curl", shutil.which("true") or "/bin/true"))
    for name in ("fastws@8001.service", "fastws@8001.socket"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", tmp_path / name], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_units_say_what_an_orderly_stop_needs():
    service, listener = unit("fastws@.service"), unit("fastws@.socket")
    assert set(service) == {"DEFAULT", "Unit", "Service", "Install"}
    assert set(listener) == {"DEFAULT", "Unit", "Socket", "Install"}
    assert service["Unit"]["Requires"] == "fastws@%i.socket"
    assert service["Service"]["KillMode"] == "mixed"
    assert int(service["Service"]["TimeoutStopSec"]) >= conf.drain_seconds + 5
    assert int(service["Service"]["LimitNOFILE"]) >= 65536
    assert service["Service"]["ExecStartPost"].endswith(
        f" http://{listener['Socket']['ListenStream']}{conf.health_path}"
    )


@pytest.fixture
def activated(redis_server: RedisServer) -> Iterator[RunwsServer]:
    """What ExecStart runs, with the socket of the .socket unit as descriptor 3, as systemd has it."""
    program, *arguments = shlex.split(unit("fastws@.service")["Service"]["ExecStart"])
    assert program == PYTHON
    adopt = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
    server = RunwsServer(redis_server)
    host, _, port = unit("fastws@.socket")["Socket"]["ListenStream"].replace("%i", f"{server.port}").partition(":")
    with socket.create_server((host, int(port))) as listener:
        server.command = [sys.executable, "-c", adopt, f"{listener.fileno()}", sys.executable, *arguments]
        server.pass_fds = (listener.fileno(),)
        with served(server):
            yield server


@pytest.mark.server
@pytest.mark.redis
@pytest.mark.slow
async def test_who_comes_while_a_service_restarts_waits(activated):
    async with connect(f"ws://{activated.address}/ws/where") as ws:
        assert (await ws.recv_json())["pid"] == activated.pid
        activated.send_signal(signal.SIGTERM)
        assert await ws.closed() == (1012, "service restart;1000")
    assert await asyncio.to_thread(activated.process.wait, 60) == 0

    async def arrive() -> int:
        async with connect(f"ws://{activated.address}/ws/where") as ws:
            return int((await ws.recv_json())["pid"])

    arriving = asyncio.create_task(arrive())
    activated.start()
    assert await arriving == activated.pid
    async with browser() as client:
        assert (await client.get(f"http://{activated.address}/readyz")).status_code == 200


@pytest.mark.server
@pytest.mark.redis
@pytest.mark.skipif(CURL is None, reason="no curl on the PATH")
def test_a_service_has_started_when_it_answers(servers):
    for port, expected in ((servers[0].port, 0), (free_port(), 7)):  # 7: could not connect
        command = shlex.split(unit("fastws@.service")["Service"]["ExecStartPost"].replace("%i", f"{port}"))
        assert command[0] == "/usr/bin/curl"
        done = subprocess.run([CURL, *command[1:]], stderr=subprocess.DEVNULL, check=False)
        assert done.returncode == expected
