"""Broadcasts of a process that serves no sockets, where rooms end at the process: it is said, once."""

import pytest

from tests.support.subprocesses import Project

pytestmark = pytest.mark.slow

SAYS = "Nobody can hear what this process broadcasts"
BROADCASTS = """
import django
django.setup()
from django_fastws import Room, disconnect
"""
MEMORY = 'CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}'


@pytest.mark.parametrize("settings", ["", MEMORY], ids=["no layer", "in memory"])
@pytest.mark.parametrize(
    "calls",
    [
        'Room("lobby").broadcast("tea"); Room("bar").broadcast("beer")',
        'import asyncio; asyncio.run(Room("lobby").abroadcast("tea")); asyncio.run(Room("lobby").abroadcast("tea"))',
    ],
    ids=["sync", "async"],
)
def test_a_shell_whose_broadcasts_nobody_hears_says_so_once(tmp_path, settings, calls):
    done = Project(tmp_path, settings).run(BROADCASTS + calls)
    assert done.returncode == 0
    assert done.stderr.count(SAYS) == 1
    assert "django_fastws.layer.RedisChannelLayer" in done.stderr


SERVES = """
import asyncio
from project.asgi import application
from asgiref.testing import ApplicationCommunicator
from django_fastws import FastWS, Room

async def main():
    one = ApplicationCommunicator(application, {"type": "lifespan"})
    await one.send_input({"type": "lifespan.startup"})
    await one.receive_output()
    await Room("lobby").abroadcast("tea")

asyncio.run(main())
"""
TESTS = (
    BROADCASTS
    + """
from django.test.utils import setup_test_environment
setup_test_environment()
Room("lobby").broadcast("tea")
"""
)


@pytest.mark.parametrize("code", [SERVES, TESTS], ids=["a server", "Django's tests"])
def test_who_serves_or_tests_is_told_nothing(tmp_path, code):
    done = Project(tmp_path).run(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_layer_that_reaches_others_is_no_mistake(tmp_path):
    layer = 'CHANNEL_LAYERS = {"default": {"BACKEND": "project.layer.Layer"}}'
    files = {
        "project/layer.py": """
            from channels.layers import InMemoryChannelLayer

            class Layer(InMemoryChannelLayer):
                pass
        """
    }
    done = Project(tmp_path, layer, files).run(BROADCASTS + 'Room("lobby").broadcast("tea")')
    assert (done.returncode, done.stderr) == (0, "")
