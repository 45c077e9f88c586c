"""What happens to database connections before and after a socket's sync code: FASTWS_DB_SETUP, FASTWS_DB_RESET."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from asgiref.local import Local
from asgiref.sync import async_to_sync, sync_to_async
from channels.db import aclose_old_connections, database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, OperationalError, connections, transaction
from django.test import SimpleTestCase, override_settings

from django_fastws import FastWS
from django_fastws.asgi import get_asgi_application
from django_fastws.checks import check_settings
from django_fastws.testing import HandshakeDenied, connect
from django_fastws.threads import Threads, threads
from tests.site import client
from tests.site.tenants import tenant_of
from tests.support.ids import shown
from tests.support.pools import look_often
from tests.support.processes import ASGIServer, PostgresServer

Serve = Callable[..., ASGIServer]
SCOPE = {"type": "websocket", "asgi": {"version": "3.0"}}

calls: list[Any] = []
variable: ContextVar[str] = ContextVar("variable", default="")
local = Local()


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    calls.clear()
    look_often(monkeypatch)
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("django-fastws-"):
            thread.join(10)


def note(scope: Any) -> None:
    calls.append((tenant_of(scope), threading.current_thread().name))


def scope(tenant: str) -> dict[str, Any]:
    return {**SCOPE, "query_string": f"tenant={tenant}".encode()}


def piece() -> str:
    calls.append("piece")
    return threading.current_thread().name


def hook(function: Any) -> Any:
    return override_settings(FASTWS_DB_SETUP=function)


# The hook


async def test_it_is_called_in_the_thread_before_each_piece_with_the_scope_of_whose_it_is():
    pool = Threads(1)

    async def handler(tenant: str) -> None:
        with pool.assigned(scope(tenant)):
            for wrap in (sync_to_async, database_sync_to_async, sync_to_async):
                await wrap(lambda: calls.append((tenant, piece())))()

    with hook("tests.test_database_setup.note"):
        await asyncio.gather(*map(handler, "abcde"))
    assert len(calls) == 45
    assert calls[::3] == calls[2::3]
    assert {name for _, name in calls[::3]} == {"django-fastws-0"}


async def test_tasks_of_a_handler_are_its_own_and_so_are_those_that_outlive_it():
    pool, end = Threads(1), asyncio.Event()

    async def late() -> None:
        await end.wait()
        await sync_to_async(piece)()

    async def handler(tenant: str) -> asyncio.Task[None]:
        with pool.assigned(scope(tenant)):
            await asyncio.gather(*(asyncio.create_task(sync_to_async(piece)()) for _ in range(2)))
            return asyncio.create_task(late())

    with hook(note):
        left = await asyncio.gather(handler("a"), handler("b"))
        end.set()
        await asyncio.gather(*left)
    assert sorted(tenant for tenant, _ in calls[::2]) == list("aaabbb")


async def test_what_is_found_out_about_the_connection_meanwhile_is_in_the_scope():
    pool = Threads(1)
    with hook(note), pool.assigned(scope("")):
        await sync_to_async(piece)()
        with pool.assigned(scope("a")):
            await sync_to_async(piece)()
        await sync_to_async(piece)()
    assert [tenant for tenant, _ in calls[::2]] == ["", "a", "a"]


async def test_sync_code_that_async_code_within_sync_code_calls_is_part_of_the_piece():
    pool = Threads(1)

    async def inner() -> str:
        return await sync_to_async(piece)()

    with hook(note), pool.assigned(scope("a")):
        await sync_to_async(async_to_sync(inner))()
    assert calls == [("a", "django-fastws-0"), "piece"]


async def test_it_runs_in_the_handlers_context():
    pool = Threads(1)

    def set_up(scope: Any) -> None:
        calls.append(variable.get())
        variable.set(tenant_of(scope))
        local.value = tenant_of(scope)

    async def handler(tenant: str) -> None:
        variable.set(f"of {tenant}")
        with pool.assigned(scope(tenant)):
            assert await sync_to_async(lambda: (variable.get(), local.value))() == (tenant, tenant)

    with hook(set_up):
        await asyncio.gather(handler("a"), handler("b"))
    assert calls == ["of a", "of b"]


async def test_channels_closing_of_old_connections_needs_none():
    pool = Threads(1)
    with hook(note), pool.assigned(scope("a")):
        await aclose_old_connections()
    assert calls == []


def _lookup(scope: Any) -> None:
    raise User.DoesNotExist("no such tenant")


def _down(scope: Any) -> None:
    raise OperationalError("server closed the connection")


async def _async(scope: Any) -> None:
    calls.append("called")


@pytest.mark.parametrize(
    ("setup", "error", "words"),
    [
        (_lookup, RuntimeError, r"FASTWS_DB_SETUP = .*_lookup.*DoesNotExist: no such tenant.*was not run"),
        (_down, DatabaseError, "server closed the connection"),
        (_async, ImproperlyConfigured, "not a sync function"),
        (lambda scope: _async(scope), ImproperlyConfigured, "returned an awaitable"),
        ("tests.test_database_setup.nothing", ImproperlyConfigured, "cannot be imported"),
        ("nowhere.at_all", ImproperlyConfigured, "cannot be imported"),
        (7, ImproperlyConfigured, "not a sync function"),
    ],
    ids=shown,
)
async def test_without_it_the_piece_does_not_run(setup: Any, error: type[Exception], words: str):
    pool = Threads(1)
    with hook(setup), pool.assigned(scope("a")):
        for wrap in (sync_to_async, database_sync_to_async):
            with pytest.raises(error, match=words) as caught:
                await wrap(piece)()
        assert error is not DatabaseError or "FASTWS_DB_SETUP" in caught.value.__notes__[0]
    assert calls == []


@pytest.mark.parametrize(
    "settings",
    [
        {"FASTWS_DB_SETUP": "nowhere.at_all"},
        {"FASTWS_DB_SETUP": "tests.test_database_setup._async"},
        {"FASTWS_DB_RESET": "sometimes"},
    ],
    ids=shown,
)
def test_the_application_is_not_made_with_one_that_cannot_be(settings: dict[str, Any]):
    with override_settings(**settings), pytest.raises(ImproperlyConfigured, match=next(iter(settings))):
        get_asgi_application()


@pytest.mark.parametrize(
    ("settings", "is_right"),
    [
        ({"FASTWS_DB_SETUP": "project.tenants.set_up"}, True),
        ({"FASTWS_DB_SETUP": note}, True),
        ({"FASTWS_DB_SETUP": None, "FASTWS_DB_RESET": None}, True),
        ({"FASTWS_DB_RESET": True}, True),
        ({"FASTWS_DB_RESET": "discard"}, True),
        ({"FASTWS_DB_SETUP": ["project.tenants.set_up"]}, False),
        ({"FASTWS_DB_SETUP": "project/tenants.py"}, False),
        ({"FASTWS_DB_RESET": 1}, False),
    ],
    ids=shown,
)
def test_the_check(settings: dict[str, Any], is_right: bool):
    with override_settings(**settings):
        found = [message.id for message in check_settings() if "FASTWS_DB" in message.msg]
    assert found == ([] if is_right else ["fastws.E020"])


# Everything of ours that runs sync code


@pytest.mark.usefixtures("db")  # consumers look after connections before each message
@pytest.mark.parametrize("way", ["function", "consumer", "sync consumer"])
async def test_rules_and_handlers_of_every_kind_are_set_up(routes: Any, way: str):
    app = FastWS()

    def rule(ws: Any) -> bool:
        return bool(piece())

    if way == "function":

        @app.websocket("/{place}", permission=rule)
        async def handler(ws, place):
            await ws.accept()
            await sync_to_async(piece)()
            await ws.send("done")

    else:
        kind: Any = WebsocketConsumer if way == "sync consumer" else AsyncWebsocketConsumer

        class Base(kind):
            pass

        if way == "sync consumer":

            class Consumer(Base):
                def connect(self):
                    piece()
                    self.accept()
                    self.send("done")

        else:

            class Consumer(Base):  # type: ignore[no-redef]
                async def connect(self):
                    await self.accept()
                    await sync_to_async(piece)()
                    await self.send("done")

        app.websocket("/{place}", permission=rule)(Consumer)

    def set_up(scope: Any) -> None:
        calls.append(scope.get("url_route", {}).get("kwargs"))

    with hook(set_up):
        async with connect("/here") as ws:
            assert await ws.receive_text() == "done"
            assert calls == [{"place": "here"}, "piece"] * 2
    calls.clear()


async def test_a_handler_fails_where_it_cannot_be_set_up(routes: Any, caplog: pytest.LogCaptureFixture):
    app = FastWS()

    @app.websocket("/")
    async def handler(ws):
        await sync_to_async(piece)()
        await ws.accept()

    with hook(_lookup), pytest.raises(HandshakeDenied) as denied:
        async with connect("/"):
            pass
    assert denied.value.status == 500
    assert calls == []
    assert "FASTWS_DB_SETUP" in caplog.text


class InATestCase(SimpleTestCase):
    """Where sync code runs in the thread of the test."""

    async def test_the_thread_stays_the_tests(self) -> None:
        calls.clear()
        name = await sync_to_async(threading.get_ident)()
        with hook(note):
            with threads.assigned(scope("a")):
                assert await sync_to_async(threading.get_ident)() == name
            await sync_to_async(piece)()  # not of a socket's
        assert [call if call == "piece" else call[0] for call in calls] == ["a", "piece"]


# The reset


@pytest.fixture
def sqlite(tmp_path: Path, django_db_blocker: Any) -> Iterator[str]:
    """The alias of a database that only the threads of a test have connections to."""
    connections.settings["setup"] = {**connections.settings["default"], "NAME": str(tmp_path / "db")}
    with django_db_blocker.unblock():
        yield "setup"
    del connections.settings["setup"]


async def test_nothing_of_a_piece_survives_it(sqlite: str):
    pool = Threads(1)

    def leave(mark: str) -> None:
        connection = connections[sqlite]
        connection.tenant = mark
        connection.execute_wrappers.append(lambda execute, *args: execute(*args))
        connection.cursor().execute("PRAGMA case_sensitive_like = ON")
        connection.cursor().execute("CREATE TEMP TABLE mine (id int)")

    def look() -> Any:
        connection = connections[sqlite]
        tables = connection.cursor().execute("SELECT count(*) FROM sqlite_temp_master").fetchone()[0]
        like = connection.cursor().execute("SELECT 'a' LIKE 'A'").fetchone()[0]
        return tables, like, getattr(connection, "tenant", ""), len(connection.execute_wrappers)

    with override_settings(FASTWS_DB_RESET=True):
        with pool.assigned(scope("a")):
            await sync_to_async(leave)("a")
        with pool.assigned(scope("b")):
            assert await sync_to_async(look)() == (0, 1, "", 1)


async def test_a_transaction_that_was_left_open_is_rolled_back(sqlite: str):
    pool = Threads(1)

    def begin() -> None:
        connections[sqlite].cursor().execute("CREATE TABLE t (id int)")
        transaction.atomic(using=sqlite).__enter__()
        connections[sqlite].cursor().execute("INSERT INTO t VALUES (1)")

    def count() -> Any:
        assert not connections[sqlite].in_atomic_block
        return connections[sqlite].cursor().execute("SELECT count(*) FROM t").fetchone()[0]

    with override_settings(FASTWS_DB_RESET="close"):
        with pool.assigned(scope("a")):
            await sync_to_async(begin)()
        with pool.assigned(scope("b")):
            assert await sync_to_async(count)() == 0


async def test_rows_that_are_read_in_parts_keep_their_connection_to_themselves(sqlite: str):
    pool = Threads(1)
    used: list[Any] = []

    def numbers() -> Iterator[int]:
        with connections[sqlite].cursor() as cursor:
            used.append(connections[sqlite])
            cursor.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5) SELECT i FROM n")
            while row := cursor.fetchone():
                yield row[0]

    def other() -> None:
        assert connections[sqlite] is not used[0]
        connections[sqlite].cursor().execute("SELECT 1")

    def is_open() -> bool:
        return used[0].connection is not None

    with override_settings(FASTWS_DB_RESET=True), pool.assigned(scope("a")):
        rows, got = numbers(), []
        while (row := await sync_to_async(next)(rows, None)) is not None:
            got.append(row)
            await sync_to_async(other)()
        assert got == [1, 2, 3, 4, 5]
        rows.close()
        await sync_to_async(other)()
        assert not is_open()


# On servers, with PostgreSQL, and one thread for all

LEAVE = [
    "SET search_path = pg_catalog",
    "SET TIME ZONE 'Pacific/Chatham'",
    "SELECT set_config('app.user', 'ada', false)",
    "SET SESSION AUTHORIZATION reader",
    "SET statement_timeout = 12345",
    "CREATE TEMP TABLE mine (id int)",
    "SELECT pg_advisory_lock(99)",
    "LISTEN something",
]
LOOK = (
    "SELECT current_setting('search_path'), current_setting('TimeZone'),"
    " coalesce(current_setting('app.user', true), ''), current_user, current_setting('statement_timeout'), "
    " to_regclass('mine')::text,"
    " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), (SELECT count(*) FROM pg_listening_channels())"
)
RUN = "/ws/queries/run"
WAYS = [
    (RUN, "sync_to_async"),
    (RUN, "database_sync_to_async"),
    ("/ws/queries/consumer", "sync_to_async"),
    ("/ws/queries/consumer", "database_sync_to_async"),
    ("/ws/queries/sync-consumer", "sync_to_async"),
]


def environment(server: PostgresServer, **options: Any) -> dict[str, str]:
    return {"TEST_DATABASE_OPTIONS": json.dumps({**server.settings, **options})}


@pytest.mark.server
@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["runws_server", "uvicorn"])
async def test_sockets_of_one_thread_each_see_their_own_tenant(
    serve: Serve, postgres_server: PostgresServer, kind: str
):
    settings = {"FASTWS_DB_THREADS": 1, "FASTWS_DB_SETUP": "tests.site.tenants.set_up"}
    server = serve(kind, settings=settings, environment=environment(postgres_server, CONN_MAX_AGE=None))
    query = "SELECT current_setting('app.tenant'), current_setting('search_path')"

    async def work(ws: Any, tenant: str, how: str) -> str:
        for _ in range(10):
            told = await ws.ask({"query": query, "how": how})
            assert told["rows"] == [[tenant, f"tenant_{tenant}"]]
        return str(told["backend"])

    async with AsyncExitStack() as stack:
        tasks = []
        for number, (path, how) in enumerate(WAYS * 2):
            tenant = f"t{number}"
            ws = await stack.enter_async_context(client.connect(server, f"{path}?tenant={tenant}"))
            tasks.append(work(ws, tenant, how))
        backends = await asyncio.gather(*tasks)
        assert len(set(backends[:1] + backends[5:6])) == 1  # nothing closes it but database_sync_to_async, if old
        async with client.connect(server, f"{RUN}?tenant=unknown") as ws:
            await ws.send_json({"query": "SELECT 1"})
            assert await ws.closed() == (1011, "internal error")
    assert "RuntimeError: FASTWS_DB_SETUP = 'tests.site.tenants.set_up' failed with LookupError: on purpose" in (
        server.log()
    )


@pytest.mark.server
@pytest.mark.postgres
@pytest.mark.parametrize("reset", [True, "discard"])
async def test_nothing_that_a_socket_sets_is_seen_by_another(
    serve: Serve, postgres_server: PostgresServer, reset: Any
):
    postgres_server.execute("DO $$ BEGIN CREATE ROLE reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    postgres = environment(postgres_server, CONN_MAX_AGE=None, TIME_ZONE="Asia/Tokyo")
    server = serve("daphne", settings={"FASTWS_DB_THREADS": 1, "FASTWS_DB_RESET": reset}, environment=postgres)
    async with client.connect(server, RUN) as one, client.connect(server, "/ws/queries/consumer") as two:
        fresh = await two.ask({"query": LOOK})
        assert fresh["rows"][0][1] == "Asia/Tokyo"  # Django's, which is set when a connection is made
        backends = {fresh["backend"]}
        for query in LEAVE:
            left = await one.ask({"query": query})
            assert "rows" in left
            for ws in (one, two):
                told = await ws.ask({"query": LOOK})
                assert told["rows"] == fresh["rows"], query
                backends |= {left["backend"], told["backend"]}
    assert len(backends) == (1 if reset == "discard" else 1 + 3 * len(LEAVE))


@pytest.mark.server
@pytest.mark.postgres
async def test_rows_are_read_in_parts_while_others_reset_their_connections(
    serve: Serve, postgres_server: PostgresServer, postgres_session_key: str
):
    for name in ("bob", "cleo"):
        postgres_server.execute(
            "INSERT INTO auth_user (username, password, is_superuser, first_name, last_name, email, is_staff,"
            f" is_active, date_joined) VALUES ('{name}', '', false, '', '', '', false, true, '2024-01-01')"
        )
    try:
        settings = {"FASTWS_DB_THREADS": 1, "FASTWS_DB_RESET": "discard"}
        server = serve("daphne", settings=settings, environment=environment(postgres_server, CONN_MAX_AGE=None))
        async with client.connect(server, "/ws/queries/names") as names, client.connect(server, RUN) as other:
            for name in ("ada", "bob", "cleo"):
                assert await names.recv() == name
                assert "rows" in await other.ask({"query": "SET search_path = pg_catalog"})
                await names.send("")
            assert await names.closed() == (1000, "")
    finally:
        postgres_server.execute("DELETE FROM auth_user WHERE username != 'ada'")


@pytest.mark.server
@pytest.mark.postgres
async def test_row_level_security_as_the_page_has_it(
    serve: Serve, postgres_server: PostgresServer, postgres_session_key: str
):
    for query in [
        "DO $$ BEGIN CREATE ROLE member LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO member",
        "DROP TABLE IF EXISTS note",
        "CREATE TABLE note AS SELECT id::text AS owner, username AS text FROM auth_user",
        "INSERT INTO note VALUES ('', 'of nobody')",
        "GRANT SELECT ON note TO member",
        "ALTER TABLE note ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON note USING (owner = current_setting('app.user', true))",
    ]:
        postgres_server.execute(query)
    settings = {"FASTWS_DB_THREADS": 1, "FASTWS_DB_SETUP": "docs.examples.tenants.set_user"}
    server = serve("daphne", settings=settings, environment=environment(postgres_server, USER="member"))
    cookie = {"Cookie": f"sessionid={postgres_session_key}"}
    async with client.connect(server, RUN, additional_headers=cookie) as ada, client.connect(server, RUN) as nobody:
        for _ in range(3):
            for ws, text in [(ada, "ada"), (nobody, "of nobody")]:
                assert (await ws.ask({"query": "SELECT text FROM note"}))["rows"] == [[text]]
