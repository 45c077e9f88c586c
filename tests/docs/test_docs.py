"""The documentation is whole: every block of code runs in a test, links lead somewhere, the reference names all.

The tests that run the blocks are in ``tests/docs``: ``test_examples.py`` for what pages include from
``docs/examples``; ``test_followed.py``, ``test_browser.py``, ``test_servers_table.py`` and ``test_deploy.py`` for
pages that a reader follows; ``test_reference.py`` for tables that say what happens. Files that are shipped run in
``tests/balancer``. Here are blocks that stand for themselves.
"""

from __future__ import annotations

import ast
import datetime
import inspect
import logging
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from channels.layers import channel_layers
from django.core.checks import run_checks
from django.test import override_settings
from rich.console import Console

import django_fastws
from django_fastws import admin, asgi, checks, exceptions, layer, live, presence, signals, testing, websocket
from django_fastws.conf import SETTINGS
from django_fastws.console import ProcessRow, RowPage, Snapshot
from django_fastws.logs import TextFormatter
from django_fastws.metrics import all_metrics
from django_fastws.routing import router as routing
from django_fastws.routing import websocket_urlpatterns
from django_fastws.top_screen import top_screen
from docs import reference_pages
from tests import test_bench, test_browser_client
from tests.balancer import test_container, test_proxying, test_systemd
from tests.balancer.proxies import DEPLOY
from tests.docs import (
    test_browser,
    test_debug,
    test_deploy,
    test_examples,
    test_followed,
    test_integrations,
    test_monitor,
    test_outbound,
    test_schema,
    test_servers_table,
)
from tests.docs.blocks import DOCS, EXAMPLES, Block, blocks_of, pages
from tests.e2e import test_prometheus
from tests.support.processes import ROOT

REFERENCE = DOCS / "reference"
BLOCKS = [block for page in pages() for block in blocks_of(page)]

# Every block is run by some test

#: Who runs the blocks of a language. A language that is not here fails.
FOLLOWED = {
    "README.md": "test_readme_quick_start_and_production",
    "docs/tutorial/1-first-socket.md": "test_tutorial",
    "docs/tutorial/2-a-live-room.md": "test_tutorial",
    "docs/tutorial/3-what-was-said.md": "test_tutorial",
    "docs/tutorial/4-from-django.md": "test_tutorial",
    "docs/tutorial/5-test-it.md": "test_tutorial",
    "docs/tutorial/6-two-processes.md": "test_tutorial",
    "docs/howto/compose-routing.md": "test_middleware_by_its_path",
    "docs/howto/test.md": "test_how_to_test",
    "docs/howto/htmx.md": "test_htmx",
    "docs/howto/live-tests.md": "test_live_tests",
    "docs/howto/sentry.md": "test_sentry",
    "docs/howto/opentelemetry.md": "test_opentelemetry",
}
CONSOLE = FOLLOWED | {
    "docs/howto/broadcast.md": "test_a_broadcast_from_a_script_and_the_shell",
    "docs/howto/one-file.md": "test_the_browser_client_is_copied_beside_a_page",
    "docs/howto/publish-over-http.md": "test_an_order_is_published_with_curl",
    "docs/howto/servers.md": "test_a_command_of_a_page_works",
    "docs/howto/deploy.md": "test_every_command_is_checked",
    "docs/howto/monitor.md": "test_a_command_of_the_page_is_understood",
    "docs/howto/debug.md": "test_a_command_for_debugging_is_understood",
    "docs/reference/commands.md": "test_a_command_of_a_page_works",
    "docs/howto/live-schema.md": "test_a_command_of_a_page_works",
    "docs/explanation/benchmarks.md": "test_the_commands_of_the_benchmarks_are_understood",
    "docs/explanation/scale.md": "test_the_commands_of_the_benchmarks_are_understood",
}
JAVASCRIPT = {
    "README.md": "test_readme_in_a_browser",
    "docs/tutorial/1-first-socket.md": "test_tutorial_in_a_browser",
    "docs/howto/authenticate.md": "test_a_page_learns_that_it_must_log_in",
    "docs/reference/javascript-client.md": "test_the_client_passes",
    "docs/howto/frameworks.md": "test_the_client_passes",
    "docs/howto/progress.md": "test_the_client_passes",
    "docs/howto/tokens.md": "test_the_client_passes",
}
HTML = FOLLOWED | {
    "README.md": "test_the_client_passes",
    "docs/reference/javascript-client.md": "test_the_client_passes",
    "docs/howto/keyed-rooms.md": "test_the_client_passes",
    "docs/howto/presence.md": "test_the_client_passes",
    "docs/howto/history.md": "test_a_page_goes_on_from_where_it_was_rendered",
}
TEXT = {
    "docs/reference/exceptions.md": "test_the_tree_of_exceptions_is_the_one_of_the_module",
    "docs/howto/query-parameters.md": "test_parameters_that_do_not_fit_are_denied",
    "docs/explanation/life-of-a-broadcast.md": "test_the_drawing_names_what_there_is",
    "docs/reference/commands.md": "test_what_ws_stats_shows_are_metrics_that_there_are",
    "docs/reference/logging.md": "test_the_line_of_a_log_is_one",
}
RUNNERS: dict[str, Any] = {
    "console": CONSOLE,
    "javascript": JAVASCRIPT,
    "html": HTML,
    "toml": FOLLOWED,
    "text": TEXT,
    "ini": {
        "docs/howto/deploy.md": "test_haproxy_takes_the_environment_of_the_page",
        "docs/howto/outbound.md": "test_the_unit_stops_in_order",
    },
    "typescript": {"docs/howto/live-schema.md": "test_typescript_of_a_page_has_the_errors_that_it_names"},
    "dockerfile": {"docs/howto/outbound.md": "test_the_container_passes_signals_on"},
}
#: Files that pages include: the test that has a program read each.
SHIPPED = {
    "nginx.conf": "test_sockets_spread_over_both_servers",
    "nginx-tls.conf": "test_a_handshake_comes_from_its_client",
    "haproxy.cfg": "test_sockets_spread_over_both_servers",
    "fastws@.socket": "test_systemd_finds_nothing_to_say_of_the_units",
    "fastws@.service": "test_systemd_finds_nothing_to_say_of_the_units",
    "Containerfile": "test_what_is_copied_is_enough_to_serve",
    "kubernetes.yaml": "test_kinds_and_versions_belong_together",
    "prometheus.yaml": "test_promtool_takes_the_files",
    "alerts.yaml": "test_promtool_takes_the_files",
}


