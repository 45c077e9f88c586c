"""Rooms: handles that hold nothing, and broadcasts from scripts, threads, forked processes and views."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from django_fastws import Room
from tests.conftest import layer_config
from tests.e2e.test_rooms import member
from tests.site.client import LIMIT, token
from tests.support.processes import ROOT, ASGIServer, RedisServer, stopped
from tests.support.scripts import SETUP, STRICT, environment, execute, get, run


def test_a_room_is_a_handle_that_holds_nothing():
    assert Room("x") == Room("x")
    assert len({Room("x"), Room("x"), Room("y")}) == 2


def test_whom_a_broadcast_excludes_is_said_by_a_text_that_has_utf_8_on_every_layer():
    with pytest.raises(ValueError, match="surrogates not allowed"):
        Room(token()).broadcast("hi", exclude="\ud83d")


in_processes = [pytest.mark.server, pytest.mark.redis]


class Shared:
    """A server that others share a Redis with."""

    def __init__(self, server: ASGIServer, layer: dict[str, Any]) -> None:
        self.server = server
        self.layer = layer


@pytest.fixture(params=[pytest.param(name, marks=in_processes) for name in ("ours", "pubsub", "core")])
def shared(site: Callable[..., ASGIServer], request: pytest.FixtureRequest, redis_server: RedisServer) -> Shared:
    return Shared(site("daphne", layer=request.param), layer_config(request.param, redis_server))


async def test_a_script_broadcasts(shared):
    room = token()
    async with member(shared.server, room) as ada, member(shared.server, room) as bob:
        code = f"""
            import threading
            from asgiref.sync import async_to_sync

            room = Room({room!r})
            room.broadcast("größe")
            room.broadcast({{"from": "a script"}})
            room.broadcast(b"")
            room.broadcast("not for ada", exclude={ada.name!r})
            thread = threading.Thread(target=room.broadcast, args=("from a thread",))
            thread.start()
            thread.join()
            for _ in range(3):
                async_to_sync(room.abroadcast)("async")
        """
        assert await run(code, shared.layer) == ""
        expected = ["größe", '{"from":"a script"}', b"", "not for ada", "from a thread", *["async"] * 3]
        assert [await bob.recv() for _ in expected] == expected
        expected.remove("not for ada")
        assert [await ada.recv() for _ in expected] == expected


@pytest.mark.server
@pytest.mark.redis
async def test_the_shell_broadcasts(site, redis_server):
    room, layer = token(), layer_config("ours", redis_server)
    async with member(site("daphne", layer="ours"), room) as ada:
        code = f"from django_fastws import Room; Room({room!r}).broadcast('from the shell')"
        # -v 0: the shell tells what it has imported
        await execute([*STRICT, "manage.py", "shell", "-v", "0", "-c", code], environment(layer))
        assert await ada.recv() == "from the shell"


@pytest.mark.server
@pytest.mark.redis
async def test_threads_broadcast_each_in_its_order(site, redis_server):
    room = token()
    async with member(site("daphne", layer="ours"), room) as ada:
        await run(
            f"""
            import threading

            def work(name):
                for number in range(20):
                    Room({room!r}).broadcast(f"{{name}} {{number}}")

            threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            """,
            layer_config("ours", redis_server),
        )
        got = [await ada.recv() for _ in range(80)]
        for name in range(4):
            assert [text for text in got if text.startswith(f"{name} ")] == [f"{name} {turn}" for turn in range(20)]


@pytest.mark.server
@pytest.mark.redis
async def test_a_forked_process_broadcasts_after_its_parent_has(site, redis_server):
    room = token()
    async with member(site("daphne", layer="ours"), room) as ada:
        await run(
            f"""
            import os

            room = Room({room!r})
            room.broadcast("parent")
            child = os.fork()
            if not child:
                room.broadcast("child")
                grandchild = os.fork()
                if not grandchild:
                    room.broadcast("grandchild")
                    os._exit(0)
                os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            room.broadcast("parent again")
            """,
            layer_config("ours", redis_server),
            options=[*STRICT, "-W", "ignore:This process:DeprecationWarning"],
        )
        assert [await ada.recv() for _ in range(4)] == ["parent", "child", "grandchild", "parent again"]


@pytest.mark.server
@pytest.mark.redis
async def test_processes_that_are_forked_while_threads_broadcast_broadcast_too(site, redis_server):
    room, layer = token(), layer_config("ours", redis_server)
    async with member(site("daphne", layer="ours"), room) as ada:
        out = await run(
            f"""
            import os, threading, time

            room, over = Room({room!r}), threading.Event()

            def work():
                while not over.is_set():
                    Room("elsewhere").broadcast("x")

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads: thread.start()
            for number in range(20):
                child = os.fork()
                if not child:
                    room.broadcast(f"child {{number}}")
                    os._exit(0)
                deadline = time.monotonic() + 5
                while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
                    time.sleep(0.005)
                if not ended[0]:
                    os.kill(child, 9)
                    os.waitpid(child, 0)
                    print("stuck", number)
            over.set()
            for thread in threads: thread.join()
            """,
            layer,
            options=["-W", "ignore:This process:DeprecationWarning"],
        )
        assert out == ""
        assert [await ada.recv() for _ in range(20)] == [f"child {number}" for number in range(20)]


@pytest.mark.server
@pytest.mark.parametrize("view", ["/broadcast/", "/abroadcast/"])
@pytest.mark.parametrize("layer", [None, *(pytest.param(name, marks=pytest.mark.redis) for name in ("ours", "core"))])
@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_a_view_reaches_sockets(site, kind, layer, view):
    room, here = token(), site(kind, layer=layer)
    there = site("daphne", layer=layer, number=2) if layer else here
    async with member(here, room) as ada, member(there, room) as bob:
        for text in ("größe", "again"):
            assert await asyncio.to_thread(get, here, view, room=room, text=text) == "done"
            assert await ada.recv() == await bob.recv() == text


@pytest.mark.server
async def test_views_at_the_same_time_reach_sockets(site):
    room, server = token(), site("daphne")
    async with member(server, room) as ada:
        texts = [str(number) for number in range(20)]
        await asyncio.gather(*(asyncio.to_thread(get, server, "/broadcast/", room=room, text=text) for text in texts))
        assert sorted([await ada.recv() for _ in texts], key=int) == texts


TRY_LAYERS = """
import logging, time
from django.test import override_settings

