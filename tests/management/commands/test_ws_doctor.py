"""manage.py ws_doctor, on projects in processes of their own, with real servers and Redis."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
import redis

from tests.doctor.sites import OUR_LAYER, Site
from tests.support.processes import HOST, Process, free_port

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.redis]


class SiteServer(Process):
    """A server of a site.

    Args:
        kind: "runws_server", "daphne" or "uvicorn".
    """

    def __init__(self, site: Site, kind: str = "runws_server", *options: str) -> None:
        port = free_port()
        commands = {
            "runws_server": ["-m", "django", "runws_server", "-b", HOST, "-p", f"{port}"],
            "daphne": ["-m", "daphne", "-b", HOST, "-p", f"{port}", "project.asgi:application"],
            "uvicorn": ["-m", "uvicorn", "--host", HOST, "--port", f"{port}", "project.asgi:application"],
        }
        super().__init__([sys.executable, *commands[kind], *options], port, site.environment)

    @property
    def url(self) -> str:
        return f"ws://{HOST}:{self.port}/ws/echo"


def until(condition):
    """Wait for something."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def site(tmp_path, redis_layer):
    return Site(tmp_path, redis_layer)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["runws_server", "uvicorn"])
def test_an_installation_that_is_as_it_should_be(site, kind):
    with SiteServer(site, kind) as one, SiteServer(site) as two:
        said = site.examined("--url", one.url, "--idle", "0.5")
    assert said.returncode == 0
    for check in ("settings", "layer", "round trip", "processes", "versions", "clocks", "history", "presence"):
        assert said.status(check) == "ok", said[check]
    for check in ("client module", "handshake", "origin", "forwarded address", "forwarded scheme"):
        assert said.status(check) == "ok", said[check]
    assert said.status("idle") == "ok"
    lags = [row["detail"] for row in said.rows if row["check"] == "lag"]
    assert len(lags) == 2
    assert all(any(str(server.process.pid) in lag for lag in lags) for server in (one, two))


def test_a_server_without_lifespan_answers_while_it_has_sockets(site):
    with SiteServer(site, "daphne") as server:
        said = site.examined("--url", server.url)
    assert said.status("processes") == "warning"
    assert said.status("handshake") == said.status("forwarded address") == said.status("forwarded scheme") == "ok"


@pytest.mark.long
def test_a_process_that_is_stopped_is_missing(site, redis_layer, redis_server):
    channel = f"{redis_layer['CONFIG']['prefix']}__group__fastws.c.processes"
    with SiteServer(site), SiteServer(site) as two:
        with redis.Redis(port=redis_server.port) as client:
            until(lambda: client.pubsub_numsub(channel)[0][1] == 2)
        os.kill(two.process.pid, signal.SIGSTOP)
        try:
            said = site.examined()
        finally:
            os.kill(two.process.pid, signal.SIGCONT)
    assert said.bad == {"processes"}
    assert "Partial: 1 of 2" in said["processes"]["detail"]


def test_a_redis_that_is_away(tmp_path):
    hosts = [f"redis://{HOST}:{free_port()}"]
    said = Site(tmp_path, {"BACKEND": OUR_LAYER, "CONFIG": {"hosts": hosts}}, has_rooms=True).examined()
    assert said.bad == {"layer"}
    assert {said.status(check) for check in ("processes", "clocks", "history", "presence")} == {"skipped"}


def test_nothing_but_results_is_said_where_the_project_has_levels_of_its_own(tmp_path):
    layer = {"BACKEND": OUR_LAYER, "CONFIG": {"hosts": [f"redis://{HOST}:{free_port()}"]}}
    settings = """
ASGI_APPLICATION = "project.asgi.application"
LOGGING = {"version": 1, "disable_existing_loggers": False, "loggers": {"django_fastws": {"level": "INFO"}}}
"""
    done = Site(tmp_path, layer, settings).manage("ws_doctor")
    assert done.returncode == 1
    assert "failed   layer: " in done.stdout
    assert done.stderr == ""


def test_a_server_on_another_layer_is_not_known(tmp_path, redis_layer):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    other = {**redis_layer, "CONFIG": {**redis_layer["CONFIG"], "prefix": "other"}}
    with SiteServer(Site(tmp_path / "one", redis_layer)) as server:
        said = Site(tmp_path / "two", other).examined("--url", server.url)
    assert said.status("processes") == "warning"
    assert said.status("handshake") == "ok"
    assert said.status("forwarded address") == "skipped"
    assert said.returncode == 0


@pytest.mark.long
def test_paths_that_are_denied_and_that_are_none(site):
    with SiteServer(site) as server:
        denied = site.examined("--url", server.url.replace("echo", "deny"))
        missing = site.examined("--url", server.url.replace("echo", "nix"))
        bare = site.examined("--url", f"http://{HOST}:{server.port}")
    assert denied.status("handshake") == "warning"
    assert denied.status("origin") == "ok"
    assert missing.bad == {"handshake"}
    assert "404" in missing["handshake"]["detail"]
    assert bare.status("url") == "warning"
    assert bare.returncode == 0


def test_a_site_for_every_origin(tmp_path, redis_layer):
    site = Site(tmp_path, redis_layer, 'FASTWS_ALLOWED_ORIGINS = ["*"]\n')
    with SiteServer(site) as server:
        assert site.examined("--url", server.url).status("origin") == "warning"


@pytest.mark.long
def test_a_server_that_believes_every_client(site):
    with SiteServer(site, "runws_server", "--forwarded-hops", "1") as server:
        said = site.examined("--url", server.url)
    assert said.status("forged address") == "warning"


@pytest.mark.parametrize("layer", [None, "channels.layers.InMemoryChannelLayer"])
def test_a_project_without_a_layer_works_in_one_process(tmp_path, layer):
    said = Site(tmp_path, {"BACKEND": layer} if layer else None).examined()
    assert said.returncode == 0
    assert said.status("layer") == "warning"
    assert said.status("processes") == "skipped"
    assert said.status("history") == said.status("presence") == "ok"


def test_a_low_limit_of_descriptors(tmp_path):
    site = Site(tmp_path)
    code = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200));"
    code += "from django.core.management import execute_from_command_line as run; run(['', 'ws_doctor'])"
    done = site.run(code)
    assert done.returncode == 1
    assert "failed   descriptors" in done.stdout
    assert "LimitNOFILE" in done.stdout


def test_people_read_lines_and_a_summary(tmp_path):
    done = Site(tmp_path).manage("ws_doctor")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "warning  layer: " in done.stdout
    assert "→ " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[-1].endswith(" ok.")


@pytest.mark.parametrize(
    "arguments",
    [["--idle", "5"], ["--idle", "-1", "--url", "ws://a.example"], ["--idle", "nan", "--url", "ws://a.example"]],
)
def test_options_that_make_no_sense(tmp_path, arguments):
    done = Site(tmp_path).manage("ws_doctor", *arguments)
    assert done.returncode == 1
    assert "--idle" in done.stderr
    assert "Traceback" not in done.stderr
