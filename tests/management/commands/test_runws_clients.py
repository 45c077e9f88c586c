"""manage.py runws_clients, in a process of its own, as users and process managers run it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sqlite3
import time
import urllib.request
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError

from django_fastws import FastWS, RouteError
from django_fastws.routing.routes import Problem
from tests.clients.peers import closing, echo, listen, silence, soon
from tests.clients.web import Web
from tests.support.processes import free_port

STOPS = [signal.SIGINT, signal.SIGTERM]

SELECTABLE = """
@app.ws(f"{URL}/quotes?token=opensesame", tags=["market", "slow"])
async def quotes(ws):
    pass

@app.ws(f"{URL}/trades", tags=["market"], name="deals")
async def trades(ws):
    pass

@app.ws(f"{URL}/news", tags=["press"])
async def news(ws):
    pass

@app.get("http://127.0.0.1:1/health", tags=["status"])
async def health(resp):
    pass
"""


@pytest.mark.slow
async def test_tag_and_route_select_what_runs(project, peer):
    server = await peer()
    project.consumers(SELECTABLE, URL=server.url)
    status, output = await project.run("--tag", "slow", "--tag", "press", "--route", "feeds.consumers.quotes")
    assert status == 0
    assert "Running 1 routes" in output
    assert [path for _, path in server.asked] == ["/quotes?token=opensesame"]
    assert "opensesame" not in output


@pytest.mark.slow
async def test_the_exit_status_is_1_when_a_route_has_failed_and_the_others_go_on(project, peer):
    """And the ✔ of the log is no obstacle where the terminal knows only ASCII."""
    server = await peer(closing(None))
    project.consumers(
        """
        @app.ws(URL, reconnect=True, max_retries=-1)
        async def broken(ws):
            raise ValueError("no price")

        @app.ws(URL)
        async def good(ws):
            async for message in ws:
                await asyncio.sleep(0.1)
                print("good", message)
                return
        """,
        URL=server.url,
    )
    status, output = await project.run(environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"})
    assert status == 1
    assert "ValueError: no price" in output
    assert output.count("Traceback") == 1
    assert "good hello" in output
    assert "WebSocket connected" in output


# What needs no process of its own


@pytest.fixture
def selectable(app):
    """The routes of SELECTABLE, in this process."""

    async def quotes(ws): ...

    async def trades(ws): ...

    async def health(resp): ...

    for function in (quotes, trades, health):
        function.__qualname__ = function.__name__
    app.ws("ws://127.0.0.1:1/quotes?token=opensesame", tags=["market", "slow"])(quotes)
    app.ws("ws://127.0.0.1:1/trades", tags=["market"], name="deals")(trades)
    app.get("http://127.0.0.1:1/health", tags=["status"])(health)


def command(*arguments, **options):
    """Call the command; returns what it wrote."""
    output = StringIO()
    call_command("runws_clients", *arguments, stdout=output, **options)
    return output.getvalue()


@pytest.mark.usefixtures("selectable")
@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            [],
            [
                f"WS   {__name__}.quotes  ws://127.0.0.1:1/quotes?***  market, slow",
                f"WS   {'deals':{len(__name__) + 7}}  ws://127.0.0.1:1/trades      market",
                f"GET  {__name__}.health  http://127.0.0.1:1/health    status",
            ],
        ),
        (["--tag", "slow"], [f"WS  {__name__}.quotes  ws://127.0.0.1:1/quotes?***  market, slow"]),
        (["--route", "deals"], ["WS  deals  ws://127.0.0.1:1/trades  market"]),
        (["--tag", "status", "--route", "deals"], []),
    ],
)
def test_list_shows_what_is_selected_and_runs_nothing(arguments, lines):
    assert command("--list", *arguments).splitlines() == lines


@pytest.mark.usefixtures("selectable")
def test_list_shows_every_route_in_exactly_one_shard():
    shards = [command("--list", "--shard", f"{number}/3").splitlines() for number in (1, 2, 3)]
    assert len([line for shard in shards for line in shard]) == 3


@pytest.mark.usefixtures("selectable")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tag", "markt"], "No outbound route has the tag 'markt'. There are: market, slow, status."),
        (["--list", "--tag", "markt"], "No outbound route has the tag 'markt'"),
        (
            ["--route", "trades"],
            f"No outbound route has the route 'trades'. There are: deals, {__name__}.health, {__name__}.quotes.",
        ),
        (["--shard", "3/2"], "--shard 3/2 is not I/N with I from 1 to N, such as 2/3"),
        (["--tag", "status", "--route", "deals"], "There is no outbound route to run."),
        (["--drain-seconds", "-1"], "--drain-seconds takes a number of seconds from 0"),
        (["--drain-seconds", "nan"], "--drain-seconds takes a number of seconds from 0"),
        (["--drain-seconds", "inf"], "--drain-seconds takes a number of seconds from 0"),
        (["--drain-seconds", "long"], "invalid float value"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_why(arguments, words):
    with pytest.raises(CommandError) as refusal:
        command(*arguments)
    assert words in str(refusal.value)
    assert refusal.value.returncode == 1


def test_a_project_without_routes_has_nothing_to_list_and_nothing_to_run(app):
    assert command("--list") == ""
    with pytest.raises(CommandError, match=r"There is no outbound route to run\. Declare one with @app\.ws or"):
        command()


def test_system_checks_stop_a_lease_without_redis_and_warn_of_reconnect_without_retries(app, capsys):
    async def feed(ws): ...

    app.ws("ws://127.0.0.1:1", name="one", lease=True)(feed)
    app.ws("ws://127.0.0.1:1", name="two", reconnect=True)(feed)
    with pytest.raises(SystemCheckError) as refusal:
        command(skip_checks=False)
    assert "(fastws.E031)" in str(refusal.value)
    assert "(fastws.W030)" in str(refusal.value)


def test_a_mistake_in_a_route_is_an_error_of_the_command(routes):
    app = FastWS()
    with pytest.raises(RouteError) as mistake:
        app.ws("ws://127.0.0.1:1")(lambda ws: None)
    routes.problems.append(Problem("feeds.consumers", mistake.value))
    with pytest.raises(CommandError, match=r"feeds\.consumers: .* is not async"):
        command()


# Signals

READERS = """
import pathlib
import signal
import socket

