"""Many routes in one process: each in a task of its own, and what is logged and told of them."""

from __future__ import annotations

import asyncio
import gc
import logging
import time

import pytest

from tests.clients.handlers import by_async_for, once

from .conftest import run, running
from .peers import PATIENCE, closing, listen, silence, soon


async def test_the_log_tells_the_story_of_a_run(app, peer, log):
    server = await peer()
    app.ws(server.url)(once)
    assert await run(app)
    assert log.lines[:-1] == [
        "FastWS started",
        "Running 1 routes",
        "WebSocket connections: 1",
        f"WebSocket connecting: {server.url}",
        f"✔ WebSocket connected: {server.url}",
        f"WebSocket closed: {server.url} (1000)",
    ]
    assert log.lines[-1].startswith("Done in ")
    assert log.lines[-1].endswith("s")
    assert float(log.lines[-1].split()[2][:-1]) < 60
    assert {(record.name, record.levelno) for record in log.records} == {("django_fastws.clients", logging.INFO)}


async def test_a_failure_is_told_once_as_a_warning_and_once_for_its_route_as_an_error(app, peer, log):
    server = await peer(refuse=[(404, {})])
    app.ws(server.url, name="feed")(once)
    assert not await run(app)
    assert [(record.levelname, record.getMessage()) for record in log.records if record.levelno > logging.INFO] == [
        ("WARNING", f"WebSocket not connected: {server.url} (the server answered 404 Not Found)"),
        ("ERROR", "Route feed has failed: the server answered 404 Not Found"),
    ]


async def test_without_routes_there_is_nothing_to_do(app, log):
    assert await run(app)
    assert log.starting("Running 0 routes")


async def test_two_hundred_routes_at_once(app, peer):
    server = await peer(closing(*[None] * 1000))
    got = []

    for number in range(200):

        @app.ws(f"{server.url}/{number}", name=f"feed {number}")
        async def feed(ws):
            got.append((await ws.recv()).text)
            await by_async_for(ws)

    async with running(app) as it:
        await soon(lambda: len(got) == 200)
        assert len(server.open_visits) == 200
        it.stop()
        assert await it.ended()
    visits = [await visit.ended() for visit in server.visits]
    assert sorted(visit.path for visit in visits) == sorted(f"/{number}" for number in range(200))
    assert {visit.close_code for visit in visits} == {1001}


async def test_a_flood_does_not_starve_another_route(app, peer):
    received = [0]

    async def flood(ws, visit):
        while True:
            await ws.send(b"x" * 1000)

    flooding, calm = await peer(flood, compression=None), await peer()
    slowest = []

    @app.ws(flooding.url)
    async def drink(ws):
        async for _ in ws:
            received[0] += 1

    @app.ws(calm.url)
    async def talk(ws):
        await soon(lambda: received[0] > 100)
        for _ in range(20):
            started = time.monotonic()
            await ws.send("ping")
            await asyncio.wait_for(ws.recv(), PATIENCE)
            slowest.append(time.monotonic() - started)

    async with running(app):
        await soon(lambda: len(slowest) == 20)
    assert received[0] > 100
    assert sorted(slowest)[10] < 5  # half of them are far quicker than that also on a busy machine


async def test_a_route_that_sleeps_blocks_no_other(app, peer):
    server = await peer()
    got = []

    @app.ws(server.url, name="sleeper")
    async def sleeper(ws):
        await asyncio.sleep(3600)

    @app.ws(server.url, name="talker")
    async def talker(ws):
        await ws.send("hello")
        got.append(await ws.recv_str())

    async with running(app, drain_seconds=0.1):
        await soon(lambda: got)
    assert got == ["hello"]


async def test_a_route_that_cannot_connect_blocks_no_other(app, peer, raw_peer):
    server, dead = await peer(), await raw_peer(silence)
    app.ws(dead.url, open_timeout=3600)(once)

    @app.ws(server.url)
    async def talker(ws):
        await ws.send("hello")
        await ws.recv()

    async with running(app):
        await soon(lambda: server.visits and server.visits[0].closed)


@pytest.mark.parametrize(
    "error", [ValueError("x"), SyntaxError("x"), MemoryError(), StopIteration(), RecursionError()]
)
async def test_any_error_of_one_route_is_no_error_of_another(app, peer, error):
    server = await peer()
    got = []

    @app.ws(server.url, name="broken")
    async def broken(ws):
        raise error

    @app.ws(server.url, name="talker")
    async def talker(ws):
        await soon(lambda: any(visit.close_code == 1011 for visit in server.visits))
        await ws.send("hello")
        got.append(await ws.recv_str())

    assert not await run(app)
    assert got == ["hello"]


