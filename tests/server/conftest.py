"""Fixtures for the tests of the server."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.conftest import check_log
from tests.server import loops
from tests.server.client import LIMITED
from tests.support.processes import COMMANDS, ASGIServer

PLAIN = "tests.server.plain:application"


@pytest.fixture
def on_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that the test starts are on the event loop that is its parameter; without this, on uvloop."""
    options = ["--loop", request.param]
    monkeypatch.setitem(COMMANDS, "runws_server", [*COMMANDS["runws_server"], *options])
    monkeypatch.setattr(loops, "chosen", options)


@pytest.fixture(scope="session")
def shared_plain() -> Iterator[Callable[..., ASGIServer]]:
    """Servers of the plain application that last for the whole run, one for each set of options."""
    running: dict[tuple[str, ...], ASGIServer] = {}
    with ExitStack() as stack:

        def get(*options: str) -> ASGIServer:
            key = (*COMMANDS["runws_server"], *options)
            if key not in running:
                running[key] = stack.enter_context(ASGIServer("runws_server", app=PLAIN, options=options))
            return running[key]

        yield get
        for server in running.values():
            server.send_signal(signal.SIGTERM)


@pytest.fixture
def plain(shared_plain: Callable[..., ASGIServer]) -> Iterator[Callable[..., ASGIServer]]:
    """A server with the plain application, shared by all who ask for the same options.

    When the test is over, nothing may have been complained of in the log but what says that it was on purpose.
    """
    used: dict[ASGIServer, int] = {}

    def get(*options: str) -> ASGIServer:
        server = shared_plain(*options)
        used.setdefault(server, server.log_size())
        return server

    yield get
    for server, start in used.items():
        check_log(server, start)


@pytest.fixture
def serve_plain(serve: Callable[..., ASGIServer]) -> Callable[..., ASGIServer]:
    """Start a server of the plain application that ends with the test."""

    def start(*options: str, **more: Any) -> ASGIServer:
        return serve("runws_server", app=PLAIN, options=options, **more)

    return start


@pytest.fixture(scope="session")
def limited() -> Iterator[ASGIServer]:
    """A server that takes bodies of 100,000 bytes, and 300,000 bytes of all bodies together."""
    settings = {"FASTWS_MAX_BODY_BYTES": LIMITED, "FASTWS_MAX_SPOOL_BYTES": 3 * LIMITED}
    with ASGIServer("runws_server", app=PLAIN, settings=settings) as server:
        yield server