def note(text):
    with open("notes", "a") as file:
        file.write(text + "\\n")

@app.ws(URL, name="reader", reconnect=True, max_retries=-1)
async def reader(ws):
    try:
        await ws.send("begun")
        async for message in ws:
            pass
        note(f"reader saw {ws.close_code}")
    finally:
        note("reader finally")

@app.ws(URL, name="sleeper", reconnect=True, max_retries=-1)
async def sleeper(ws):
    try:
        await ws.send("begun")
        await asyncio.sleep(3600)
    finally:
        note("sleeper finally")

@app.ws(DOWN, name="down", reconnect=True, max_retries=-1)
async def down(ws):
    note("never")

@app.ws(DEAF, name="deaf", open_timeout=3600)
async def deaf(ws):
    note("never")
"""


@pytest.mark.slow
@pytest.mark.parametrize("signum", STOPS)
async def test_a_signal_stops_in_order(project, peer, raw_peer, signum):
    server, down, deaf = await peer(listen), await peer(), await raw_peer(silence)
    await down.stop()
    project.settings(FASTWS_CLIENT_BACKOFF_BASE=3600, FASTWS_CLIENT_BACKOFF_CAP=3600)
    project.consumers(READERS, URL=server.url, DOWN=down.url, DEAF=deaf.url)
    command = await project.start("--drain-seconds", "0.8")
    await soon(lambda: sum(len(visit.received) for visit in server.visits) == 2 and deaf.count)
    await command.line("connecting again")

    command.send(signal.SIGUSR1)
    await command.line("Routes:")
    titles = await command.line("ROUTE  ")
    rows = {name: (await command.line(f"{name}  ")).split() for name in ("reader", "down", "deaf")}
    assert titles.split() == ["ROUTE", "STATE", "ATTEMPT", "CONNECTED", "SINCE", "IN", "OUT", "URL", "LAST", "ERROR"]
    assert rows["reader"][:3] == ["reader", "connected", "0"]
    assert rows["reader"][5:] == ["0", "1", server.url]
    assert rows["down"][:6] == ["down", "waiting", "1", "0", "0", down.url]
    assert rows["deaf"] == ["deaf", "connecting", "0", "0", "0", deaf.url]

    started = time.monotonic()
    assert await command.stop(signum) == 0
    assert time.monotonic() - started < 20
    assert [(await visit.ended()).close_code for visit in server.visits] == [1001, 1001]
    assert [visit.close_reason for visit in server.visits] == ["going away"] * 2
    assert sorted(project.read("notes").splitlines()) == ["reader finally", "reader saw 1001", "sleeper finally"]
    assert (len(server.asked), deaf.count) == (2, 1)
    assert command.output.count("WebSocket closed: ") == 2
    assert "Done in " in command.lines[-1]
    assert "Traceback" not in command.output
    assert "\x1b" not in command.output


@pytest.mark.slow
async def test_a_second_signal_ends_at_once(project, peer):
    server = await peer()
    project.consumers(
        """
        @app.ws(URL)
        async def stubborn(ws):
            await ws.send("begun")
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    pass
        """,
        URL=server.url,
    )
    command = await project.start("--drain-seconds", "3600")
    await soon(lambda: server.visits and server.visits[0].received)
    command.send(signal.SIGTERM)
    assert (await server.visits[0].ended()).close_code == 1001
    await asyncio.sleep(1.1)  # what comes within a second may be a supervisor's, of the same stop
    command.send(signal.SIGINT)
    assert await command.ended() == -signal.SIGINT


@pytest.mark.slow
async def test_what_does_not_end_within_the_drain_time_is_left_behind(project, peer):
    """A handler that swallows its cancellation, a thread that is busy for an hour: systemd would have to kill it."""
    server = await peer()
    project.consumers(
        """
        import time
        from asgiref.sync import sync_to_async

        @app.ws(URL, name="stubborn")
        async def stubborn(ws):
            await ws.send("begun")
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    pass

        @app.ws(URL, name="busy")
        async def busy(ws):
            await ws.send("begun")
            await sync_to_async(time.sleep)(3600)
        """,
        URL=server.url,
    )
    command = await project.start("--drain-seconds", "0.2")
    await soon(lambda: sum(len(visit.received) for visit in server.visits) == 2)
    assert await command.stop() == 0
    assert [(await visit.ended()).close_code for visit in server.visits] == [1001, 1001]
    assert "1 handlers ignore their cancellation" in command.output
    assert "Some code did not end within the drain time" in command.output


@pytest.mark.slow
async def test_sync_code_that_blocks_the_loop_does_not_keep_signals_away(project, peer):
    server = await peer()
    project.consumers(
        """
        import time

        @app.ws(URL)
        async def blocking(ws):
            await ws.send("begun")
            time.sleep(3600)
        """,
        URL=server.url,
    )
    command = await project.start()
    await soon(lambda: server.visits and server.visits[0].received)
    command.send(signal.SIGTERM)
    await asyncio.sleep(3)  # what comes within a second of the first, which may come late, is the same stop
    command.send(signal.SIGTERM)
    assert await command.ended() == -signal.SIGTERM


# Output


@pytest.mark.slow
async def test_the_projects_logging_wins(project, peer):
    server = await peer()
    project.settings(
        """
        LOGGING = {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"mine": {"format": "MINE {name} {levelname} {message}", "style": "{"}},
            "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "mine"}},
            "loggers": {"django_fastws": {"handlers": ["out"], "level": "INFO"}},
        }
        """
    )
    project.consumers(
        """
        @app.ws(URL)
        async def feed(ws): ...
        """,
        URL=server.url,
    )
    status, output = await project.run()
    assert status == 0
    assert {line.split()[0] for line in output.splitlines()} == {"MINE"}
    assert f"MINE django_fastws.clients INFO ✔ WebSocket connected: {server.url}" in output


# Django in handlers

TICKS = """
from asgiref.sync import sync_to_async
from django.db import connection

