"""A callback that blocks the event loop is said with its place, and nothing else is."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from django_fastws import FastWS, LiveSocket, WebSocket, metrics, slow_callbacks
from django_fastws._core.blocking_places import frames_of
from django_fastws.server.epoll_loop import EpollLoop
from django_fastws.slow_callbacks import slow_callback_seconds, watch_loop
from django_fastws.testing import connect, live
from tests.support.processes import ROOT

LONGEST = 30.0  # seconds, on a machine that does much else


@pytest.fixture
def watched(routes, settings, monkeypatch, caplog):
    """A loop is watched closely; a callback that blocks for 0.1 seconds is said while it does."""
    settings.FASTWS_SLOW_CALLBACK_SECONDS = 0.02
    monkeypatch.setattr(slow_callbacks, "_PATIENCE", 0.1)
    monkeypatch.setattr(slow_callbacks, "_throttle", slow_callbacks.LogThrottle(60))
    with caplog.at_level(logging.WARNING, "django_fastws.loop"):
        yield caplog


def said(caplog: Any) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "django_fastws.loop"]


def until(condition: Callable[[], Any]) -> bool:
    """Wait for something, and block the event loop meanwhile."""
    deadline = time.monotonic() + LONGEST
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(condition())


async def looked(condition: Callable[[], Any]) -> bool:
    deadline = time.monotonic() + LONGEST
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 (another thread's doing)
        await asyncio.sleep(0.005)
    return bool(condition())


@pytest.fixture(autouse=True)
async def all_ends():
    """No thread is left behind, nor what it has the garbage collector call."""
    yield
    for watch in list(slow_callbacks._watches.values()):
        watch.is_over = True
    assert await looked(lambda: not any(thread.name == "fastws-loop-watch" for thread in threading.enumerate()))
    assert not any(getattr(one, "__self__", None) is slow_callbacks._collections for one in gc.callbacks)


# When


@pytest.mark.parametrize(
    ("debug", "given", "seconds"),
    [(True, "nothing", 0.1), (False, "nothing", None), (True, None, None), (False, 0.5, 0.5)],
)
def test_in_debug_a_tenth_of_a_second_is_too_long(settings, debug: bool, given: Any, seconds: float | None):
    settings.DEBUG = debug
    if given != "nothing":
        settings.FASTWS_SLOW_CALLBACK_SECONDS = given
    assert slow_callback_seconds() == seconds


async def test_nobody_watches_where_nobody_wants_it():
    watch_loop()
    assert not slow_callbacks._watches


async def test_a_loop_is_watched_once_and_no_longer_than_that_is_wanted(watched, settings):
    watch_loop()
    watch_loop()
    assert [thread.name for thread in threading.enumerate()].count("fastws-loop-watch") == 1
    settings.FASTWS_SLOW_CALLBACK_SECONDS = None
    assert await looked(lambda: not slow_callbacks._watches)


async def test_the_first_callback_behind_the_one_that_has_begun_the_watch_is_seen_whole(watched, settings):
    """However deep the frames of that one are."""
    settings.FASTWS_SLOW_CALLBACK_SECONDS = 1.0  # the second heartbeat comes after a quarter of it

    async def deeper(depth: int) -> None:
        if depth:
            await deeper(depth - 1)
        else:
            watch_loop()

    await deeper(20)
    await asyncio.sleep(0)
    settings.FASTWS_SLOW_CALLBACK_SECONDS = 0.02
    assert until(lambda: said(watched))
    assert " in until(): " in said(watched)[0].getMessage()


# What


async def test_a_handler_that_sleeps_is_said_while_it_does_with_the_line_and_what_it_serves(watched):
    before = metrics.slow_callbacks.by("route").get("/shop/{pk:int}", 0)

    @FastWS().websocket("/shop/{pk:int}")
    async def shop(ws: WebSocket, pk: int) -> None:
        watch_loop()
        await ws.accept()
        await asyncio.sleep(0.05)
        assert until(lambda: said(watched))

    async with connect("/shop/5?token=S3CRET") as ws:
        await ws.wait_closed()
        assert await looked(lambda: len(said(watched)) == 2)
    first, second = said(watched)
    assert re.search(
        r"is blocked, for [\d.]+ seconds so far, by tests/test_slow_callbacks\.py:\d+", first.getMessage()
    )
    assert (first.route, first.path) == ("/shop/{pk:int}", "/shop/5")  # type: ignore[attr-defined]
    assert first.connection_id  # type: ignore[attr-defined]
    assert "goes on, after" in second.getMessage()
    assert metrics.slow_callbacks.by("route")["/shop/{pk:int}"] == before + 1


async def test_a_computation_is_found_though_it_lets_nobody_else_run_for_long(watched):
    def compute() -> None:
        deadline = time.monotonic() + LONGEST
        while not watched.records and time.monotonic() < deadline:  # calls nothing of the project
            sum(range(1000))

    watch_loop()
    await asyncio.sleep(0.05)
    compute()
    (record, *_) = said(watched)
    assert "in compute()" in record.getMessage()
    assert record.place.startswith("tests/test_slow_callbacks.py:")  # type: ignore[attr-defined]


async def test_a_query_is_said_at_the_line_of_the_project_and_where_it_is_inside(watched, tmp_path):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    from django.db.backends.sqlite3.base import SQLiteCursorWrapper

    connection = sqlite3.connect(tmp_path / "db")
    cursor = SQLiteCursorWrapper(connection)
    threading.Thread(target=lambda: (until(lambda: said(watched)), connection.interrupt())).start()

    async def ask() -> None:
        cursor.execute(endless)

    watch_loop()
    await asyncio.sleep(0.05)
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        await asyncio.create_task(ask())
    (record, *_) = said(watched)
    assert "in ask(): cursor.execute(endless) (just now in " in record.getMessage()
    assert "django/db/backends/sqlite3/base.py" in record.getMessage()
    connection.close()


async def test_a_call_of_a_live_room_is_said_with_its_room_and_event(watched):
    room = FastWS().room("tickets/{pk:int}")

    @room.on("say")
    async def say(ws: LiveSocket, pk: int) -> None:
        assert until(lambda: said(watched))

    async with live() as client:
        joined = await client.join("tickets/5")
        watch_loop()
        await asyncio.sleep(0.05)
        await joined.call("say")
    (record, *_) = said(watched)
    assert (record.room, record.event) == ("tickets/{pk:int}", "say")  # type: ignore[attr-defined]
    assert "event 'say'" in record.getMessage()


async def test_a_place_is_said_once_and_counted_each_time(watched, monkeypatch):
    monkeypatch.setattr(slow_callbacks, "_PATIENCE", LONGEST)
    ended = 0

    def count(*_: Any) -> None:
        nonlocal ended
        ended += 1

    monkeypatch.setattr(metrics.slow_callbacks, "add", count)

    async def block() -> None:
        until(lambda: looks > before + 8)

    looks = 0
    real = slow_callbacks.is_debugged

    def looks_on(frames: Any) -> bool:
        nonlocal looks
        looks += 1
        return real(frames)

    monkeypatch.setattr(slow_callbacks, "is_debugged", looks_on)
    watch_loop()
    while ended < 3:
        await asyncio.sleep(0.05)
        before = looks
        await asyncio.create_task(block())
    await asyncio.sleep(0.05)
    assert len({record.place for record in said(watched)}) == len(said(watched))  # type: ignore[attr-defined]


# What is none


async def looks_at(monkeypatch: pytest.MonkeyPatch, block: Callable[[Callable[[], bool]], None]) -> None:
    """Have a function block the loop until it was looked at ten times."""
    looks = 0
    real = slow_callbacks.LoopWatch._lateness

    def counted(self: Any, now: float) -> float:
        nonlocal looks
        looks += threading.current_thread() is not threading.main_thread()
        return real(self, now)

    monkeypatch.setattr(slow_callbacks.LoopWatch, "_lateness", counted)
    watch_loop()
    await asyncio.sleep(0.05)
    before = looks
    block(lambda: looks > before + 10)
    assert looks > before + 10
    await asyncio.sleep(0.05)


async def test_who_looks_at_the_code_in_a_debugger_is_not_told_that_it_stands_still(watched, monkeypatch):
    debugger: dict[str, Any] = {"__name__": "pdb"}
    exec("def interaction(until, is_enough):\n    until(is_enough)", debugger)
    await looks_at(monkeypatch, lambda is_enough: debugger["interaction"](until, is_enough))
    assert not said(watched)


async def test_the_garbage_collector_is_nobodys_fault(watched, monkeypatch):
    def collect(is_enough: Callable[[], bool]) -> None:
        def take_long(phase: str, info: Any) -> None:
            if phase == "start":
                until(is_enough)

        gc.callbacks.append(take_long)
        try:
            gc.collect()
        finally:
            gc.callbacks.remove(take_long)

    await looks_at(monkeypatch, collect)
    assert not said(watched)


async def test_many_callbacks_that_take_their_turns_are_none(watched, monkeypatch, settings):
    settings.FASTWS_SLOW_CALLBACK_SECONDS = 0.2  # for which the system lets no thread wait
    looks = 0
    real = slow_callbacks.LoopWatch._frames

    def counted(self: Any) -> Any:
        nonlocal looks
        found = real(self)
        looks += 1
        return found

    monkeypatch.setattr(slow_callbacks.LoopWatch, "_frames", counted)
    settled = asyncio.get_running_loop().create_future()

    def turn() -> None:
        """Keep the loop late, though no callback takes longer than a look."""
        before = looks
        deadline = time.monotonic() + 0.5
        while looks == before and time.monotonic() < deadline:
            time.sleep(0.001)

    watch_loop()
    await asyncio.sleep(0.05)
    for _ in range(8):
        asyncio.get_running_loop().call_soon(turn)
    asyncio.get_running_loop().call_soon(lambda: settled.set_result(None))
    await settled
    await asyncio.sleep(0.05)
    assert not said(watched)


def test_callbacks_that_a_loop_of_ours_runs_one_after_the_other_are_told_apart(monkeypatch):
    """As descriptors that are ready at once, which the server's loop for uvloop runs in one function."""
    loop = EpollLoop()
    frames: list[list[str]] = []

    async def main() -> None:
        watch = slow_callbacks.LoopWatch(loop)
        watch._depth = len(frames_of(sys._getframe())) - 1  # as a heartbeat finds it
        pairs = [socket.socketpair() for _ in range(2)]
        left = asyncio.Event()

        def ready(number: int) -> None:
            frames.append([frame.f_code.co_name for frame in watch._frames()])
            loop.remove_reader(pairs[number][0])
            if len(frames) == len(pairs):
                left.set()

        for number, (one, other) in enumerate(pairs):
            other.send(b"x")
            loop.add_reader(one, ready, number)
        await left.wait()
        for end in [end for pair in pairs for end in pair]:
            end.close()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    assert [names[:2] for names in frames] == [["_run_callback", "ready"]] * 2


SCRIPT = """
import asyncio, sys
from django.conf import settings
settings.configure(FASTWS_SLOW_CALLBACK_SECONDS=0.05)
from django_fastws.slow_callbacks import watch_loop

async def main():
    watch_loop()
    await asyncio.sleep(0.3)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await asyncio.sleep(0.3)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system suspends no process")
def test_a_process_that_was_suspended_was_not_blocked():
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)  # the thing itself: it is suspended for so long
    process.send_signal(signal.SIGCONT)
    _, errors = process.communicate("\n", LONGEST)
    assert (process.returncode, errors) == (0, "")