# The table of SIGUSR1


def table(supervisor):
    """The status table: a dict for each route, by the titles."""
    titles, *rows = supervisor.status().split("\n")
    columns, end = [], 0
    for title in ("ROUTE", "STATE", "ATTEMPT", "CONNECTED SINCE", "IN", "OUT", "URL", "LAST ERROR"):
        columns.append((title, titles.index(title, end)))
        end = columns[-1][1] + len(title)
    ends = [start for _, start in columns[1:]] + [None]
    return {
        row[: columns[1][1]].strip(): {
            title: row[start:end].strip() for (title, start), end in zip(columns, ends, strict=True)
        }
        for row in rows
    }


async def test_the_table_of_routes(app, peer, settings):
    settings.FASTWS_CLIENT_BACKOFF_BASE = settings.FASTWS_CLIENT_BACKOFF_CAP = 3600
    server = await peer()
    down = await peer(refuse=[(503, {})])

    @app.ws(f"{server.url}/feed?token=opensesame", name="talker")
    async def talker(ws):
        for _ in range(3):
            await ws.send("hello")
        await ws.recv()
        await ws.recv()
        await by_async_for(ws)

    app.ws(down.url, name="waiting", reconnect=True, max_retries=-1)(once)
    app.ws(server.url, name="finished")(once)

    @app.ws(server.url, name="broken")
    async def broken(ws):
        raise ValueError("one\ntwo")

    before = time.time()
    async with running(app) as it:
        await soon(lambda: len(server.visits) == 3 and len(server.open_visits) == 1)
        await soon(lambda: table(it.supervisor)["talker"]["IN"] == "3" and "waiting" in it.supervisor.status())
        await soon(lambda: table(it.supervisor)["waiting"]["ATTEMPT"] == "1")
        await soon(lambda: table(it.supervisor)["finished"]["STATE"] == "done")
        await soon(lambda: table(it.supervisor)["broken"]["STATE"] == "failed")
        rows = table(it.supervisor)
    since = time.mktime(time.strptime(rows["talker"].pop("CONNECTED SINCE"), "%Y-%m-%d %H:%M:%S"))
    assert before - 2 <= since <= time.time()
    assert rows["talker"] == {
        "ROUTE": "talker",
        "STATE": "connected",
        "ATTEMPT": "0",
        "IN": "3",
        "OUT": "3",
        "URL": f"{server.url}/feed?***",
        "LAST ERROR": "",
    }
    assert (rows["waiting"]["STATE"], rows["waiting"]["CONNECTED SINCE"]) == ("waiting", "")
    assert rows["waiting"]["LAST ERROR"] == "the server answered 503 Service Unavailable"
    assert (rows["finished"]["IN"], rows["finished"]["OUT"], rows["finished"]["LAST ERROR"]) == ("1", "1", "")
    assert rows["broken"]["LAST ERROR"] == "1011 internal error: ValueError: one\\ntwo"


async def test_the_table_counts_over_all_connections(app, peer):
    server = await peer(closing(1000, 1000))
    app.ws(server.url, name="feed", reconnect=True, max_retries=-1)(by_async_for)
    async with running(app) as it:
        await soon(lambda: len(server.visits) == 3 and table(it.supervisor)["feed"]["IN"] == "3")
        row = table(it.supervisor)["feed"]
    assert (row["STATE"], row["ATTEMPT"], row["LAST ERROR"]) == ("connected", "2", "1000")


async def test_the_table_is_there_before_the_routes_and_after_them(app, peer):
    server = await peer()
    app.ws(lambda: server.url, name="feed")(once)
    async with running(app) as it:
        assert it.supervisor.status().startswith("ROUTE")
        await it.ended()
        assert table(it.supervisor)["feed"]["STATE"] == "done"


# Secrets


async def leaky(ws):
    """Fails with a text that holds the URL."""
    raise ValueError(f"bad message from {ws.url}")


