"""Systems without forks and without POSIX's signals, as far as they can be simulated: import and sockets work."""

import pytest

from tests.support.subprocesses import run

pytestmark = pytest.mark.slow

WITHOUT = """
import os, signal, sys
del os.register_at_fork, os.fork
for name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGCONT", "SIGTSTP", "SIGCHLD", "SIGPIPE"):
    if hasattr(signal, name) and name != "SIGCHLD":
        delattr(signal, name)
for name in ("pwd", "grp", "resource", "termios", "tty", "pty", "readline", "syslog"):
    sys.modules[name] = None
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="x", INSTALLED_APPS=["channels", "django_fastws"], ALLOWED_HOSTS=["testserver"], DATABASES={},
    ROOT_URLCONF="tests.site.urls",
)
django.setup()
"""
IMPORTS = (
    WITHOUT
    + """
import importlib, pkgutil
import django_fastws
for module in pkgutil.walk_packages(django_fastws.__path__, "django_fastws."):
    importlib.import_module(module.name)
"""
)
ROOM = (
    WITHOUT
    + """
import asyncio
from django_fastws import FastWS, Room
from django_fastws.testing import connect

app = FastWS()

@app.websocket("/{room}")
async def chat(ws, room: str):
    await ws.accept()
    await ws.join(room)
    await ws.send("joined")
    async for message in ws:
        await ws.broadcast(room, message.text.upper())

async def main():
    async with connect("/lobby") as ada, connect("/lobby") as bob:
        assert [await ws.receive_text() for ws in (ada, bob)] == ["joined", "joined"]
        await ada.send("tea")
        print(await ada.receive_text(), await bob.receive_text())

asyncio.run(main())
"""
)


def test_every_module_can_be_imported_without_forks_and_posix_signals():
    done = run(IMPORTS, has_imported_nothing=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_room_works_without_forks_and_posix_signals():
    done = run(ROOM, has_imported_nothing=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "TEA TEA\n", "")
