"""Handlers and the database, on real servers with SQLite and PostgreSQL, and in test cases."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Database, check_log, make_database, migrate
from tests.site.client import connect, token, until
from tests.support.processes import ASGIServer, PostgresServer
from tests.support.subprocesses import Project

pytestmark = [pytest.mark.server]

Serve = Callable[..., ASGIServer]

on_both_databases = pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
HANDLERS = ["/ws/queries/run", "/ws/queries/consumer", "/ws/queries/sync-consumer"]


class SQLite:
    """A SQLite database, in which a query can be made to wait."""

    def __init__(self, database: Database) -> None:
        self.session_key = database.session_key
        self.environment = database.environment

    async def is_waiting(self, server: ASGIServer, name: str) -> bool:
        async with connect(server, "/ws/queries/waiting") as ws:
            return name in await ws.recv_json()

    @asynccontextmanager
    async def waiting(self, server: ASGIServer, path: str) -> AsyncIterator[Any]:
        """A handler waits for the database within the block; the socket."""
        name = token()
        async with connect(server, path) as slow:
            await slow.send_json({"query": f"SELECT wait_for('{name}')"})
            await until(lambda: self.is_waiting(server, name))
            try:
                yield slow
            finally:
                async with connect(server, "/ws/queries/waiting") as ws:
                    await ws.recv()
                    await ws.send(name)
                    await ws.recv()
            assert (await slow.recv_json())["rows"] == [[name]]


class Postgres:
    """A PostgreSQL database, in which a query can be made to wait."""

    def __init__(self, server: PostgresServer, **options: Any) -> None:
        self.server = server
        self.session_key = ""
        self.environment = {"TEST_DATABASE_OPTIONS": json.dumps({**server.settings, **options})}

    async def count(self, where: str) -> int:
        """How many backends that serve our processes fit."""
        query = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fastws' AND {where}"
        return int(self.server.execute(query)[0][0])

    @asynccontextmanager
    async def waiting(self, server: ASGIServer, path: str) -> AsyncIterator[Any]:
        """A handler waits for the database within the block; the socket."""
        lock = int(token()[:7], 16)
        with self.server.connect() as holder:
            holder.execute(f"SELECT pg_advisory_lock({lock})".encode())
            async with connect(server, path) as slow:
                await slow.send_json({"query": f"SELECT pg_advisory_lock_shared({lock})"})
                blocked = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND objid = {lock}"
                await until(lambda: asyncio.to_thread(lambda: self.server.execute(blocked)[0][0]))
                try:
                    yield slow
                finally:
                    holder.execute(f"SELECT pg_advisory_unlock({lock})".encode())
                assert len((await slow.recv_json())["rows"]) == 1


@pytest.fixture(scope="module")
def sqlite_database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """One of its own: the database of the other tests has the users that they make."""
    return make_database(tmp_path_factory)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Any:
    if request.param == "sqlite":
        return SQLite(request.getfixturevalue("sqlite_database"))
    postgres = Postgres(request.getfixturevalue("postgres_server"))
    postgres.session_key = request.getfixturevalue("postgres_session_key")
    return postgres


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Postgres:
    return Postgres(postgres_server)


async def ask(ws: Any, query: str = "SELECT 1", **how: Any) -> Any:
    return await ws.ask({"query": query, **how})


# ── A slow query ────────────────────────────────────────────────────────────────────────────────────────────────────


@on_both_databases
@pytest.mark.parametrize("kind", ["daphne", "uvicorn", "hypercorn", "granian"])
async def test_a_slow_query_of_one_socket_does_not_delay_another(serve: Serve, database: Any, kind: str):
    server = serve(kind, environment=database.environment)
    async with connect(server, HANDLERS[0]) as quick, database.waiting(server, HANDLERS[0]):
        assert (await ask(quick))["rows"] == [[1]]
        for path in HANDLERS:
            async with connect(server, path) as new:
                assert (await ask(new))["rows"] == [[1]]
        cookie = {"Cookie": f"sessionid={database.session_key}"}
        async with connect(server, "/ws/queries/user", additional_headers=cookie) as known:
            assert await known.recv_json() == {"user": "ada", "users": 1}
        async with connect(server, "/ws/echo") as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
    assert server.stop() in (0, -signal.SIGTERM)
    check_log(server)


@on_both_databases
async def test_two_hundred_sockets_share_the_threads_and_their_connections(serve: Serve, database: Any):
    if isinstance(database, Postgres):
        database = Postgres(database.server, CONN_MAX_AGE=None)
    server = serve("daphne", environment=database.environment, settings={"FASTWS_DB_THREADS": 3})

    async def work(ws: Any) -> str:
        for _ in range(3):
            assert await ws.ask({"query": "", "how": "orm"}) == {"rows": [[1]]}
        return str((await ask(ws))["thread"])

    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connect(server, HANDLERS[0])) for _ in range(200)]
        used = await asyncio.gather(*map(work, sockets))
        assert sorted(set(used)) == ["django-fastws-0", "django-fastws-1", "django-fastws-2"]
        assert min(used.count(name) for name in set(used)) >= 50
        async with connect(server, "/ws/queries/threads") as ws:
            assert len(await ws.recv_json()) == 3
        if isinstance(database, Postgres):
            assert await database.count("true") <= 3
    await until(lambda: no_thread(server), "the end of the threads")
    if isinstance(database, Postgres):
        await until(lambda: is_closed(database), "the end of the connections")  # the server takes note a little later


async def no_thread(server: ASGIServer) -> bool:
    async with connect(server, "/ws/queries/threads") as ws:
        return await ws.recv_json() == []


# ── Connections that are too old, or broken ─────────────────────────────────────────────────────────────────────────


@pytest.mark.postgres
@pytest.mark.parametrize("path", [HANDLERS[0], HANDLERS[1]])
async def test_a_connection_is_kept_for_what_comes_within_a_second_and_closed_then(serve, postgres_server, path):
    postgres = Postgres(postgres_server)  # without CONN_MAX_AGE: a connection is too old at once
    server = serve("daphne", environment=postgres.environment)
    async with connect(server, path) as ws:
        began = asyncio.get_running_loop().time()
        backends = [(await ask(ws))["backend"] for _ in range(100)]
        seconds = asyncio.get_running_loop().time() - began
        if path == HANDLERS[0]:  # Channels' consumers close them before every message
            assert len(set(backends)) <= 1 + seconds
        await until(lambda: is_closed(postgres), "the connection's end")
        assert (await ask(ws))["backend"] not in backends


async def is_closed(postgres: Postgres) -> bool:
    return await postgres.count("true") == 0


@pytest.mark.postgres
@pytest.mark.slow
async def test_a_connection_without_an_age_is_kept_and_errors_of_queries_do_not_cost_it(serve, postgres_server):
    postgres = Postgres(postgres_server, CONN_MAX_AGE=None)
    server = serve("daphne", environment=postgres.environment)
    async with connect(server, HANDLERS[0]) as ws:
        backend = (await ask(ws))["backend"]
        assert await ask(ws, "SELECT nonsense") == {"error": "ProgrammingError"}
        assert (await ask(ws))["backend"] == backend
        await asyncio.sleep(2.5)  # two looks at the connections
        assert (await ask(ws))["backend"] == backend


CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fastws'"
AGES = [{}, {"CONN_MAX_AGE": None}, {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}]


@pytest.mark.postgres
@pytest.mark.parametrize("options", AGES, ids=str)
async def test_a_restart_of_the_database_heals_at_the_use_after_the_failure(serve: Serve, options: dict[str, Any]):
    with PostgresServer() as postgres:
        database = Postgres(postgres, **options)
        key = migrate(database.environment)
        server = serve("daphne", environment=database.environment)
        ways = [(path, "sync_to_async") for path in HANDLERS]
        ways += [(HANDLERS[0], "orm"), (HANDLERS[0], "database_sync_to_async")]
        async with AsyncExitStack() as stack:
            sockets = [(await stack.enter_async_context(connect(server, path)), how) for path, how in ways]
            for signum in (signal.SIGINT, signal.SIGQUIT):
                for ws, how in sockets:
                    assert "rows" in await ask(ws, how=how)
                postgres.stop(signum)
                for ws, how in sockets:
                    assert await ask(ws, how=how) == {"error": "OperationalError"}
                postgres.start()
                for ws, how in sockets:  # each has failed, and each works at its next use
                    assert "rows" in await ask(ws, how=how)
                postgres.execute(CUT)
                for ws, how in sockets:
                    assert "rows" in await ask(ws, how=how) or "rows" in await ask(ws, how=how)
            cookie = {"Cookie": f"sessionid={key}"}
            async with connect(server, "/ws/queries/user", additional_headers=cookie) as known:
                assert await known.recv_json() == {"user": "ada", "users": 1}


@pytest.mark.postgres
@pytest.mark.slow
async def test_with_health_checks_a_restart_is_not_noticed_a_second_later(serve: Serve):
    with PostgresServer() as postgres:
        database = Postgres(postgres, CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True)
        server = serve("daphne", environment=database.environment)
        async with connect(server, HANDLERS[0]) as ws:
            assert "rows" in await ask(ws)
            postgres.stop()
            postgres.start()
            await asyncio.sleep(2.5)  # connections are looked at once a second
            assert "rows" in await ask(ws)


@pytest.mark.slow
@on_both_databases
async def test_rows_that_are_read_in_parts_keep_their_connection_whatever_its_age(serve: Serve, database: Any):
    server = serve("daphne", environment=database.environment)
    async with connect(server, HANDLERS[0]) as ws:
        for name in ("bob", "cleo"):
            await ask(ws, f"{INSERT} VALUES ('{name}', '', false, '', '', '', false, true, '2024-01-01')")
    try:
        async with connect(server, "/ws/queries/names") as ws:
            assert await ws.recv() == "ada"
            await asyncio.sleep(2.5)  # connections are looked at once a second, and this one is too old
            for name in ("bob", "cleo"):
                await ws.send("")
                assert await ws.recv() == name
            await ws.send("")
            assert await ws.closed() == (1000, "")
        if isinstance(database, Postgres):
            await until(lambda: is_closed(database), "the connection's end")
    finally:
        async with connect(server, HANDLERS[0]) as ws:
            await ask(ws, "DELETE FROM auth_user WHERE username != 'ada'")


INSERT = (
    "INSERT INTO auth_user "
    "(username, password, is_superuser, first_name, last_name, email, is_staff, is_active, date_joined)"
)


# ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_both_databases
@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_a_server_that_stops_closes_its_connections(serve: Serve, database: Any, kind: str):
    # -X dev shows what is left open.
    environment = {**database.environment, "PYTHONDEVMODE": "1"}
    server = serve(kind, environment=environment)
    async with AsyncExitStack() as stack:
        for path in HANDLERS:
            ws = await stack.enter_async_context(connect(server, path))
            assert "rows" in await ask(ws)
        server.send_signal(signal.SIGTERM)
        await ws.closed()
    assert await asyncio.to_thread(server.stop) in (0, -signal.SIGTERM)
    if isinstance(database, Postgres):
        await until(lambda: is_closed(database), "the connections' end")
    if kind == "daphne":
        assert "threads at the end: []" in server.log()
    assert [line for line in server.log().splitlines() if "ResourceWarning" in line and "connection" in line] == []


@pytest.mark.postgres
async def test_a_query_that_goes_on_does_not_keep_the_server_from_stopping(serve: Serve, postgres: Postgres):
    server = serve("daphne", environment=postgres.environment, settings={"FASTWS_DRAIN_SECONDS": 0.5})
    async with connect(server, HANDLERS[0]) as ws:
        await ws.send_json({"query": "SELECT pg_sleep(60)"})
        await until(lambda: postgres.count("state = 'active'"))
        assert await asyncio.to_thread(server.stop, limit=45) in (0, -signal.SIGTERM)
    postgres.server.execute(CUT)


# ── Tests of projects ───────────────────────────────────────────────────────────────────────────────────────────────

CONSUMERS = """
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import User
from django_fastws import FastWS