logging.disable()
for layer in {layers!r}:
    with override_settings(CHANNEL_LAYERS={{"default": layer}}):
        started = time.monotonic()
        try:
            Room("room").broadcast("x")
        except WebSocketConnectionError as error:
            print(error)
        assert time.monotonic() - started < 8, time.monotonic() - started
"""


def every_layer(own_redis: RedisServer) -> list[dict[str, Any]]:
    return [layer_config(name, own_redis) for name in ("ours", "pubsub", "core")]


@pytest.mark.redis
async def test_without_redis_it_raises_in_bounded_time(own_redis):
    layers = every_layer(own_redis)
    own_redis.stop()
    out = await run(TRY_LAYERS.format(layers=layers), layers[0], FASTWS_PUBLISH_RETRY_SECONDS=1)
    assert [line.split(": Error")[0] for line in out.splitlines()] == [
        "cannot broadcast: the channel layer is out of reach"
    ] * 3


@pytest.mark.redis
async def test_with_a_silent_redis_it_raises_in_bounded_time(own_redis):
    layers = every_layer(own_redis)
    with stopped(own_redis):
        out = await run(TRY_LAYERS.format(layers=layers), layers[0], FASTWS_PUBLISH_TIMEOUT_SECONDS=0.5)
    assert out == "cannot broadcast: the channel layer did not answer within 0.5 seconds\n" * 3


@pytest.mark.redis
async def test_it_works_again_at_once_after_redis_was_started_again(own_redis):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"{SETUP}\nwhile input():\n    Room('room').broadcast('x')\n    print('sent', flush=True)",
        cwd=ROOT,
        env=environment(layer_config("ours", own_redis)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(3 * LIMIT):
        for _ in range(3):
            process.stdin.write(b"go\n")
            assert await process.stdout.readline() == b"sent\n", (await process.communicate())[1].decode()
            own_redis.stop()
            own_redis.start()
        out, err = await process.communicate(b"\n")
    assert (process.returncode, out, err) == (0, b"", b"")