from feeds.models import Tick

def connections():
    # How many files of the database this process has open: one for each connection.
    import os
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").endswith("db.sqlite3")
        except OSError:
            pass
    return count
"""


@pytest.fixture
def ticks(project):
    """The project, with a model and its table; a function that reads the table."""
    project.write(
        "feeds/models.py",
        """
        from django.db import models

        class Tick(models.Model):
            text = models.CharField(max_length=100)

            class Meta:
                app_label = "feeds"
        """,
    )
    path = project.directory / "db.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE feeds_tick (id integer PRIMARY KEY AUTOINCREMENT, text varchar(100))")
    database.close()

    def read():
        database = sqlite3.connect(path)
        try:
            return sorted(text for (text,) in database.execute("SELECT text FROM feeds_tick"))
        finally:
            database.close()

    return read


@pytest.mark.slow
async def test_handlers_use_the_orm(project, ticks, peer):
    async with Web() as web:
        server = await peer(closing(None))
        project.settings(DEFAULT_AUTO_FIELD="django.db.models.AutoField")
        project.consumers(
            TICKS
            + """
def url():
    return f"{URL}/{Tick.objects.count()}"

def save(text):
    Tick.objects.create(text=text)

@app.get(HTTP)
async def status(resp):
    await Tick.objects.acreate(text="request")

