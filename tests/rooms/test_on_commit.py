"""Room.broadcast: from threads, scripts, the shell, forked processes, views and transactions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import transaction

from django_fastws import Room, WebSocketConnectionError, WebSocketStateError
from django_fastws.testing import TestWebSocket
from django_fastws.testing import connect as connect_inside
from tests.conftest import layer_config
from tests.e2e.test_rooms import member
from tests.site.client import LIMIT, token
from tests.support.processes import ROOT, ASGIServer, RedisServer, free_port, stopped

SETUP = "import django; django.setup()\nfrom django_fastws import Room, WebSocketConnectionError\n"
STRICT = ["-W", "error"]


def environment(layer: Mapping[str, Any], **settings: Any) -> dict[str, str]:
    variables = {"DJANGO_SETTINGS_MODULE": "tests.settings", "TEST_LAYER": json.dumps(layer)}
    return {**os.environ, **variables, "TEST_FASTWS": json.dumps(settings)}


async def run(
    code: str, layer: Mapping[str, Any], *, options: list[str] = STRICT, errors: str = "", **settings: Any
) -> str:
    """Run a script that has Django set up; returns what it prints. It must end well and complain of nothing."""
    script = SETUP + textwrap.dedent(code)
    return await execute([*options, "-c", script], environment(layer, **settings), errors)


async def execute(arguments: list[str], variables: Mapping[str, str], errors: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(3 * LIMIT):
            out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert (process.returncode, err.decode()) == (0, errors)
    return out.decode()


# ── From other processes ────────────────────────────────────────────────────────────────────────────────────────────

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


@pytest.mark.redis
async def test_threads_share_a_few_connections_and_start_no_event_loop_and_no_thread(own_redis):
    out = await run(
        """
        import asyncio, threading
        from django.conf import settings
        import redis

        def refuse(*args, **kwargs):
            raise AssertionError("on purpose")

        asyncio.new_event_loop = asyncio.run = asyncio.Runner = refuse
        client = redis.Redis.from_url(settings.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"][0])
        def work():
            for _ in range(100):
                Room("room").broadcast("x")

        Room("room").broadcast("x")
        print(len(client.client_list()) - 1, threading.active_count())  # without this client, with this thread
        for turn in range(3):
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        print(len(client.client_list()) - 1 <= 8, threading.active_count())
        client.close()
        """,
        layer_config("ours", own_redis),
    )
    assert out == "1 1\nTrue 1\n"


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


# ── From views ──────────────────────────────────────────────────────────────────────────────────────────────────────


def get(server: ASGIServer, path: str, **query: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(server.http_url(f"{path}?{urlencode(query)}"), timeout=LIMIT) as answer:
        return str(answer.read().decode())


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


# ── Without Redis ───────────────────────────────────────────────────────────────────────────────────────────────────

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
        assert time.monotonic() - started < 2.5, time.monotonic() - started
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


# ── In the process of the sockets ───────────────────────────────────────────────────────────────────────────────────


class Listener:
    """A member of a room, in an event loop of a thread of its own."""

    def __init__(self, room: str) -> None:
        self.room = Room(room)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._connection: Any = connect_inside(f"/ws/member?room={room}")
        self._ws: TestWebSocket = self._run(self._connection.__aenter__())
        self._run(self._ws.receive())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(LIMIT)

    def got(self) -> list[str]:
        """What came so far. Broadcasts of one thread come in order, so this sends one more that comes last."""
        texts: list[str] = []
        thread = threading.Thread(target=self.room.broadcast, args=("last",))  # has no transaction
        thread.start()
        thread.join()
        while (text := self._run(self._ws.receive_text())) != "last":
            texts.append(text)
        return texts

    def stop(self) -> None:
        self._run(self._connection.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener(token())
    yield found
    found.stop()


def test_a_thread_reaches_sockets_of_another_threads_loop(listener):
    listener.room.broadcast("one")
    listener.room.broadcast("two")
    assert listener.got() == ["one", "two"]


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_it_goes_out_once_after_the_commit(listener):
    with transaction.atomic():
        listener.room.broadcast("one")
        listener.room.broadcast("two")
        assert listener.got() == []
    assert listener.got() == ["one", "two"]


def fail_after_broadcast(room: Room) -> None:
    with transaction.atomic():
        room.broadcast("never")
        raise ZeroDivisionError


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_that_is_rolled_back_it_does_not_go_out(listener):
    with pytest.raises(ZeroDivisionError):
        fail_after_broadcast(listener.room)
    assert listener.got() == []


@pytest.mark.django_db(transaction=True)
def test_in_a_savepoint_that_is_rolled_back_it_does_not_go_out(listener):
    with transaction.atomic():
        listener.room.broadcast("outer")
        with pytest.raises(ZeroDivisionError):
            fail_after_broadcast(listener.room)
        with transaction.atomic():
            listener.room.broadcast("kept")
        assert listener.got() == []
    assert listener.got() == ["outer", "kept"]


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_it_goes_out_at_once_where_that_is_asked_for(listener):
    with transaction.atomic():
        listener.room.broadcast("at once", on_commit=False)
        assert listener.got() == ["at once"]
    assert listener.got() == []


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_the_data_is_that_of_the_call(listener):
    data = {"n": 1}
    with transaction.atomic():
        listener.room.broadcast(data)
        data["n"] = 2
    assert listener.got() == ['{"n":1}']


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_encoded_raises_in_the_transaction_not_after_it(listener):
    with pytest.raises(TypeError), transaction.atomic():
        listener.room.broadcast({"a": object()})
    assert listener.got() == []


@pytest.mark.django_db
def test_djangos_test_case_lets_it_out_with_its_own_means(listener, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        listener.room.broadcast("one")
    assert len(callbacks) == 1
    assert listener.got() == ["one"]


@pytest.mark.django_db(transaction=True)
def test_a_failure_after_the_commit_is_logged_and_not_raised(settings, caplog):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0
    config = {"hosts": [f"redis://127.0.0.1:{free_port()}"]}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}
    with transaction.atomic():
        Room("größe").broadcast("lost")
        assert not caplog.records
    lost, record = caplog.records
    assert lost.name == "django_fastws.layer"
    assert (record.name, record.levelname) == ("django_fastws.rooms", "ERROR")
    assert record.getMessage() == "A broadcast to room 'größe' after a commit was lost"
    assert record.exc_info[0] is WebSocketConnectionError


async def test_in_a_running_loop_it_raises_at_once_and_says_what_to_write():
    started = time.monotonic()
    with pytest.raises(WebSocketStateError, match=r"write `await room\.abroadcast\(\.\.\.\)`"):
        Room("room").broadcast("x")
    assert time.monotonic() - started < 0.1


async def test_in_a_thread_beside_a_running_loop_it_works():
    async with connect_inside("/ws/member?room=beside") as ws:
        await ws.receive()
        await asyncio.to_thread(Room("beside").broadcast, "from a thread")
        assert await ws.receive_text() == "from a thread"


@pytest.mark.redis
@pytest.mark.faults
async def test_a_child_does_not_inherit_the_outage_of_its_parent(own_redis):
    layer = layer_config("ours", own_redis)
    own_redis.stop()
    out = await run(
        """
        import logging, os, sys
        from django_fastws.layer import layer_status

        logging.disable()
        try:
            Room("room").broadcast("x")
        except WebSocketConnectionError:
            print(layer_status().is_reachable, flush=True)
        child = os.fork()
        if not child:
            print(layer_status().is_reachable, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        """,
        layer,
        FASTWS_PUBLISH_RETRY_SECONDS=0,
    )
    assert out == "False\nTrue\n"
