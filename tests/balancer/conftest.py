"""Two servers and one Redis, and a proxy in front of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.balancer.proxies import KINDS, Proxy
from tests.balancer.servers import RunwsServer, running
from tests.clients.certificates import Certificates
from tests.conftest import complaints
from tests.support.processes import RedisServer

#: After so many seconds of silence the shared proxies cut a socket.
IDLE_SECONDS = 3
#: So often do the shared servers ping.
PINGS = ("--ping-interval", "1", "--ping-timeout", "30")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A private authority."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def certificate(certificates: Certificates) -> Path:
    """A file with a certificate of 127.0.0.1, and its key."""
    return certificates.authority.with_name("good.pem")


@pytest.fixture(params=[pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in KINDS])
def kind(request: pytest.FixtureRequest) -> str:
    """Each proxy in turn."""
    return str(request.param)


@contextmanager
def served(*servers: RunwsServer) -> Iterator[None]:
    """Run servers; in the end, nothing may have gone wrong in them."""
    with running(*servers):
        yield
        logs = [server.log() for server in servers]
    for log in logs:
        assert complaints(log) == []


@pytest.fixture(scope="session")
def servers(redis_server: RedisServer) -> Iterator[tuple[RunwsServer, RunwsServer]]:
    """Two servers that nobody stops."""
    settings = {"FASTWS_METRICS_PATH": "/metrics"}
    one, two = (RunwsServer(redis_server, *PINGS, settings=settings) for _ in range(2))
    with served(one, two):
        yield one, two


@pytest.fixture(scope="session")
def silent_server(redis_server: RedisServer) -> Iterator[RunwsServer]:
    """A server that does not ping."""
    with served(server := RunwsServer(redis_server, "--ping-interval", "0")):
        yield server


@pytest.fixture(scope="session")
def shared_proxies(certificate: Path) -> Iterator[Callable[..., Proxy]]:
    """Proxies that last for the whole run, by their kind and the servers behind them."""
    started: dict[tuple[str, RunwsServer, RunwsServer], Proxy] = {}
    with ExitStack() as stack:

        def get(kind: str, one: RunwsServer, two: RunwsServer) -> Proxy:
            key = kind, one, two
            if key not in started:
                proxy = KINDS[kind]([one.address, two.address], certificate, IDLE_SECONDS)
                started[key] = stack.enter_context(proxy)
            return started[key]

        yield get


@pytest.fixture
def proxy(kind: str, servers: tuple[RunwsServer, RunwsServer], shared_proxies: Callable[..., Proxy]) -> Proxy:
    """A proxy in front of the two servers that nobody stops."""
    return shared_proxies(kind, *servers)
