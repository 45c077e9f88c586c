"""The example's market: a feed, one socket that goes out for it, and the pages that see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect
from websockets.asyncio.client import ClientConnection, connect

from tests.support import interpreter
from tests.support.example import environment, make_database
from tests.support.processes import HOST, Process, free_port

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_database(tmp_path_factory)


@contextlib.contextmanager
def running(database: Path) -> Iterator[Process]:
    """What ``make demo`` runs, after the migrations."""
    port, feed = free_port(), free_port()
    variables = {**environment(database), "FEED_URL": f"ws://{HOST}:{feed}"}
    process = Process([sys.executable, "manage.py", "demo", f"{HOST}:{port}"], port, variables)
    process.is_forked = True
    process.feed_port = feed
    with process:
        yield process


@pytest.fixture(scope="module")
def demo(database: Path) -> Iterator[Process]:
    with running(database) as process:
        yield process


@pytest.fixture
def own_demo(database: Path) -> Iterator[Process]:
    """For a test that stops it."""
    with running(database) as process:
        yield process


SYMBOLS = {"ANVL", "BRGE", "CLDR", "DUNE"}


async def quotes(ws: ClientConnection) -> dict[str, Any]:
    """Join, and wait until there is a quote of each symbol."""
    await ws.send(json.dumps({"join": "market", "id": 1}))
    found = json.loads(await ws.recv())["ok"]["state"]
    while set(found) != SYMBOLS:
        frame = json.loads(await ws.recv())
        if "key" in frame:
            found[frame["key"]] = frame["data"]
    return found


async def test_the_pages_see_what_the_feed_says(demo):
    url = f"ws://{HOST}:{demo.port}/ws/live"
    async with asyncio.timeout(60), connect(url) as one, connect(url) as two:
        before = await quotes(one)
        after = await quotes(two)
        for symbol in SYMBOLS:
            assert before[symbol]["price"] == before[symbol]["recent"][-1] > 0
            assert after[symbol]["ticks"] >= before[symbol]["ticks"]


async def test_the_feed_is_there_before_it_is_asked_for(demo):
    async with asyncio.timeout(60), connect(f"ws://{HOST}:{demo.port}/ws/live") as ws:
        await quotes(ws)
    # A machine that is busy blocks the event loop, which is said where DEBUG is set.
    assert not [line for line in demo.log().splitlines() if "WARNING" in line and "django_fastws.loop" not in line]


@pytest.mark.parametrize("taken", ["page", "feed"])
def test_a_port_that_is_taken_is_told_with_what_to_do(tmp_path_factory, taken):
    with socket.create_server((HOST, 0)) as other:
        ports = {"page": free_port(), "feed": free_port(), taken: other.getsockname()[1]}
        variables = environment(make_database(tmp_path_factory))
        done = interpreter.run(
            ["manage.py", "demo", f"{HOST}:{ports['page']}"],
            {**os.environ, **variables, "FEED_URL": f"ws://{HOST}:{ports['feed']}"},
            is_merged=True,
        )
    assert done.returncode == 1, done.stdout
    assert "address already in use" in done.stdout.lower()
    assert "make demo PORT=8001" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_one_signal_stops_all_of_it(own_demo, signum):
    async with asyncio.timeout(60), connect(f"ws://{HOST}:{own_demo.port}/ws/live") as ws:
        await quotes(ws)
    assert await asyncio.to_thread(own_demo.stop, signum) == 0
    log = own_demo.log()
    for symbol in SYMBOLS:
        assert f"WebSocket closed: ws://{HOST}:{own_demo.feed_port}/{symbol} (1001 going away)" in log
    assert "Traceback" not in log
    with pytest.raises(ConnectionRefusedError), socket.create_connection((HOST, own_demo.feed_port), timeout=1):
        pass


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGKILL])
async def test_the_feed_ends_with_a_demo_that_could_not_stop_it(own_demo, signum):
    async with asyncio.timeout(60), connect(f"ws://{HOST}:{own_demo.feed_port}/ANVL", max_queue=None) as feed:
        await feed.recv()
        own_demo.send_signal(signum)
        await feed.wait_closed()
    assert feed.close_code == 1001


@pytest.mark.asyncio(loop_scope="session")  # the browser's
@pytest.mark.browser
async def test_the_page_begins_with_a_line_for_each_symbol(demo, browser):
    page = await browser.new_page()
    await page.goto(f"http://{HOST}:{demo.port}/market/")
    await page.wait_for_selector("#status[data-state=open]")
    await page.wait_for_selector("#quotes li:nth-child(4)")
    await expect(page.locator("#age")).to_have_text("Live")
    first = page.locator(".quote .stroke").first
    points = await first.get_attribute("points")
    await expect(first).not_to_have_attribute("points", points)
