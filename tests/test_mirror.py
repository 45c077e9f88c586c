"""tests/ mirrors the package: the tests of a module are in its folder, in a file of its name. A name stands once."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

from tests.support.processes import ROOT

PACKAGE = Path(ROOT) / "django_fastws"
TESTS = Path(ROOT) / "tests"

MOST_LINES = 400
LINES = 25  # of code; a module with fewer is a name, a type or a table, and is seen through its users

# Modules that are tested in another's file: their own, and why.
ELSEWHERE = {
    "migrations/0001_histories.py": ("rooms/test_database_history.py", "the tables, which those tests make and use"),
    "rooms/held_broadcasts.py": (
        "live/test_lost_events.py",
        "what a member is not sent yet, by the joins that hold it",
    ),
    "rooms/recent_events.py": ("rooms/test_resumption.py", "what was delivered last, which a resumed join reads"),
    "rooms/stored.py": ("rooms/test_database_history.py", "Room.history() and its pages"),
    "_core/presence_reports.py": ("core/test_presence_roll.py", "types without code, of which a roll is made"),
    "models.py": ("rooms/test_database_history.py", "rows without code"),
    "migrations/0002_console.py": ("admin/test_console_admin.py", "the permissions, by which those tests see"),
    "rooms/history_rows.py": ("rooms/test_database_history.py", "the queries behind a history in the database"),
    "rooms/room_history.py": ("rooms/test_resumption.py", "the seam, through whose two sides rooms are tested"),
    "layer/redis/history_scripts.py": ("layer/redis/test_history_commands.py", "Lua, which only a real Redis runs"),
    "layer/redis/presence_scripts.py": ("layer/redis/test_presence_commands.py", "Lua, as above"),
    "layer/redis/presence_lease_scripts.py": ("layer/redis/test_presence_commands.py", "Lua, as above"),
    "layer/redis/blocking_connection.py": (
        "layer/redis/test_blocking.py",
        "which threads use through their publisher",
    ),
    "layer/redis/node_publisher.py": ("layer/redis/test_cluster_nodes.py", "what only the nodes of a cluster answer"),
    "layer/redis/node_subscriber.py": (
        "layer/redis/test_cluster_nodes.py",
        "what only the nodes of a cluster answer",
    ),
    "layer/redis/node_shard.py": ("layer/redis/test_cluster_nodes.py", "the pair of the two"),
    "clients/lease_scripts.py": ("clients/test_lease.py", "Lua, which only a lease runs, in a real Redis"),
    "console/page_answers.py": ("console/test_inspection.py", "what is on a page, and who is missing"),
    "console/asked.py": (
        "console/test_inspection.py",
        "checks of what is asked, which pages make of their options",
    ),
    "console/socket_topics.py": ("console/test_inspection.py", "the answers of which pages are made"),
    "console/room_topics.py": ("console/test_inspection.py", "as above"),
    "console/room_inspection.py": ("console/test_inspection.py", "the page of one room, of the pages of others"),
    "console/process_topics.py": ("console/test_inspection.py", "what the page of processes shows"),
    "console/route_topics.py": ("clients/test_supervisor.py", "what the supervisor tells, and does when it is told"),
    "live/room_states.py": ("live/test_membership.py", "states that are made once for several joins"),
    "live/asks.py": ("live/test_socket.py", "what LiveSocket.ask() does, with a client that answers"),
    "live/join_rules.py": ("live/test_membership.py", "the first steps of a join"),
    "clients/outbound_process.py": ("management/commands/test_runws_clients.py", "the command runs it, in processes"),
    "doctor/examination.py": (
        "management/commands/test_ws_doctor.py",
        "the order of all checks, as the command shows",
    ),
    "transports/receiving.py": ("transports/test_asgi.py", "the receiving side of the transport there"),
    "types.py": ("test_public_api.py", "names of shapes, for type checkers"),
    "clients/picows_connection.py": ("clients/test_decoding.py", "one table for all who read a connection"),
}

# Folders of tests that are of no one module.
FOLDERS = {"contract", "e2e", "docs", "support", "balancer", "release"}

# Tests that are of no one module, and why.
ACROSS = {
    "console/test_two_processes.py": "all of the console, over real servers",
    "admin/test_console_pages.py": "the console on real servers, and in a browser",
    "clients/test_costs.py": "what a message costs on its way through transport, parser and connection",
    "clients/test_document.py": "every call of one document, section by section",
    "clients/test_metrics.py": "what runner, handling and transport count",
    "clients/test_rooms.py": "a feed, a room and a server together",
    "clients/test_stopping.py": "the way of a stop through supervisor, runner, handler and transport",
    "layer/redis/test_history_faults.py": "publishers, scripts and connections, while these break",
    "layer/redis/test_history_servers.py": "publishers and scripts, on servers that restart, change or refuse",
    "layer/redis/test_sentinel.py": "publishers, scripts and members, while a Sentinel names another master",
    "live/test_latest.py": "keyed rooms, on the same way",
    "live/test_lost_events.py": "losses on that way, each at an awkward moment",
    "live/test_merge.py": "what becomes of each event on that way, whatever happens in whatever order",
    "live/test_fuzz.py": "whatever a client may say, over all that serves it",
    "schema/test_console.py": "the docs page in a browser",
    "server/test_daphne_suite.py": "daphne's own tests",
    "server/test_floods.py": "messages into a busy handler, and clients that do not read",
    "server/test_frames.py": "the sections of the Autobahn test suite",
    "server/test_log_injection.py": "every place that logs what a client has sent",
    "server/test_senders.py": "several tasks that send, over HTTP and on WebSockets",
    "transports/test_closes.py": "what transports, limits and handlers tell the metrics",
    "transports/test_fast_paths.py": "what a message costs on its way through the floors, and the files on it",
    "transports/test_wrapped.py": "applications inside of middleware that hides the server",
    "rooms/test_presence_machine.py": "presence of several processes, from their sockets down to the store",
    "rooms/test_event_rooms.py": "both kinds of members of a room, and kicks of them",
    "routing/test_reverse.py": "reverse_ws() of the router, with the paths of routes",
    "users/test_disconnect_sessions.py": "users/disconnect.py, as it is for sessions",
    "test_bench.py": "the benchmarks, which are no part of the package",
    "test_bench_scale.py": "the formulas of capacity, which are of the benchmarks",
    "test_browser_client.py": "the client in JavaScript, whose own tests are in tests/js/",
    "test_database_setup.py": "the settings FASTWS_DB_SETUP and FASTWS_DB_RESET, on real databases",
    "test_mirror.py": "this",
    "test_other_systems.py": "the package where there are no forks",
    "test_public_api.py": "the names that are fixed, wherever they are",
}

# Names of two modules or of several classes, and why.
ONE_NAME = {
    "fastws.py": "the class; and the template tags, which templates load by the name of their module",
    "asgi.py": "the module of a project's application, as Django has it; and a transport, named after what it speaks",
    "Room": "what users broadcast with; and the model by which Django's admin and permissions know it",
    "OutboundRoute": "a route that is declared; and that model of it",
    "Migration": "the class that Django looks for in the module of a migration",
    "Command": "the class that Django looks for in the module of a command",
}


def code_lines(source: str) -> int:
    """The number of lines with code: neither blank nor comments, docstrings or continued lines of either."""
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in blank:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def file_of(module: str) -> str:
    """Where a module is tested: ``core/test_x.py`` for ``_core/x.py``."""
    folder, _, name = module.rpartition("/")
    return f"{folder}/test_{name}".lstrip("/").replace("_core/", "core/")


MODULES = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.stem != "__init__"}
OWN = {file_of(module) for module in MODULES}
FILES = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
CLASSES = [
    node.name
    for module in MODULES
    for node in ast.parse((PACKAGE / module).read_text()).body
    if isinstance(node, ast.ClassDef)
]


def twice(names: list[str]) -> set[str]:
    """Those that are there more than once."""
    return {name for name, count in Counter(names).items() if count > 1}


def test_there_is_something_to_compare():
    assert len(MODULES) > 150
    assert code_lines('"""Said."""\n\n# so\nx = (\n    1\n)\n\n\ndef f():\n    """Said."""\n    return x\n') == 5


def test_a_module_has_tests_of_its_own():
    without = {module for module in MODULES if file_of(module) not in FILES}
    long = {module for module in without if code_lines((PACKAGE / module).read_text()) > LINES}
    assert sorted(long - set(ELSEWHERE)) == []


def test_what_is_tested_elsewhere_is_and_has_no_file_of_its_own():
    assert set(ELSEWHERE) <= MODULES
    assert {file for file, _ in ELSEWHERE.values()} <= FILES
    assert {file_of(module) for module in ELSEWHERE} & FILES == set()


def test_tests_of_a_module_have_its_name():
    of_no_module = {file for file in FILES - OWN if file.partition("/")[0] not in FOLDERS}
    assert sorted(of_no_module - set(ACROSS)) == []


def test_what_is_of_no_one_module_is_there_and_has_no_module():
    assert set(ACROSS) <= FILES - OWN


def test_no_two_modules_have_one_name():
    assert sorted(twice([Path(module).name for module in MODULES]) - set(ONE_NAME)) == []


def test_no_two_classes_have_one_name():
    assert sorted(twice(CLASSES) - set(ONE_NAME)) == []


def test_a_name_that_may_stand_twice_does():
    assert set(ONE_NAME) <= twice([*(Path(module).name for module in MODULES), *CLASSES])


def test_a_module_is_one_noun_which_has_no_more_lines():
    lines = {module: (PACKAGE / module).read_text().count("\n") for module in MODULES}
    assert {module: count for module, count in lines.items() if count > MOST_LINES} == {}
