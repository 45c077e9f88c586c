"""The command line of the server: its options, its application, and what it says of mistakes."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.server.client import fetch
from tests.support import interpreter
from tests.support.processes import HOST, ASGIServer, free_port
from tests.support.subprocesses import Project

pytestmark = pytest.mark.server


async def echoes(ws: Any) -> None:
    async with ws as socket_:
        await socket_.send("größe")
        assert await asyncio.wait_for(socket_.recv(), 30) == "größe"


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
    daphne = interpreter.run(["-m", "daphne", "--help"], os.environ).stdout
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


def test_a_signal_in_the_moment_when_it_listens_stops_it_in_order(tmp_path):
    """Clients can reach it from then on, before its loop runs."""
    project = Project(tmp_path)
    done = project.run(f"""
        import os, signal
        from daphne.server import Server

        def listens(self, port, listen_success=Server.listen_success):
            listen_success(self, port)
            os.kill(os.getpid(), signal.SIGTERM)

        Server.listen_success = listens
        from django.core.management import execute_from_command_line as run
        run(["", "runws_server", "-b", "{HOST}", "-p", "{free_port()}"])
        """)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Draining: ") == 1
