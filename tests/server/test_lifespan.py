"""The application's lifespan: begun before the first connection, ended after the last."""

from __future__ import annotations

import os
import time

import pytest

from django_fastws.server.lifespan import Lifespan
from tests.server.client import fetch
from tests.support import interpreter
from tests.support.processes import HOST, ROOT, free_port
from tests.support.subprocesses import Project


def _application(*answers, then=None, fails=None):
    """An application that answers startup and shutdown with these."""

    async def application(scope, receive, send):
        assert scope["type"] == "lifespan"
        assert scope["asgi"]["version"] == "3.0"
        if fails is not None and not answers:
            raise fails
        for number, answer in enumerate(answers):
            assert await receive() == {"type": f"lifespan.{('startup', 'shutdown')[number]}"}
            scope["state"][answer] = True
            await send({"type": f"lifespan.{answer}", "message": "on purpose"})
        if fails is not None:
            raise fails

    return application


async def test_startup_and_shutdown(caplog):
    lifespan = Lifespan(_application("startup.complete", "shutdown.complete"))
    assert await lifespan.startup()
    assert lifespan.state == {"startup.complete": True}
    await lifespan.shutdown(1)
    assert lifespan.state == {"startup.complete": True, "shutdown.complete": True}
    await lifespan.shutdown(1)
    assert not caplog.records


@pytest.mark.parametrize("fails", [None, ValueError("no lifespan here")])
@pytest.mark.parametrize(("mode", "goes_on"), [("auto", True), ("on", False)])
async def test_an_application_without_a_lifespan(mode, goes_on, fails, caplog):
    lifespan = Lifespan(_application(fails=fails), mode)
    assert await lifespan.startup() is goes_on
    await lifespan.shutdown(1)
    assert [record.levelname for record in caplog.records] == ([] if goes_on else ["ERROR"])


async def test_off_does_not_ask():
    lifespan = Lifespan(_application("startup.failed"), "off")
    assert await lifespan.startup()
    await lifespan.shutdown(1)


@pytest.mark.parametrize("mode", ["auto", "on"])
async def test_an_application_that_could_not_start_is_not_served(mode, caplog):
    assert not await Lifespan(_application("startup.failed"), mode).startup()
    (record,) = caplog.records
    assert "could not start" in record.getMessage()
    assert "on purpose" in record.getMessage()


async def test_a_shutdown_that_fails_is_logged(caplog):
    lifespan = Lifespan(_application("startup.complete", "shutdown.failed"))
    await lifespan.startup()
    await lifespan.shutdown(1)
    (record,) = caplog.records
    assert "could not stop" in record.getMessage()
    assert "on purpose" in record.getMessage()


async def test_a_shutdown_that_never_ends_is_given_up(caplog):
    async def application(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await receive()

    lifespan = Lifespan(application)
    await lifespan.startup()
    await lifespan.shutdown(0.1)
    (record,) = caplog.records
    assert "within 0.1 seconds" in record.getMessage()


async def test_an_application_that_dies_meanwhile_does_not_hold_up_the_end():
    lifespan = Lifespan(_application("startup.complete", fails=ValueError("on purpose")))
    assert await lifespan.startup()
    await lifespan.shutdown(1)


# On the server


@pytest.mark.server
@pytest.mark.parametrize(("options", "state"), [([], {"started": ["once"]}), (["--lifespan", "off"], {})])
async def test_a_request_finds_the_state(plain, options, state):
    assert (await fetch(plain(*options), "/scope/")).json()["state"] == state


@pytest.mark.server
async def test_the_lifespan_ends_after_the_drain(serve_plain):
    server = serve_plain()
    assert server.stop() == 0
    log = server.log()
    assert 0 < log.index("Drained in") < log.index("the lifespan has ended")


@pytest.mark.server
def test_a_server_whose_application_could_not_start_ends_with_1(tmp_path):
    asgi = """
        async def application(scope, receive, send):
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})
        """
    project = Project(tmp_path, files={"project/asgi.py": asgi})
    started = time.monotonic()
    done = project.manage("runws_server", "-b", HOST, "-p", str(free_port()))
    assert done.returncode == 1
    assert "The application could not start: no database" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 20


@pytest.mark.server
def test_django_alone_has_no_lifespan_and_need_not(tmp_path):
    asgi = "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n"
    Project(tmp_path, files={"project/asgi.py": asgi})
    code = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'project.settings'\n"
        "from django.core.management import execute_from_command_line as run\n"
        f"run(['', 'runws_server', '--lifespan', 'on', '-p', '{free_port()}'])"
    )
    done = interpreter.run(["-c", code], {**os.environ, "PYTHONPATH": str(ROOT)}, directory=tmp_path)
    assert done.returncode == 1
    assert "leave out --lifespan on" in done.stderr