def stands_alone(block: Block) -> bool:
    """Whether a block is Python that needs no file and no page around it, and is run from no file either."""
    return block.language == "python" and not block.source and not (block.file and block.page in FOLLOWED)


def runner(block: Block) -> str | None:
    """The test that runs a block; None if there is none."""
    if block.source:
        if block.included.is_relative_to(DEPLOY):
            return SHIPPED[block.included.name]
        return "test_every_example_is_tested_and_shown" if block.included.parent == EXAMPLES else None
    if block.language == "python":
        return "test_python_stands_alone" if stands_alone(block) else FOLLOWED[block.page]
    found: str | None = RUNNERS.get(block.language, {}).get(block.page)
    return found


def test_every_block_is_run_by_a_test():
    tests = (test_bench, test_browser, test_servers_table, test_examples, test_followed, test_deploy, test_outbound)
    tests += (test_container, test_proxying, test_systemd, test_integrations, test_browser_client)
    tests += (test_schema, test_prometheus, test_monitor, test_debug)
    there = {*globals(), *(name for module in tests for name in vars(module))}
    lost = [f"{block.id}: {block.language or 'no language'}" for block in BLOCKS if runner(block) not in there]
    assert not lost


def test_there_are_blocks_of_every_kind():
    """So that a change of the pages' syntax does not leave these tests with nothing to do."""
    assert {block.language for block in BLOCKS if not block.source} == {*RUNNERS, "python"}
    assert {block.included.name for block in BLOCKS if block.source} >= SHIPPED.keys()


@pytest.mark.parametrize("block", list(filter(stands_alone, BLOCKS)), ids=lambda block: block.id)
@pytest.mark.usefixtures("routes")
def test_python_stands_alone(block):
    namespace: dict[str, Any] = {"__name__": "block"}
    exec(compile(block.text, block.id, "exec"), namespace)
    websocket_urlpatterns()  # its routes, if it has any, can be served
    settings = {name: value for name, value in namespace.items() if name.isupper()}
    if settings:
        check_settings(settings)


def check_settings(settings: dict[str, Any]) -> None:
    """These settings make a project about which the system checks say nothing of their own."""
    with override_settings(**{"DEBUG": True, **settings}):
        messages = run_checks(tags=["fastws"])
        assert not messages
        for name, config in settings.get("CHANNEL_LAYERS", {}).items():
            assert channel_layers.make_backend(name) is not None
            assert config["BACKEND"].rpartition(".")[2] == type(channel_layers.make_backend(name)).__name__


# Text


def _text_of(page: str, begin: str = "") -> str:
    texts = [block.text for block in BLOCKS if block.page == page and block.language == "text"]
    (text,) = [text for text in texts if begin in text]
    return text


def test_the_tree_of_exceptions_is_the_one_of_the_module():
    tree = [line.strip() for line in (exceptions.__doc__ or "").splitlines()]
    shown = _text_of("docs/reference/exceptions.md").splitlines()
    start = tree.index(shown[0])
    assert shown == tree[start : tree.index("", start)]


def test_the_drawing_names_what_there_is():
    words = set(re.findall(r"[\w.]+", _text_of("docs/explanation/life-of-a-broadcast.md")))
    assert {"WebSocket", "Room"} <= words
    assert {name for name in words if name[0].isupper()} <= {"WebSocket", "Room", "Ada", "Bob"}


def test_what_ws_stats_shows_are_metrics_that_there_are():
    _command, _processes, *lines = _text_of("docs/reference/commands.md", "manage.py ws_stats").splitlines()
    labels = {metric.name: metric.labels for metric in all_metrics()}
    for line in lines:
        name, given = re.match(r"(\w+)(?:\{(.*)\}  )?", line).groups()  # type: ignore[union-attr]
        assert tuple(re.findall(r"(\w+)=", given or "")) == labels[name]


def test_what_ws_top_shows_is_on_its_screen():
    console = Console(width=80, record=True, file=StringIO())
    process = ProcessRow(
        "a:1:b", "server", "a", 1, 0.0, False, True, 0, 0, 0, 0, 0, 0.0, 0.0, 0, 0, 0, 0.0, {}, {}, {}
    )
    looks = [Snapshot(at, 0.0, RowPage([process]), RowPage([]), RowPage([])) for at in (1.0, 2.0)]
    console.print(top_screen(looks[1], looks[0], 80, 24))
    words = set(console.export_text().split())
    shown = _text_of("docs/reference/commands.md", "manage.py ws_top")
    assert set(re.findall(r"\b[A-Z]{2,}\b", shown)) - {"MB"} <= words
    rates = {"received", "sent", "delivered", "broadcasts", "calls", "opened", "closed", "denied", "dropped"}
    assert rates <= words & set(shown.split())


def test_the_line_of_a_log_is_one():
    line = next(block for block in BLOCKS if block.page == "docs/reference/logging.md" and block.language == "text")
    time, *rest = line.text.strip().split(" | ")
    assert datetime.datetime.fromisoformat(time).utcoffset() is not None
    record = logging.LogRecord(rest[1], logging.getLevelName(rest[0].strip()), "", 0, rest[2], None, None)
    assert TextFormatter().format(record).split(" | ")[1:] == rest


# The reference is whole


def _cells(page: Path) -> list[list[str]]:
    """The rows of every table of a page."""
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in page.read_text("utf-8").splitlines()
        if line.startswith("|")
    ]


#: What other folders of the package call, so that it has no underscore; it is no part of the interface.
INTERNAL = {
    "websocket": {"post", "receive_data", "release", "send_payload", "try_send"},
    "fastws": {"prefix", "routes", "tags"},
    "presence": {"count", "index"},  # of every tuple
    "live-rooms": {"check_broadcast", "match", "do_not_call_in_templates"},  # the last is for Django's templates
}
REFERENCE_TEXT = "\n".join(page.read_text("utf-8") for page in REFERENCE.glob("*.md"))


@pytest.mark.parametrize(
    "module", [django_fastws, admin, asgi, presence, routing, testing, websocket], ids=lambda module: module.__name__
)
def test_every_public_name_is_in_the_reference(module):
    missing = [name for name in module.__all__ if f"`{name}" not in REFERENCE_TEXT]
    assert not missing
    assert all(f"`{name}`" in (REFERENCE / "index.md").read_text() for name in module.__all__)


