"""Middleware around the whole application, such as OpenTelemetry's: no server is found, and every close is an end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import check_log, tracebacks
from tests.e2e.test_limits import ENDS, get, is_empty, log_in, until, with_cookie
from tests.site.client import connect, report, token
from tests.support.processes import ASGIServer

pytestmark = pytest.mark.server

KINDS = ["daphne", "uvicorn"]


@pytest.fixture(scope="module")
def shared(site_database) -> Iterator[dict[str, ASGIServer]]:
    running: dict[str, ASGIServer] = {}
    yield running
    for server in running.values():
        server.__exit__()


@pytest.fixture(params=KINDS)
def server(shared, site_database, request) -> Iterator[ASGIServer]:
    if request.param not in shared:
        app = "tests.site.wrapped:application"
        shared[request.param] = ASGIServer(request.param, app=app, environment=site_database.environment).__enter__()
    start = shared[request.param].log_size()
    yield shared[request.param]
    check_log(shared[request.param], start)


def code_of(server: ASGIServer, code: int) -> int:
    """What the client sees of a close code: daphne by itself takes 1000 and 3000 to 4999."""
    return code + 3900 if server.kind == "daphne" and 1000 < code < 3000 else code


@pytest.mark.parametrize("limit", ENDS)
async def test_over_a_limit_the_connection_ends(server, limit):
    name = token()
    async with connect(server, f"/ws/limited/{limit}/{name}") as ws:
        assert await ws.recv() == "ready"
        if limit == "rate":
            for number in range(8):
                await ws.send(str(number))
        elif limit == "size":
            await ws.send("x" * 1001)
        assert (await ws.closed())[0] == code_of(server, ENDS[limit][0])
    assert (await report(server, name))["raised"][0] == ENDS[limit][0]
    await until(lambda: is_empty(server), "that nobody is counted any more")


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013, 1014, 3000, 4999])
async def test_a_handler_closes_with_any_code(server, code):
    name = token()
    async with connect(server, f"/ws/ending/close?code={code}&token={name}") as ws:
        await ws.send("now")
        assert (await ws.closed())[0] == code_of(server, code)
    assert (await report(server, name))["code"] == code  # it is told what it asked for


async def test_a_failed_handler_is_logged_once_and_the_connection_ends(server):
    name, start = token(), server.log_size()
    async with connect(server, f"/ws/ending/error?token={name}") as ws:
        await ws.send("now")
        assert (await ws.closed())[0] == code_of(server, 1011)
    assert tracebacks(server.log(start)) == [f"RuntimeError: on purpose: {name}"]


async def test_bad_json_ends_the_connection(server):
    async with connect(server, "/ws/take-json") as ws:
        await ws.send("{")
        assert (await ws.closed())[0] == code_of(server, 1007)


@pytest.mark.parametrize(("how", "code"), [("error", 1011), ("close", 1013), ("stop", 1000)])
async def test_a_consumer_that_ends_ends_its_connection(server, how, code):
    async with connect(server, f"/ws/limited/consumer/fails/{how}") as ws:
        await ws.send(token())
        assert (await ws.closed())[0] == code_of(server, code)


async def test_who_is_disconnected_is_closed(server):
    pk, cookie = await log_in(server, "eve")
    for code in (4404, 1008):
        name = token()
        async with connect(server, f"/ws/limited/user/{name}", **with_cookie(cookie)) as ws:
            assert await ws.recv() == "ready"
            await get(server, f"/kick/?pk={pk}&code={code}")
            assert (await ws.closed())[0] == code_of(server, code)
        assert (await report(server, name))["raised"][0] == code
