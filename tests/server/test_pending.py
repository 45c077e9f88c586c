"""Requests that come in slowly, in whatever form: each costs its time, and holds no connection for ever."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.conftest import check_log
from tests.server.client import Connection, fetch
from tests.site.client import LIMIT, until
from tests.support.processes import ASGIServer

pytestmark = pytest.mark.server

PLAIN = "tests.server.plain:application"


@pytest.fixture(scope="module")
def strict():
    """A server that gives a request one second, and an address 20 connections without one."""
    settings = {"FASTWS_REQUEST_TIMEOUT": 1, "FASTWS_MAX_PENDING_PER_ADDRESS": 20}
    with ASGIServer("runws_server", app=PLAIN, settings=settings) as server:
        yield server
        check_log(server)


async def drip(client: Connection, start: bytes, drop: bytes) -> tuple[float, bytes]:
    """Send something, and then a drop every tenth of a second; returns when it ended, and what was answered."""
    began = time.monotonic()
    await client.write(start)
    reading = asyncio.create_task(client.reader.read())
    async with asyncio.timeout(LIMIT):
        while not reading.done():
            await asyncio.wait([reading], timeout=0.1)
            with contextlib.suppress(ConnectionError):
                await client.write(drop)
    try:
        answer = await reading
    except ConnectionError:
        answer = b""
    return time.monotonic() - began, answer


POST = b"POST /upload/ HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"G", b"E"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: 1\r\n"),
        (b"\r\n", b""),
        (POST + b"Content-Length: 1000\r\n\r\n", b"x"),
        (POST + b"Content-Length: 1000\r\n\r\n", b""),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5;", b"extension"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: 1\r\n"),
    ],
    ids=["line", "headers", "empty", "bytes", "nothing", "chunks", "extension", "trailers"],
)
async def test_what_comes_slowly_is_answered_408_and_closed(strict, start, drop):
    async with Connection(strict) as client:
        seconds, answer = await drip(client, start, drop)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert 1 <= seconds < 15


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"GET / HTTP/1.1\r\n", b"no request\r\n"])
async def test_who_stays_after_the_answer_is_closed_and_forgotten(strict, sent):
    async with Connection(strict) as client:
        await client.write(sent)
        status, _ = await client.answer()
        assert status in (400, 408)
        await asyncio.sleep(2.5)  # in which the server has forgotten the request
    await fetch(strict, "/scope/")


async def test_who_sends_nothing_is_closed_without_a_word(strict):
    async with Connection(strict) as client:
        assert await client.is_closed()


async def test_a_stall_in_the_middle_is_no_better_however_fast_it_began(strict):
    async with Connection(strict) as client:
        start = POST + b"Content-Length: 10000000\r\n\r\n" + b"x" * 5_000_000
        _, answer = await drip(client, start, b"x")
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")


async def test_a_large_and_slow_upload_that_keeps_the_pace_is_taken(strict):
    async with Connection(strict) as client:
        await client.head("/upload/", "Content-Length: 40000")
        for _ in range(20):  # 20 kB/s, for two seconds
            await client.write(b"x" * 2_000)
            await asyncio.sleep(0.1)
        assert (await client.facts())["bytes"] == 40_000


async def test_a_connection_may_be_idle_between_two_requests(strict):
    async with Connection(strict) as client:
        for _ in range(2):
            await client.head("/upload/", "Content-Length: 1")
            await client.write(b"x")
            assert (await client.facts())["bytes"] == 1
            await asyncio.sleep(1.5)


async def test_an_application_may_take_longer_than_the_request(strict):
    async with Connection(strict) as client:
        await client.head("/wait/slow", method="GET")
        await asyncio.sleep(1.5)
        await fetch(strict, "/go/slow")
        assert (await client.answer()) == (200, b'{"waited": true}')


@pytest.mark.parametrize(
    "piece", [b"1;" + b"a" * 1000 + b"\r\nx\r\n", b"5;" + b"a" * 1100], ids=["many", "one that is long"]
)
async def test_extensions_of_chunks_are_bounded(strict, piece):
    async with Connection(strict) as client:
        await client.write(POST + b"Transfer-Encoding: chunked\r\n\r\n" + piece * 100)
        async with asyncio.timeout(LIMIT):
            assert (await client.reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")


async def test_small_chunks_are_taken(strict):
    async with Connection(strict) as client:
        await client.write(POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n")
        assert (await client.facts())["bytes"] == 50_000


@pytest.mark.parametrize(
    "more",
    [
        b"X-Small: 1\r\n" * 600,
        b"X-Large: " + b"x" * 20_000 + b"\r\n",
        b"X-Folded: 1\r\n" + b" x\r\n" * 20_000,
        b"X-Folded: 1\r\n" + b" " + b"x" * 20_000,
    ],
    ids=["headers", "value", "folds", "line"],
)
async def test_heads_are_bounded(strict, more):
    async with Connection(strict) as client:
        await client.write(b"GET /scope/ HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n")
        async with asyncio.timeout(LIMIT):
            answer = await client.reader.read()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")


async def test_trailers_are_bounded(strict):
    async with Connection(strict) as client:
        await client.write(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-Trailer: 1\r\n" * 10_000)
        async with asyncio.timeout(LIMIT):
            assert (await client.reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")


# How many


async def hold(stack: contextlib.AsyncExitStack, server: ASGIServer, count: int) -> list[Connection]:
    clients = [await stack.enter_async_context(Connection(server)) for _ in range(count)]
    for client in clients:
        with contextlib.suppress(ConnectionError):
            await client.write(b"GET /scope/ HTTP/1.1\r\n")
    return clients


async def test_of_connections_without_a_request_an_address_has_so_many_and_the_oldest_goes(serve_plain):
    server = serve_plain(settings={"FASTWS_MAX_PENDING_PER_ADDRESS": 20})
    async with contextlib.AsyncExitStack() as stack:
        clients = await hold(stack, server, 30)
        for client in clients[:10]:
            assert await client.is_closed()
        assert (await fetch(server, "/scope/")).status == 200  # others come through; it takes one more place
        await clients[-1].write(b"Host: x\r\n\r\n")
        async with asyncio.timeout(LIMIT):
            assert (await clients[-1].reader.readline()).startswith(b"HTTP/1.1 ")
    log = server.log()
    assert log.count("wait with an incomplete request: closing the oldest (FASTWS_MAX_PENDING_PER_ADDRESS)") == 1


async def test_behind_proxies_one_address_stands_for_everybody(serve_plain):
    server = serve_plain("--forwarded-hops", "1", settings={"FASTWS_MAX_PENDING_PER_ADDRESS": 2})
    async with contextlib.AsyncExitStack() as stack:
        clients = await hold(stack, server, 20)

        async def is_served() -> bool:
            return (await fetch(server, "/scope/")).status == 200

        await until(is_served)
        for client in clients:
            await client.write(b"Host: x\r\n\r\n")
            async with asyncio.timeout(LIMIT):
                assert (await client.reader.readline()).startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("start", [b"GET /scope/ HTTP/1.1\r\nHo", POST + b"Content-Length: 1000\r\n\r\nx"])
async def test_what_is_pipelined_and_never_completed_is_answered_408(strict, start):
    async with Connection(strict) as client:
        await client.write(b"GET /scope/ HTTP/1.1\r\nHost: x\r\n\r\n" + start)
        assert (await client.answer())[0] == 200
        assert (await client.answer())[0] == 408
        assert await client.is_closed()