@pytest.mark.parametrize("is_callable", [False, True])
@pytest.mark.parametrize(
    "case", ["connected", "refused", "not listening", "redirected away", "closed", "cut", "no host", "stopped"]
)
async def test_no_query_string_and_no_password_is_logged(app, peer, caplog, case, is_callable):
    caplog.set_level(logging.DEBUG)  # of every logger, but that of the server at the other end
    refuse = {
        "refused": [(401, {})],
        "redirected away": [(302, {"Location": "http://elsewhere.invalid/?token=opensesame"})],
    }
    server = await peer(closing(4000, 4000) if case == "closed" else listen, refuse=refuse.get(case, ()))
    if case == "not listening":
        await server.stop()
    url = server.url.replace("//", "//ada:opensesame@") + "/feed?token=opensesame"
    if case == "no host":
        url = "ws://ada:opensesame@no-such-host.invalid/feed?token=opensesame"

    @app.ws((lambda: url) if is_callable else url, reconnect=True, max_retries=1)
    async def feed(ws):
        if case == "cut":
            server.visits[-1].connection.transport.abort()
        if case in ("closed", "cut", "stopped"):
            await by_async_for(ws)

    async with running(app) as it:
        if case == "stopped":
            await server.visit()
        else:
            await it.ended()
        status = it.supervisor.status()
    lines = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    assert [line for line in lines if "/feed?***" in line]
    assert not [line for line in lines if "opensesame" in line]
    assert "opensesame" not in status
    assert "opensesame" not in repr(app)


async def test_the_reason_of_a_failure_that_repeats_the_url_is_masked(app, peer, log):
    server = await peer()
    app.ws(f"{server.url}/feed?token=opensesame", name="feed")(leaky)
    assert not await run(app)
    reason = f"1011 internal error: ValueError: bad message from {server.url}/feed?***"
    assert log.endings == [reason]
    assert log.starting("Route ") == [f"Route feed has failed: {reason}"]


# What is left behind


async def test_nothing_is_left_running_after_a_run(app, peer):
    server = await peer(closing(1000, 1001))
    before = asyncio.all_tasks()
    app.ws(server.url, reconnect=True, max_retries=3)(by_async_for)
    async with running(app):
        await soon(lambda: len(server.visits) == 3)
    await soon(lambda: not server.open_visits)
    gc.collect()
    left = [task for task in asyncio.all_tasks() - before if "django_fastws" in repr(task)]
    assert left == []


async def test_a_route_is_restarted_while_others_go_on(app, peer):
    server = await peer(closing(*[None] * 100))
    for name in ("feed", "other"):
        app.ws(f"{server.url}/{name}", name=name)(by_async_for)
    async with running(app) as it:
        await soon(lambda: {row.state for row in it.supervisor.rows()} == {"connected"})
        before = {row.route: row for row in it.supervisor.rows()}
        assert it.supervisor.restart("feed")
        assert not it.supervisor.restart("nothing")
        await soon(lambda: len(server.visits) == 3 and len(server.open_visits) == 2)
        first, _ = [visit for visit in server.visits if visit.path == "/feed"]
        assert (await first.ended()).close_code == 1001
        await soon(lambda: {row.state for row in it.supervisor.rows()} == {"connected"})
        after = {row.route: row for row in it.supervisor.rows()}
        assert after["other"].since == before["other"].since
        it.stop()
        assert await it.ended()
    assert not it.supervisor.restart("feed")


async def test_a_route_that_has_failed_runs_again_when_it_is_restarted(app, peer):
    server = await peer(closing(*[None] * 100), refuse=[(404, {})])
    app.ws(f"{server.url}/feed", name="feed")(by_async_for)
    app.ws((await peer(closing(*[None] * 10))).url, name="other")(by_async_for)
    async with running(app) as it:
        await soon(lambda: [row.state for row in it.supervisor.rows() if row.route == "feed"] == ["failed"])
        (failed,) = [row for row in it.supervisor.rows() if row.route == "feed"]
        assert "404" in failed.last_error
        assert it.supervisor.restart("feed")
        await soon(lambda: [row.state for row in it.supervisor.rows() if row.route == "feed"] == ["connected"])
        it.stop()
        assert await it.ended()


async def test_a_handler_that_ignores_its_restart_is_cancelled_after_the_drain_time(app, peer):
    server = await peer(closing(*[None] * 100))
    began, cancelled = asyncio.Event(), asyncio.Event()

    @app.ws(server.url, name="feed")
    async def feed(ws):
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with running(app, drain_seconds=0.2) as it:
        await asyncio.wait_for(began.wait(), PATIENCE)
        assert it.supervisor.restart("feed")
        await asyncio.wait_for(cancelled.wait(), PATIENCE)
        await soon(lambda: len(server.visits) == 2)
