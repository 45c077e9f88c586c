"""Fixtures for the tests of outbound routes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from django_fastws import FastWS
from django_fastws.clients.supervisor import Supervisor
from django_fastws.routing.routes import OutboundRoute
from tests.support.transports import transport_of

from .certificates import Certificates
from .handlers import once
from .peers import PATIENCE, Peer, RawPeer
from .projects import Project


@pytest.fixture(autouse=True)
def _no_long_waits(settings: Any) -> None:
    settings.FASTWS_CLIENT_BACKOFF_BASE = 0.02
    settings.FASTWS_CLIENT_BACKOFF_CAP = 0.02


@pytest.fixture
def app(routes: Any) -> FastWS:
    """The only FastWS there is."""
    return FastWS()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test with a real peer runs with each library; ``LIBRARIES`` of its module says otherwise."""
    marks = metafunc.definition.iter_markers("parametrize")
    if "library" in metafunc.fixturenames and not any(mark.args[0] == "library" for mark in marks):
        libraries = getattr(metafunc.module, "LIBRARIES", ("websockets", "picows"))
        metafunc.parametrize("library", libraries, indirect=True)


@pytest.fixture
def library(request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The library that connects routes; "plain" is websockets without anything read past it."""
    name: str = request.param
    if name == "plain":
        monkeypatch.setattr("django_fastws.clients.connecting.is_possible", lambda: False)
    settings.FASTWS_CLIENT_LIBRARY = "websockets" if name == "plain" else name
    return name


@pytest.fixture
async def peer(library: str) -> AsyncIterator[Callable[..., Awaitable[Peer]]]:
    """Start peers that end with the test: ``await peer(behave)``."""
    async with AsyncExitStack() as stack:

        async def start(*args: Any, **options: Any) -> Peer:
            return await stack.enter_async_context(Peer(*args, **options))

        yield start


@pytest.fixture
async def raw_peer(library: str) -> AsyncIterator[Callable[..., Awaitable[RawPeer]]]:
    """Start raw peers that end with the test: ``await raw_peer(behave)``."""
    async with AsyncExitStack() as stack:

        async def start(*args: Any, **options: Any) -> RawPeer:
            return await stack.enter_async_context(RawPeer(*args, **options))

        yield start


class Running:
    """A supervisor at work in this event loop."""

    def __init__(self, routes: Sequence[OutboundRoute], drain_seconds: float) -> None:
        self.supervisor = Supervisor(routes, drain_seconds)
        self.task = asyncio.ensure_future(self.supervisor.run())

    def stop(self) -> None:
        self.supervisor.stop()

    async def ended(self, timeout: float = PATIENCE) -> bool:
        """Wait for the end; returns whether all went well."""
        return await asyncio.wait_for(asyncio.shield(self.task), timeout)


@asynccontextmanager
async def running(source: FastWS | Sequence[OutboundRoute], drain_seconds: float = 5) -> AsyncIterator[Running]:
    """Run routes as long as the block lasts; then stop them in order."""
    it = Running(source.outbound if isinstance(source, FastWS) else source, drain_seconds)
    try:
        yield it
        if not it.task.done():
            it.stop()
            await it.ended()
    finally:
        it.task.cancel()
        await asyncio.gather(it.task, return_exceptions=True)


async def run(source: FastWS | Sequence[OutboundRoute], timeout: float = PATIENCE) -> bool:
    """Run routes to their end; returns whether all went well."""
    async with running(source) as it:
        return await it.ended(timeout)


class Log:
    """What the package has logged at INFO and above."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    @property
    def records(self) -> list[logging.LogRecord]:
        # pytest hears the library, too, whose words go nowhere.
        names = ("django_fastws.clients.library", "websockets")
        records = [record for record in self._caplog.records if not record.name.startswith(names)]
        return [record for record in records if record.name.startswith("django_fastws")]

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    @property
    def text(self) -> str:
        """All of it as it is printed, tracebacks included, whoever logged it."""
        return self._caplog.text

    def starting(self, start: str) -> list[str]:
        """The lines that start so."""
        return [line for line in self.lines if line.startswith(start)]

    @property
    def endings(self) -> list[str]:
        """How each connection ended: what stands in brackets behind the URL."""
        ended = [line for line in self.lines if line.startswith(("WebSocket closed: ", "WebSocket not connected: "))]
        return [line.partition(" (")[2].removesuffix(")") for line in ended]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    caplog.set_level(logging.INFO, "django_fastws")
    return Log(caplog)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A private authority, and what it has signed."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def project(library: str, tmp_path: Path) -> AsyncIterator[Project]:
    """A Django project of its own, for the command as users run it."""
    async with Project(tmp_path / "project", library) as project:
        yield project


@pytest.fixture
def seen(app):
    """The class of each connection that ``look`` got."""
    return []


@pytest.fixture
def look(seen):
    async def handler(ws):
        seen.append(type(transport_of(ws).connection))
        await once(ws)

    return handler