@app.ws(url)
async def asynchronous(ws):
    await ws.recv()
    await Tick.objects.acreate(text="async")

@app.ws(URL)
async def sync(ws):
    await ws.recv()
    await sync_to_async(save)("sync")
""",
            URL=server.url,
            HTTP=web.url,
        )
        status, output = await project.run()
    assert (status, ticks()) == (0, ["async", "request", "sync"])
    assert sorted(path for _, path in server.asked) == ["/", "/1"]
    assert "ResourceWarning" not in output


@pytest.mark.slow
async def test_old_connections_of_the_database_are_closed_also_while_a_thread_is_busy(project, ticks, peer):
    server = await peer(echo)
    project.settings(
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3", "CONN_MAX_AGE": 0}},
    )
    project.consumers(
        TICKS
        + """
import threading

free = threading.Event()

def keep_busy():
    Tick.objects.count()
    free.wait(60)
    connection.close()

@app.ws(URL, name="busy")
async def busy(ws):
    await sync_to_async(keep_busy)()

@app.ws(URL, name="feed")
async def feed(ws):
    try:
        while connections() != 1:
            await asyncio.sleep(0.02)
        for _ in range(2):
            await Tick.objects.acreate(text="used")
            await ws.send(f"open: {connections()}")
            deadline = asyncio.get_running_loop().time() + 15
            while connections() > 1 and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.02)
            await ws.send(f"then: {connections()}")
    finally:
        free.set()
""",
        URL=server.url,
    )
    status, output = await project.run()
    assert status == 0, output
    assert [visit.received for visit in server.visits if visit.received] == [["open: 2", "then: 1"] * 2]
    assert ticks() == ["used", "used"]


# Starting anew when code changes

RELOADED = """
@app.ws(URL, name="feed", reconnect=True, max_retries=-1)
async def feed(ws):
    await ws.send(VERSION)
    async for message in ws:
        pass
"""


def rewrites(write):
    """Writes a file again and again, each time a second newer: the reloader may not have seen the one before."""
    newer = itertools.count(1)

    def rewrite():
        path, now = write(), time.time() + next(newer)
        os.utime(path, (now, now))

    return rewrite


@pytest.mark.long
@pytest.mark.slow
async def test_reload_starts_anew_on_a_change_and_peers_see_1001(project, peer):
    server = await peer(listen)

    def write(text, **values):
        return rewrites(lambda: project.consumers(text, URL=server.url, **values))

    async def until(rewrite, is_noticed):
        while not is_noticed():
            rewrite()
            with contextlib.suppress(AssertionError):
                await soon(is_noticed, timeout=0.5)

    def has_begun(version):
        return lambda: any(visit.received == [version] for visit in server.visits)

    write(RELOADED, VERSION="one")()
    command = await project.start("--reload")
    await soon(has_begun("one"))
    await until(write(RELOADED, VERSION="two"), lambda: command.output.count("has changed, starting anew") == 1)
    await soon(has_begun("two"))

    # A mistake ends the child; the next change starts it again, as runserver does.
    await until(write("app = ("), lambda: "SyntaxError" in command.output)
    await command.line("Waiting for a change")
    await until(write(RELOADED, VERSION="three"), has_begun("three"))

    assert await command.stop(signal.SIGTERM) == 0
    assert {(await visit.ended()).close_code for visit in server.visits} == {1001}


# Metrics

LISTENING = """
@app.ws(f"{URL}/trades", name="deals")
async def trades(ws):
    async for _ in ws:
        pass
"""


@pytest.mark.slow
async def test_prometheus_is_answered_at_a_port_of_its_own(project, peer):
    server, port = await peer(listen), free_port()
    project.consumers(LISTENING, URL=server.url)
    process = await project.start("--metrics-port", str(port))
    await process.line(f"Metrics: http://127.0.0.1:{port}/metrics")
    await process.line("✔ WebSocket connected")

    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            return answer.read().decode()

    page = await asyncio.to_thread(read)
    assert 'fastws_outbound_attempts_total{route="deals"} 1.0' in page
    assert 'fastws_outbound_routes{state="connected"} 1.0' in page
    assert await process.stop() == 0
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(read)


@pytest.mark.usefixtures("selectable")
def test_a_port_that_is_taken_is_an_error_that_says_so():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(CommandError, match=r"--metrics-port: .*in use"),
    ):
        command("--tag", "slow", "--metrics-port", str(taken.getsockname()[1]))
