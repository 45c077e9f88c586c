"""What the page on load balancers says. What its files do, ``tests/balancer`` tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.balancer.proxies import DEPLOY, HAPROXY, fill
from tests.balancer.servers import RunwsServer
from tests.clients.certificates import Certificates
from tests.docs.blocks import DOCS, blocks_of
from tests.support import interpreter

BLOCKS = blocks_of(DOCS / "howto" / "deploy.md")
COMMANDS = [
    line.removeprefix("$ ") for block in BLOCKS if block.language == "console" for line in block.text.splitlines()
]
[HAPROXY_ENVIRONMENT] = [block.text for block in BLOCKS if block.language == "ini" and not block.source]

#: Who checks the commands: runs them where that can be, else compares them with the files.
CHECKS = {
    "cp": "test_the_files_are_there_to_be_copied",
    "haproxy": "test_haproxy_takes_the_environment_of_the_page",
    "kubectl": "test_containers_are_built_and_started_as_their_files_say",
    "nginx": "test_sed_fills_in_the_servers",
    "podman": "test_containers_are_built_and_started_as_their_files_say",
    "python": "test_the_servers_start",
    "sed": "test_sed_fills_in_the_servers",
    "sleep": "test_the_pause_is_longer_than_a_proxy_takes_to_notice_that_a_server_is_back",
    "systemctl": "test_the_services_are_those_of_the_units",
}


def those(program: str) -> list[str]:
    return [command for command in COMMANDS if f"{command} ".startswith(f"{program} ")]


def test_every_command_is_checked():
    assert {command.split()[0] for command in COMMANDS} == CHECKS.keys()
    assert all(name in globals() for name in CHECKS.values())


def test_every_file_that_is_shipped_is_shown():
    blocks = [*BLOCKS, *blocks_of(DOCS / "howto" / "monitor.md")]
    shown = {block.included for block in blocks if block.source}
    imported = {DEPLOY / "monitoring" / "grafana.json"}  # by Grafana, and too long to be read
    assert shown | imported == {path for path in DEPLOY.rglob("*") if path.is_file()}


@pytest.mark.server
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.parametrize("command", those("python manage.py runws_server"))
def test_the_servers_start(command, redis_server):
    server = RunwsServer(redis_server)
    server.command = [sys.executable, *re.sub(r"-p \d+", f"-p {server.port}", command).split()[1:]]
    with server:
        assert httpx2.get(f"http://{server.address}/readyz", trust_env=False, timeout=60).status_code == 200


@pytest.mark.redis
def test_django_looks_for_mistakes(redis_server):
    [command] = set(those("python")) - set(those("python manage.py runws_server"))
    done = interpreter.run(command.split()[1:], os.environ | {"REDIS_URL": redis_server.url})
    assert done.returncode == 0, done.stderr


def test_sed_fills_in_the_servers(tmp_path):
    [command], [checked] = those("sed"), those("nginx")
    assert checked == "nginx -t"
    target = tmp_path / "nginx.conf"
    assert command.endswith(" nginx.conf >/etc/nginx/nginx.conf")
    subprocess.run(["sh", "-c", command.replace("/etc/nginx/nginx.conf", f"{target}")], cwd=DEPLOY, check=True)
    servers = {"127.0.0.1:8001": "10.0.0.11:8000", "127.0.0.1:8002": "10.0.0.12:8000"}
    assert target.read_text() == fill(DEPLOY / "nginx.conf", servers)


@pytest.mark.haproxy
def test_haproxy_takes_the_environment_of_the_page(tmp_path):
    variables = dict(line.split("=", 1) for line in HAPROXY_ENVIRONMENT.splitlines())
    configuration = (DEPLOY / "haproxy.cfg").read_text()
    assert {name for name in variables if name not in configuration} == {"EXTRAOPTS"}
    # What is copied is what haproxy is started with, and checked.
    target = "/etc/haproxy/fastws.cfg"
    [command] = those("haproxy")
    assert f"-f {target} " in variables["EXTRAOPTS"]
    assert f"cp haproxy.cfg {target}" in COMMANDS

    Certificates(tmp_path)
    variables["FASTWS_CERTIFICATE"] = f"{tmp_path}/good.pem"
    words = command.replace(target, str(DEPLOY / "haproxy.cfg")).split()
    if not Path(words[3]).exists():
        del words[2:4]  # Debian's own file
    checked = subprocess.run(
        [HAPROXY, *words[1:]], env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "[WARNING]" not in checked.stderr


def test_the_files_are_there_to_be_copied():
    sources = [source for command in those("cp") for source in command.split()[1:-1]]
    assert [source for source in sources if not (DEPLOY / source).is_file()] == []
    assert {source for source in sources if source.startswith("systemd/")} == {
        path.relative_to(DEPLOY).as_posix() for path in (DEPLOY / "systemd").iterdir()
    }


def test_the_services_are_those_of_the_units():
    verbs = []
    for command in those("systemctl"):
        _, verb, *names = command.replace(" --now", "").split()
        verbs.append(verb)
        assert all((DEPLOY / "systemd" / re.sub(r"@\d+\.", "@.", name)).is_file() for name in names)
    assert verbs == ["daemon-reload", "enable", "restart", "restart", "stop"]


def test_the_pause_is_longer_than_a_proxy_takes_to_notice_that_a_server_is_back():
    [pause] = those("sleep")
    [(seconds, times)] = re.findall(r"inter (\d+)s .* rise (\d+)", (DEPLOY / "haproxy.cfg").read_text())
    assert int(pause.split()[1]) > int(seconds) * int(times)
    # nginx notices nothing, and so remembers nothing.
    servers = re.findall(r"^ *server 127[^;]*", (DEPLOY / "nginx.conf").read_text(), re.MULTILINE)
    assert servers
    assert all(server.endswith("max_fails=0") for server in servers)


def test_containers_are_built_and_started_as_their_files_say():
    said = [(DEPLOY / name).read_text() for name in ("Containerfile", "kubernetes.yaml")]
    *commands, apply = those("podman") + those("kubectl")
    assert [command for command in commands if not any(f"#   {command}\n" in text for text in said)] == []
    assert apply == "kubectl apply --filename example_project/deploy/kubernetes.yaml"