app = FastWS()


@app.websocket("/count")
async def count(ws):
    await ws.accept()
    counts = [await User.objects.acount(), await database_sync_to_async(User.objects.count)()]
    await ws.send_json([ws.user.username, *counts])
    await User.objects.acreate(username="made by the handler")


@app.websocket("/consumer")
class Consumer(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()

    async def receive(self, text_data):
        await self.send(str(await User.objects.acount()))
"""
DJANGO_TESTS = """
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import TestCase, TransactionTestCase
from django_fastws.asgi import get_asgi_application
from django_fastws.testing import connect


class Tests:
    def setUp(self):
        self.ada = User.objects.create(username="ada")
        self.client.force_login(self.ada)

    def tearDown(self):
        assert User.objects.filter(username="ada").exists()  # the connection is the one that made her

    async def test_a_handler_sees_what_the_test_has_made_and_the_other_way_round(self):
        async with connect("/count", cookies=self.client.cookies) as ws:
            assert await ws.receive_json() == ["ada", 1, 1]
        assert await User.objects.filter(username="made by the handler").aexists()

    async def test_a_handler_sees_what_the_test_makes_meanwhile(self):
        async with connect("/consumer", user=self.ada) as ws:
            for count in ("2", "3"):
                await User.objects.acreate(username=count)
                await ws.send("")
                assert await ws.receive_text() == count

    async def test_a_communicator_of_channels(self):
        communicator = WebsocketCommunicator(get_asgi_application(), "/count")
        await communicator.connect()
        assert await communicator.receive_json_from() == ["", 1, 1]
        await communicator.disconnect()


class InTestCase(Tests, TestCase):
    pass


class InTransactionTestCase(Tests, TransactionTestCase):
    pass
"""
PYTEST_TESTS = """
import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from django_fastws.testing import connect


@pytest.fixture
def ada(db):
    return User.objects.create(username="ada")


@pytest.mark.django_db(transaction=True)
async def test_a_session(ada, async_client):
    await async_client.aforce_login(ada)
    async with connect("/count", cookies=async_client.cookies) as ws:
        assert await ws.receive_json() == ["ada", 1, 1]
    assert await close_after(User.objects.filter(username="made by the handler").exists)


@pytest.mark.django_db(transaction=True)
async def test_users_of_the_test():
    await User.objects.acreate(username="ada")
    async with connect("/count") as ws:
        assert await ws.receive_json() == ["", 1, 1]
    assert await close_after(User.objects.count) == 2


@pytest.mark.django_db
async def test_without_the_transaction():
    await User.objects.acreate(username="ada")
    async with connect("/count") as ws:
        assert await ws.receive_json() == ["", 1, 1]
    # What async code does in a test of this kind is outside its transaction, and stays.
    await close_after(User.objects.all().delete)


async def close_after(function):
    # Else pytest-django cannot drop the database: another thread is connected to it.
    return await database_sync_to_async(function)()
"""
PYTEST_INI = """
[pytest]
DJANGO_SETTINGS_MODULE = project.settings
python_files = pytest_*.py
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    databases: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    if request.param == "postgres":
        databases = {**request.getfixturevalue("postgres_server").settings, "TEST": {"NAME": token()}}
    settings = f"""
    INSTALLED_APPS = [
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        "channels", "django_fastws", "project",
    ]
    DATABASES = {{"default": {databases!r}}}
    """
    files = {
        "project/consumers.py": CONSUMERS,
        "project/tests.py": DJANGO_TESTS,
        "project/pytest_sockets.py": PYTEST_TESTS,
        "pytest.ini": PYTEST_INI,
    }
    return Project(tmp_path, settings, files)


def test_djangos_test_cases(project: Project):
    ran = project.manage("test")
    assert "Ran 6 tests" in ran.stderr, ran.stdout + ran.stderr
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_pytest_django(project: Project):
    ran = project.run("import pytest, sys; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider']))")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout
