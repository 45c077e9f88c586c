"""The server and its application: however that ends, the client is answered, and the log has it."""

from __future__ import annotations

import pytest

from tests.conftest import check_log, tracebacks
from tests.server.client import fetch
from tests.site.client import connect, denial, token, until
from tests.support.processes import ASGIServer

pytestmark = pytest.mark.server


@pytest.fixture
def server(plain):
    return plain()


@pytest.fixture(scope="module")
def shared_unchecked():
    """A server that does not look after its connections: no end waits for that, nor for a timeout."""
    with ASGIServer("runws_server", app="tests.site.unchecked:plain") as server:
        yield server


@pytest.fixture
def unchecked(shared_unchecked):
    start = shared_unchecked.log_size()
    yield shared_unchecked
    check_log(shared_unchecked, start)


@pytest.mark.parametrize(("when", "answer"), [("before", 500), ("return-before", 403)])
async def test_an_application_that_ends_before_the_handshake_is_answered_for_at_once(unchecked, when, answer):
    server, start, name = unchecked, unchecked.log_size(), token()
    assert (await denial(server, f"/fail/{when}?token={name}"))[0] == answer
    assert tracebacks(server.log(start)) == ([f"RuntimeError: on purpose: {name}"] if answer == 500 else [])


@pytest.mark.parametrize(("when", "code"), [("after", 1011), ("return-after", 1000)])
async def test_an_application_that_ends_closes_at_once(unchecked, when, code):
    server, start, name = unchecked, unchecked.log_size(), token()
    async with connect(server, f"/fail/{when}?token={name}") as ws:
        await ws.send("now")
        assert (await ws.closed())[0] == code
    assert tracebacks(server.log(start)) == ([f"RuntimeError: on purpose: {name}"] if code == 1011 else [])


@pytest.mark.parametrize("query", ["", "&return"])
@pytest.mark.parametrize("when", ["before", "started"])
async def test_a_request_that_is_not_answered_is_500_at_once(unchecked, when, query):
    answer = await fetch(unchecked, f"/fail/{when}?token={token()}{query}")
    assert answer.status == 500
    assert "x-lost" not in answer.headers


async def test_half_of_an_answer_does_not_look_like_the_whole(server):
    with pytest.raises(OSError):  # noqa: PT011 (reset, or a chunk that is not whole)
        await fetch(server, f"/fail/half?token={token()}")


async def test_an_error_after_the_answer_is_logged(server):
    start, name = server.log_size(), token()
    assert (await fetch(server, f"/fail/after?token={name}")).body == b"half"

    async def is_logged() -> bool:
        return tracebacks(server.log(start)) == [f"RuntimeError: on purpose: {name}"]

    await until(is_logged)


def test_a_connection_that_is_forgotten_when_it_is_lost_is_no_error():
    """It was denied, its application has ended, and its client has kept it open."""
    from django_fastws.server.server import Server

    lost, open_ = object(), object()
    server = Server.__new__(Server)
    server.connections = {open_: {}}
    server.protocol_disconnected(lost)
    assert server.connections == {open_: {}}
    server.protocol_disconnected(open_)
    assert server.connections[open_].keys() == {"disconnected"}
