"""What the doctor says of an installation behind a proxy."""

from __future__ import annotations

import os

import pytest

from tests.balancer.conftest import IDLE_SECONDS
from tests.doctor.sites import Examined
from tests.support import interpreter

pytestmark = [pytest.mark.server, pytest.mark.redis, pytest.mark.slow]


def examined(server, authority, *arguments):
    """What the doctor says who has the settings of a server."""
    code = "from django.core.management import execute_from_command_line as run;"
    code += f"run({['', 'ws_doctor', '--json', *arguments]!r})"
    environment = {**os.environ, **server.environment, "SSL_CERT_FILE": str(authority)}
    return Examined(interpreter.run(["-c", code], environment))


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_the_shipped_configuration_is_as_it_should_be(proxy, servers, certificates, scheme):
    said = examined(servers[0], certificates.authority, "--url", proxy.url("/ws/where", scheme=scheme), "--idle", "1")
    for check in (
        "processes",
        "handshake",
        "forwarded address",
        "forged address",
        "forwarded scheme",
        "forwarded host",
    ):
        assert said.status(check) == "ok", said[check]
    assert said.status("origin") == "ok", said["origin"]
    assert said.status("idle") == "ok"


def test_a_proxy_that_cuts_idle_sockets(kind, silent_server, shared_proxies, certificates):
    proxy = shared_proxies(kind, silent_server, silent_server)
    said = examined(silent_server, certificates.authority, "--url", proxy.url("/ws/where"), "--idle", "60")
    assert said.status("idle") == "failed"
    seconds = float(said["idle"]["detail"].split("after ")[1].split(" ")[0])
    assert IDLE_SECONDS - 0.5 <= seconds <= IDLE_SECONDS + 30


def test_a_certificate_that_nobody_trusts(proxy, servers, certificates, tmp_path):
    (tmp_path / "nobody.pem").write_text("")
    said = examined(servers[0], tmp_path / "nobody.pem", "--url", proxy.url("/ws/where", scheme="wss"))
    assert said.bad == {"handshake"}
    assert "certificate" in said["handshake"]["detail"]
    assert said.status("forwarded scheme") == "skipped"
