"""Servers that stop, and those who were connected to them."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.balancer.client import LIMIT, browser, connect
from tests.balancer.conftest import served
from tests.balancer.proxies import KINDS, Proxy
from tests.balancer.servers import RunwsServer
from tests.site.client import until
from tests.support.processes import HOST, ROOT, RedisServer

pytestmark = [pytest.mark.server, pytest.mark.redis, pytest.mark.slow]

CLIENTS = 200  # more would tell nothing else, and keep a small machine busy while a drain has seconds
DRAIN_SECONDS = 8


@contextmanager
def balanced(
    kind: str, redis: RedisServer, certificate: Path, **settings: Any
) -> Iterator[tuple[Proxy, RunwsServer, RunwsServer]]:
    """Two servers that a test may stop, and a proxy in front of them."""
    options = ("--access-log", "/dev/null")
    one, two = RunwsServer(redis, *options, settings=settings), RunwsServer(redis, *options, settings=settings)
    # The proxy comes last: haproxy would find the servers down, and look again after a second.
    with served(one, two), KINDS[kind]([one.address, two.address], certificate) as proxy:
        yield proxy, one, two
        print(proxy.log())  # shown if the test has failed


async def serving(proxy: Proxy) -> int:
    """The process that the proxy gives a request to; 0 if it gives it to none."""
    async with browser() as client:
        answer = await client.get(proxy.url("/where", scheme="http"))
    return int(answer.json()["pid"]) if answer.status_code == 200 else 0


async def test_a_server_that_stops_leaves_the_rotation(kind, redis_server, certificate):
    with balanced(kind, redis_server, certificate, FASTWS_DRAIN_SECONDS=60) as (proxy, stopping, staying):
        async with connect(f"ws://{stopping.address}/ws/stay") as ws:
            await ws.recv()
            stopping.send_signal(signal.SIGTERM)
            assert await ws.closed() == (1012, "service restart;1000")

        async def ready() -> bool:
            async with browser() as client:
                return (await client.get(f"http://{stopping.address}/readyz")).status_code == 200

        assert not await ready()
        # It is there, and refuses. From its first refusal on, every client gets a server that does not.
        async with AsyncExitStack() as stack:
            for _ in range(20):
                ws = await stack.enter_async_context(connect(proxy.url("/ws/where")))
                assert (await ws.recv_json())["pid"] == staying.pid
        if kind == "haproxy":
            await until(lambda: _is_down(proxy), "the check of haproxy")
            assert [await serving(proxy) for _ in range(10)] == 10 * [staying.pid]
        assert stopping.process.poll() is None


async def _is_down(proxy: Proxy) -> bool:
    return "Server fastws/one is DOWN, reason: Layer7 wrong status, code: 503" in proxy.log()


@pytest.mark.faults
@pytest.mark.haproxy
async def test_servers_without_redis_get_nothing_new_and_keep_their_sockets(certificate):
    with RedisServer() as redis, balanced("haproxy", redis, certificate) as (proxy, *_):
        async with connect(proxy.url("/ws/where")) as ws:
            await ws.recv()
            await asyncio.to_thread(redis.stop, signal.SIGKILL)
            await until(lambda: _has_no_server(proxy), "the check of haproxy", limit=3 * LIMIT)
            assert await serving(proxy) == 0
            await ws.send("still here")
            assert await ws.recv() == "still here"
            await asyncio.to_thread(redis.start)
            await until(lambda: serving(proxy), "the return of Redis", limit=3 * LIMIT)


async def _has_no_server(proxy: Proxy) -> bool:
    return "backend 'fastws' has no server available" in proxy.log()


async def test_a_view_that_answers_503_takes_no_server_out(proxy, servers):
    async with browser() as client:
        for _ in range(10):
            answer = await client.get(proxy.url("/unavailable", scheme="http"))
            assert (answer.status_code, int(answer.text) in {server.pid for server in servers}) == (503, True)
    assert await serving(proxy)


async def test_a_rolling_restart_with_sockets_alone_shuts_nobody_out(kind, redis_server, certificate):
    clients = 20
    async with AsyncExitStack() as stack:
        with balanced(kind, redis_server, certificate, FASTWS_DRAIN_SECONDS=1) as (proxy, *servers):

            async def come() -> Any:
                ws = await stack.enter_async_context(connect(proxy.url("/ws/where")))
                await ws.recv()
                return ws

            async def stay() -> None:
                """Be connected, and come back at once when the server stops."""
                nonlocal back
                ws = await come()
                async with asyncio.timeout(9 * LIMIT):
                    while True:
                        arrived.release()
                        await ws.wait_closed()  # the other server stops and starts first, however long that takes
                        assert (ws.close_code, ws.close_reason) == (1012, "service restart;1000")
                        ws = await come()
                        back += 1

            back, arrived = 0, asyncio.Semaphore(0)
            staying = [asyncio.create_task(stay()) for _ in range(clients)]
            for _ in range(clients):
                await arrived.acquire()
            try:
                for server in servers:
                    seen = len(proxy.log())
                    server.send_signal(signal.SIGTERM)
                    assert await asyncio.to_thread(server.process.wait, LIMIT) == 0
                    if kind == "haproxy":  # a server that is back before three checks have failed was never down
                        await until(lambda seen=seen: _says(proxy, seen, "is DOWN"), "the check of haproxy")
                    await asyncio.to_thread(server.start)
                    if kind == "haproxy":
                        await until(lambda seen=seen: _says(proxy, seen, "is UP"), "the check of haproxy")
                # Whoever was refused has failed.
                assert [task.exception() for task in staying if task.done()] == []
                assert back >= clients
            finally:
                for task in staying:
                    task.cancel()
                results = await asyncio.gather(*staying, return_exceptions=True)
        assert [result for result in results if not isinstance(result, asyncio.CancelledError)] == []


async def _says(proxy: Proxy, seen: int, words: str) -> bool:
    return words in proxy.log()[seen:]


class Load:
    """The process of the clients; see ``tests/balancer/load.py``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(self, command: str) -> Any:
        """Have it do something; returns the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n".encode())
        return json.loads(await asyncio.wait_for(self._process.stdout.readline(), 90))


@pytest.fixture
async def load():
    """Start clients of a proxy: ``await load(proxy)``."""
    started = []

    async def start(proxy: Proxy) -> Load:
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
        command = [sys.executable, "-m", "tests.balancer.load", HOST, f"{proxy.port}", "--clients", f"{CLIENTS}"]
        started.append(await asyncio.create_subprocess_exec(*command, cwd=ROOT, **pipes))
        return Load(started[-1])

    yield start
    for process in started:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), LIMIT)
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def visited(proxy: Proxy) -> AsyncIterator[Counter[str]]:
    """Get a page again and again while the block lasts, and count the answers by their status."""
    answers: Counter[str] = Counter()

    async def visit() -> None:
        async with browser() as client:
            while True:
                try:
                    answers[f"{(await client.get(proxy.url('/where', scheme='http'))).status_code}"] += 1
                except httpx2.TransportError as error:
                    answers[type(error).__name__] += 1
                await asyncio.sleep(0.02)

    visiting = asyncio.create_task(visit())
    try:
        yield answers
    finally:
        visiting.cancel()
        await asyncio.wait([visiting])


@pytest.mark.long
@pytest.mark.faults
async def test_a_rolling_restart_loses_nothing_that_was_acknowledged(kind, redis_server, certificate, load):
    with balanced(kind, redis_server, certificate, FASTWS_DRAIN_SECONDS=DRAIN_SECONDS) as (proxy, *servers):
        ask = await load(proxy)
        connected = Counter(await ask("settled"))
        assert sum(connected.values()) == CLIENTS
        assert min(connected.values()) > CLIENTS // 4

        closed = {}
        async with visited(proxy) as answers:
            for server in servers:
                pid = server.pid
                closed[str(pid)] = {"1012": await ask(f"stopping {pid}")}
                server.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(server.process.wait, DRAIN_SECONDS + LIMIT) == 0
                assert "0 applications cancelled" in server.log()
                await asyncio.to_thread(server.start)
                # The next is stopped when this one gets requests again, and everybody is connected.
                await until(lambda pid=server.pid: _serves(proxy, pid), "the new process", limit=3 * LIMIT)
                assert sum((await ask("settled")).values()) == CLIENTS
        report = await ask("finish")
        print(report, answers)  # shown if the test has failed

    # Whoever was connected to a server that stopped has been told so; and nobody else was closed.
    assert {pid: codes for pid, codes in report["closed"].items() if codes} == closed
    assert sum(codes["1012"] for codes in closed.values()) >= CLIENTS
    assert report["connections"] == CLIENTS + sum(codes["1012"] for codes in closed.values())
    # The proxy has found a server for every one of them.
    assert report["refused"] == {}
    assert answers.keys() == {"200"}

    assert report["acknowledged before the first stop"] >= CLIENTS
    assert min(report["owed to the closed"], report["owed to the standing"]) > CLIENTS
    assert report["missing"] == 0
    assert report["disordered"] == 0


async def _serves(proxy: Proxy, pid: int) -> bool:
    return await serving(proxy) == pid
