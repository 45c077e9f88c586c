"""The server and its application: however that ends, the client is answered, and the log has it."""

from __future__ import annotations

import time

import pytest

from tests.conftest import tracebacks
from tests.server.client import fetch
from tests.site.client import connect, denial, token, until

pytestmark = pytest.mark.server


@pytest.fixture
def server(plain):
    return plain()


@pytest.mark.parametrize(("when", "answer"), [("before", 500), ("return-before", 403)])
async def test_an_application_that_ends_before_the_handshake_is_answered_for_at_once(server, when, answer):
    start, name, started = server.log_size(), token(), time.monotonic()
    assert (await denial(server, f"/fail/{when}?token={name}"))[0] == answer
    assert time.monotonic() - started < 0.9
    assert tracebacks(server.log(start)) == ([f"RuntimeError: on purpose: {name}"] if answer == 500 else [])


@pytest.mark.parametrize(("when", "code"), [("after", 1011), ("return-after", 1000)])
async def test_an_application_that_ends_closes_at_once(server, when, code):
    start, name = server.log_size(), token()
    async with connect(server, f"/fail/{when}?token={name}") as ws:
        started = time.monotonic()
        await ws.send("now")
        assert (await ws.closed())[0] == code
        assert time.monotonic() - started < 0.9
    assert tracebacks(server.log(start)) == ([f"RuntimeError: on purpose: {name}"] if code == 1011 else [])


@pytest.mark.parametrize("query", ["", "&return"])
@pytest.mark.parametrize("when", ["before", "started"])
async def test_a_request_that_is_not_answered_is_500_at_once(server, when, query):
    name, started = token(), time.monotonic()
    answer = await fetch(server, f"/fail/{when}?token={name}{query}")
    assert (answer.status, time.monotonic() - started < 0.9) == (500, True)
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