@pytest.mark.parametrize(
    ("cls", "page"),
    [
        (django_fastws.WebSocket, "websocket"),
        (django_fastws.WebSocketMessage, "message"),
        (django_fastws.Room, "room"),
        (django_fastws.Stored, "history"),
        (django_fastws.Present, "presence"),
        (django_fastws.LiveSocket, "live-socket"),
        (live.LiveRoom, "live-rooms"),
        (django_fastws.FastWS, "fastws"),
        (testing.TestWebSocket, "testing"),
        (testing.LiveClient, "testing"),
        (testing.JoinedRoom, "testing"),
        (testing.Peer, "testing"),
        (testing.VirtualTime, "testing"),
    ],
)
def test_every_public_attribute_is_in_the_reference(cls, page):
    text = (REFERENCE / f"{page}.md").read_text("utf-8")
    names = {name for name in dir(cls) if not name.startswith("_")} - INTERNAL.get(page, set())
    missing = [name for name in names if not re.search(rf"`@?(?:await )?(?:\w+\.)?{name}\b", text)]
    assert not missing


#: What nobody writes: the object, and what a decorator is put before.
UNNAMED = {"self", "function"}


@pytest.mark.parametrize(
    ("function", "page"),
    [
        (django_fastws.FastWS, "fastws"),
        (django_fastws.FastWS.websocket, "fastws"),
        (django_fastws.FastWS.ws, "fastws"),
        (django_fastws.FastWS.get, "fastws"),
        (django_fastws.FastWS.run, "fastws"),
        (django_fastws.FastWS.serve, "fastws"),
        (django_fastws.FastWS.room, "live-rooms"),
        (live.LiveRoom.on, "live-rooms"),
        (live.LiveRoom.relay, "live-rooms"),
        (live.LiveRoom.state, "live-rooms"),
        (django_fastws.Presence, "presence"),
        (django_fastws.LiveSocket.set_presence, "presence"),
        (django_fastws.WebSocket.join, "websocket"),
        (testing.JoinedRoom.next_presence, "testing"),
        (presence.online, "presence"),
        (django_fastws.LiveSocket.emit, "live-socket"),
        (django_fastws.LiveSocket.ask, "live-socket"),
        (django_fastws.LiveError, "exceptions"),
        (django_fastws.Room.broadcast, "room"),
        (django_fastws.Room.abroadcast, "room"),
        (django_fastws.Room.history, "history"),
        (django_fastws.History, "history"),
        (django_fastws.Latest, "keyed-rooms"),
        (django_fastws.Room.remove, "keyed-rooms"),
        (django_fastws.Room.listen, "room"),
        (django_fastws.Room.kick, "room"),
        (django_fastws.Room.akick, "room"),
        (django_fastws.disconnect, "disconnect"),
        (django_fastws.adisconnect, "disconnect"),
        (testing.connect, "testing"),
        (testing.live, "testing"),
        (testing.peer, "testing"),
        (asgi.get_asgi_application, "asgi-and-routing"),
        (layer.RedisChannelLayer, "layer"),
    ],
)
def test_every_argument_is_in_the_reference(function, page):
    text = (REFERENCE / f"{page}.md").read_text("utf-8")
    parameters = inspect.signature(function).parameters.values()
    names = [one.name for one in parameters if one.kind is not one.VAR_KEYWORD and one.name not in UNNAMED]
    assert [name for name in names if not re.search(rf"`@?(?:[\w.]+\(.*)?{name}\b", text)] == []


def test_the_pages_that_are_made_from_tables_are_what_the_tables_say():
    assert reference_pages.main(["--check"]) == 0


def test_every_setting_has_a_row_and_a_section():
    text = (REFERENCE / "settings.md").read_text("utf-8")
    assert re.findall(r"^## (FASTWS_\w+)$", text, re.MULTILINE) == sorted(SETTINGS)
    assert re.findall(r"^\| \[`(FASTWS_\w+)`\]", text, re.MULTILINE) == sorted(SETTINGS)


def test_every_check_is_in_the_reference():
    sources = [path.read_text("utf-8") for path in Path(checks.__file__).parent.glob("*.py")]
    raised = set(re.findall(r"fastws\.[EW]\d{3}", "".join(sources)))
    rows = [cells[0].strip("`") for cells in _cells(REFERENCE / "checks.md") if "fastws." in cells[0]]
    assert len(rows) == len(set(rows))
    assert set(rows) == raised


