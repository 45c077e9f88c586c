"""``runserver``: daphne's command, with our server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import textwrap

import pytest

from tests.server.client import RawClient, fetch
from tests.site.client import connect, until
from tests.support import interpreter
from tests.support.example import environment, manage
from tests.support.processes import HOST, ROOT, Process, free_port
from tests.support.subprocesses import Project

pytestmark = pytest.mark.server

WHICH = """
import django
django.setup()
from django.core.management import get_commands, load_command_class
command = load_command_class(get_commands()["runserver"], "runserver")
print(type(command).__module__, getattr(command, "server_cls", None))
"""


def _which(tmp_path, apps: list[str], more: str = "", files: dict[str, str] | None = None) -> str:
    """Whose runserver a project has, and with which server."""
    project = Project(tmp_path, f"INSTALLED_APPS = {apps!r}\n{textwrap.dedent(more)}", files)
    done = project.run(WHICH)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "apps",
    [
        ["daphne", "channels", "django_fastws"],
        ["django_fastws", "daphne", "channels"],
        ["daphne", "django.contrib.staticfiles", "channels", "django_fastws"],
        ["daphne.apps.DaphneConfig", "django_fastws.apps.FastWSConfig"],
    ],
)
def test_daphnes_command_has_our_server_whatever_the_order(tmp_path, apps):
    assert _which(tmp_path, apps).startswith("daphne.management.commands.runserver <function _development_server")


def test_without_daphne_it_is_djangos(tmp_path):
    assert _which(tmp_path, ["channels", "django_fastws"]).startswith("django.core.management.commands.runserver")


def test_a_server_of_the_projects_own_is_kept(tmp_path):
    files = {
        "mine/__init__.py": "",
        "mine/management/__init__.py": "",
        "mine/management/commands/__init__.py": "",
        "mine/management/commands/runserver.py": """
            from daphne.management.commands.runserver import Command as Daphnes
            from daphne.server import Server

            class Mine(Server):
                pass

            class Command(Daphnes):
                server_cls = Mine
            """,
    }
    printed = _which(tmp_path, ["mine", "daphne", "channels", "django_fastws"], files=files)
    assert printed.strip() == "mine.management.commands.runserver <class 'mine.management.commands.runserver.Mine'>"


def test_setting_up_django_does_not_import_the_server(tmp_path):
    project = Project(tmp_path, "INSTALLED_APPS = ['daphne', 'channels', 'django_fastws']\n")
    done = project.run("import django, sys; django.setup(); print('django_fastws.server' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


async def test_the_example_is_developed_on_the_server_that_it_is_served_by(serve, tmp_path):
    database = tmp_path / "db.sqlite3"
    manage("migrate", "--verbosity", "0", variables=environment(database))
    server = serve("runserver", environment=environment(database))
    assert (await fetch(server, "/readyz")).json() == {"status": "ready"}
    async with connect(server, "/ws/live", origin=f"http://{HOST}:{server.port}") as ws:
        # Over the limit stock daphne cuts the connection.
        await ws.send("x" * (1024 * 1024 + 1))
        assert (await ws.closed())[0] == 1009
    async with connect(server, "/ws/live", origin=f"http://{HOST}:{server.port}") as ws:
        server.send_signal(signal.SIGINT)
        assert await ws.closed() == (1012, "service restart;1000")
    assert await asyncio.to_thread(server.process.wait, 10) == 0
    assert "Traceback" not in server.log()


@pytest.mark.long
async def test_it_serves_static_files_and_starts_anew(tmp_path):
    """With the reloader, it runs in a thread of its own."""
    project = Project(
        tmp_path,
        """
        INSTALLED_APPS = ["daphne", "django.contrib.staticfiles", "channels", "django_fastws", "pages"]
        ALLOWED_HOSTS = ["127.0.0.1"]
        STATIC_URL = "static/"
        FASTWS_MAX_MESSAGE_BYTES = 2_000_000
        """,
        {
            "pages/__init__.py": "",
            "pages/static/pages/page.js": "'use strict';",
            "pages/consumers.py": """
                from django_fastws import FastWS
                app = FastWS()

                @app.websocket("/echo")
                async def echo(ws):
                    await ws.accept()
                    async for message in ws:
                        await ws.send(message.data)
                """,
            "manage.py": """
                import sys
                from django.core.management import execute_from_command_line
                execute_from_command_line(sys.argv)
                """,
        },
    )
    port = free_port()
    command = [sys.executable, str(project.root / "manage.py"), "runserver", f"{HOST}:{port}"]
    variables = {"DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": f"{ROOT}:{project.root}"}
    server = Process(command, port, variables)
    with server:
        assert (await fetch(server, "/static/pages/page.js")).body == b"'use strict';"
        async with RawClient(server, "/echo") as client:
            client.send(2, b"x" * 1_500_000)  # over daphne's default, and under the setting
            assert len((await client.receive()).payload) == 1_500_000
            start = server.log_size()
            receiving = asyncio.create_task(client.receive())

            async def is_cut() -> bool:
                # The reloader compares with the time at which it has looked first.
                (project.root / "pages" / "consumers.py").touch()
                await asyncio.wait([receiving], timeout=0.5)
                return receiving.done()

            await until(is_cut, limit=90)
            assert receiving.result() is None

        async def is_back() -> bool:
            return "Starting ASGI" in server.log(start)

        await until(is_back, limit=90)
        assert "Traceback" not in server.log()


@pytest.mark.parametrize("options", [["--noreload"], []])
def test_a_port_that_is_taken_ends_it(tmp_path, options):
    """With the reloader as well, which would wait for code to change."""
    apps = ["daphne", "channels", "django_fastws"]
    manage = "from django.core.management import execute_from_command_line as run; import sys; run(sys.argv)"
    project = Project(tmp_path, f"INSTALLED_APPS = {apps!r}\n", {"manage.py": manage})
    with socket.create_server((HOST, 0)) as taken:
        address = f"{HOST}:{taken.getsockname()[1]}"
        done = interpreter.run(
            [str(project.root / "manage.py"), "runserver", address, *options],
            {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": f"{ROOT}:{project.root}"},
            is_merged=True,
        )
    assert done.returncode == 1, done.stdout
    assert f"Couldn't listen on {address}" in done.stdout
    assert "Traceback" not in done.stdout