def test_every_signal_is_in_the_reference():
    index = (REFERENCE / "index.md").read_text("utf-8")
    assert [name for name in signals.__all__ if f"`{name}`" not in index] == []
    assert all(f"`{name}`" in REFERENCE_TEXT for name in signals.__all__)


def test_every_logger_is_in_the_reference():
    package = Path(django_fastws.__file__).parent
    used = {
        name
        for path in package.rglob("*.py")
        for name in re.findall(r"getLogger\(\"(django_fastws[\w.]*)\"\)", path.read_text("utf-8"))
    }
    rows = {cells[0].strip("`") for cells in _cells(REFERENCE / "logging.md") if "`django_fastws" in cells[0]}
    assert rows == used


def test_every_command_is_in_the_reference():
    commands = Path(django_fastws.__file__).parent / "management" / "commands"
    text = (REFERENCE / "commands.md").read_text("utf-8")
    assert all(f"`manage.py {path.stem}`" in text for path in commands.glob("[a-z]*.py"))


def test_the_close_codes_are_those_that_may_be_sent():
    shown = {int(cells[0]) for cells in _cells(REFERENCE / "close-codes.md") if re.fullmatch(r"\d{4}", cells[0])}
    for code in range(900, 3000):
        try:
            django_fastws.WebSocketException(code)
        except ValueError:
            assert code not in shown
        else:
            assert code in shown


# Links


def _anchors(page: Path) -> set[str]:
    anchors = set()
    for line in page.read_text("utf-8").splitlines():
        if heading := re.match(r"#{1,3} (.+)", line):
            anchors.add(re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-"))
    return anchors


@pytest.mark.parametrize(
    "page", [*pages(), ROOT / "CONTRIBUTING.md"], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_links_lead_somewhere(page):
    text = re.sub(r"^(`{3,}).*?^\1", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_file(), target
        if anchor:
            assert anchor in _anchors(linked), target


def test_every_page_is_linked_from_an_index():
    """Sphinx makes its tables of contents of these links."""
    linked = set()
    for index in DOCS.rglob("index.md"):
        for target in re.findall(r"\]\(([^):]+\.md)\)", index.read_text("utf-8")):
            linked.add((index.parent / target).resolve())
    assert linked >= {page for page in pages() if DOCS in page.parents} - {DOCS / "index.md"}


#: What Sphinx and MyST understand, and a forge or an editor shows as it is written.
MYST_ONLY = {
    "a directive": r"^ *(`{3,}|~{3,}|:{3,}) *\{",
    "a colon fence": r"^ *:{3,}",
    "a role": r"(?:^|[\s(])\{[a-z][\w:-]*\}`\S",
    "a target": r"^\([\w-]+\)=",
    "a definition list": r"^: {1,3}\S",
    "a comment": r"^%",
    "a block break": r"^\+\+\+",
    "a substitution": r"\{\{.*\}\}",
    "an attribute": r"^\{[.#]",
}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_is_plain_markdown(page):
    text = page.read_text("utf-8")
    fenced = re.compile(r"^(`{3,}|~{3,})(?!\s*\{).*?^\1$", re.MULTILINE | re.DOTALL)
    text = fenced.sub("", text)
    found = [kind for kind, pattern in MYST_ONLY.items() if re.search(pattern, text, re.MULTILINE)]
    assert not found


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(not all(map(find_spec, ("sphinx", "furo", "myst_parser"))), reason="no Sphinx: `make docs`")
def test_sphinx_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", tmp_path / "trees"]
    done = subprocess.run([*command, DOCS, tmp_path / "html"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "reference" / "settings.html").is_file()
    newest = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] in (tmp_path / "html" / "changelog.html").read_text("utf-8")


def test_every_test_that_shows_a_guarantee_is_there():
    page = (DOCS / "explanation" / "guarantees.md").read_text()
    there = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", page)
    assert len(named) > 30
    assert [name for name in named if f"def {name}(" not in there] == []
    rows = [
        line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| Promise", "|---"))
    ]
    assert [row for row in rows if "`test_" not in row] == []


# Contributing

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PACKAGE = Path(django_fastws.__file__).parent


def _section(heading: str) -> str:
    return CONTRIBUTING.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def _floors() -> list[set[str]]:
    """The import floors of the package, from the top, each with the modules on it."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (contract,) = [one for one in config["tool"]["importlinter"]["contracts"] if one["id"] == "layers"]
    return [set(re.findall(r"\w+", floor)) for floor in contract["layers"]]


def test_the_map_names_every_folder_and_module_from_the_top_floor_down():
    named = re.findall(r"^\| `([^`]+)` \| .+ \|$", _section("Map"), re.MULTILINE)
    modules = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.stem != "__init__"]
    assert sorted(named) == sorted(
        {path.name if len(path.parts) == 1 else f"{path.parent.as_posix()}/" for path in modules}
    )
    floor_of = {name: number for number, floor in enumerate(_floors()) for name in floor}
    floors = [floor_of[re.match(r"\w+", name)[0]] for name in named]  # type: ignore[index]
    assert floors == sorted(floors)


def _imports(path: Path) -> Iterator[list[str]]:
    """The modules of the package that a module of it imports from, as their parts below the package."""
    inside = [PACKAGE.name, *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) + 1 - node.level] if node.level else []
            parts = [*base, *(node.module or "").split(".")]
            if parts[0] == PACKAGE.name:
                yield [part for part in parts[1:] if part]


@pytest.mark.long
def test_folders_import_from_each_other_only_what_their_init_exports():
    own = {"_core", "clients"}  # whose modules are imported themselves
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - own
    found = [
        (path.relative_to(PACKAGE).as_posix(), ".".join(parts))
        for path in PACKAGE.rglob("*.py")
        for parts in _imports(path)
        if len(parts) > 1 and parts[0] in folders - {path.relative_to(PACKAGE).parts[0]}
    ]
    assert found == []


def _exists(dotted: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    try:
        pkgutil.resolve_name(dotted)
    except (AttributeError, ImportError):
        return False
    return True


#: What is at a path that only a command makes.
BUILT = {"docs/_build/html"}
#: Where `{% static %}` finds files.
STATIC = ROOT / "django_fastws" / "static"
#: The changelog says what names were before.
NAMING = [page for page in [*pages(), ROOT / "CONTRIBUTING.md"] if page.name != "CHANGELOG.md"]


@pytest.mark.parametrize("page", NAMING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_files_and_modules_that_a_page_names_are_there(page):
    text = page.read_text("utf-8")
    paths = set(re.findall(r"(?<![\w/.-])(?:django_fastws|tests|docs|bench)/[\w./-]*\w", text)) - BUILT
    assert [path for path in sorted(paths) if not (ROOT / path).exists() and not (STATIC / path).is_file()] == []
    loggers = {cells[0].strip("`") for cells in _cells(REFERENCE / "logging.md")}
    names = set(re.findall(r"\bdjango_fastws(?:\.\w+)+", text)) - loggers
    assert [name for name in sorted(names) if not _exists(name)] == []


#: Pages that name files of the package by their path below it; and a file that is a project's, not ours.
ON_THE_INSIDE = [page for page in NAMING if page.name == "CONTRIBUTING.md" or page.parent.name == "explanation"]
OF_PROJECTS = {"consumers.py"}


@pytest.mark.parametrize("page", ON_THE_INSIDE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_files_that_a_page_names_by_their_path_below_the_package_are_there(page):
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", page.read_text("utf-8"))) - OF_PROJECTS
    files = {path.name for path in PACKAGE.rglob("*.py")}
    there = {name for name in named if (ROOT / name).exists() or (PACKAGE / name).exists() or name in files}
    assert sorted(named - there) == []


def test_pages_on_the_inside_name_files():
    """So that a change of how files are written there does not leave the test above with nothing to do."""
    assert sum(len(re.findall(r"`\w+/\w+\.py`", page.read_text("utf-8"))) for page in ON_THE_INSIDE) > 150


def test_what_contributors_are_told_of_is_there():
    paths = set(re.findall(r"`([\w/]+/(?:\w+\.py)?)`", CONTRIBUTING)) - {"dist/"}  # which is made by make
    assert len(paths) > 40
    assert [path for path in sorted(paths) if not (ROOT / path).exists() and not (PACKAGE / path).exists()] == []
    there = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in re.findall(r"`(test_\w+)`", CONTRIBUTING) if f"def {name}(" not in there] == []
