"""What applications answer a handshake with: sent as it should be, or refused with a 500 that has nothing of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import tracebacks
from tests.site.client import LIMIT, connect, raw_request
from tests.support.processes import ASGIServer

pytestmark = pytest.mark.server

KINDS = ["runws_server", "daphne", "uvicorn", "uvicorn-wsproto"]
APPLICATIONS = ["/ws/answering/consumer", "/ws/answering/sync", "/plain"]
ACCEPT = {"type": "websocket.accept"}
START = {"type": "websocket.http.response.start", "status": 403}
BODY = {"type": "websocket.http.response.body", "body": b"no"}
EVIL = b"set-cookie: sessionid=evil"


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, ASGIServer]]:
    servers: dict[str, ASGIServer] = {}
    yield servers
    for server in servers.values():
        server.__exit__()


@pytest.fixture(params=KINDS)
def server(running: dict[str, ASGIServer], request: pytest.FixtureRequest) -> ASGIServer:
    if request.param not in running:
        running[request.param] = ASGIServer(request.param, app="tests.site.answering:application").__enter__()
    return running[request.param]


async def ask(server: ASGIServer, path: str, script: Any, *headers: tuple[bytes, bytes]) -> tuple[int, bytes]:
    """The status and the whole of the answer, which must come at once."""
    started = time.monotonic()
    async with asyncio.timeout(LIMIT):
        answer = await raw_request(server, f"{path}?script={quote(repr(script))}".encode(), list(headers))
    assert time.monotonic() - started < 4.5  # after five seconds daphne answers by itself
    return answer


REFUSED = {
    "line break in a value": [{**ACCEPT, "headers": [(b"x-user", b"a\r\n" + EVIL)]}],
    "line feed in a value": [{**ACCEPT, "headers": [(b"x-user", b"a\n" + EVIL)]}],
    "carriage return in a value": [{**ACCEPT, "headers": [(b"x-user", b"a\r" + EVIL)]}],
    "line break at the end": [{**ACCEPT, "headers": [(b"x-user", b"a\r\n")]}],
    "NUL in a value": [{**ACCEPT, "headers": [(b"x-user", b"a\0b")]}],
    "line break in a name": [{**ACCEPT, "headers": [(b"x\r\n" + EVIL + b"\r\ny", b"a")]}],
    "colon in a name": [{**ACCEPT, "headers": [(b"x:y", b"a")]}],
    "space in a name": [{**ACCEPT, "headers": [(b"x ", b"a")]}],
    "no name": [{**ACCEPT, "headers": [(b"", b"a")]}],
    "a number": [{**ACCEPT, "headers": [(b"x-number", 5)]}],
    "None": [{**ACCEPT, "headers": [(b"x-none", None)]}],
    "no pairs": [{**ACCEPT, "headers": [b"x-user: a"]}],
    "two characters": [{**ACCEPT, "headers": ["ab"]}],
    "no list": [{**ACCEPT, "headers": 5}],
    "text": [{**ACCEPT, "headers": "x-user: a"}],
    "Connection": [{**ACCEPT, "headers": [(b"connection", b"close")]}],
    "Upgrade": [{**ACCEPT, "headers": [(b"Upgrade", b"h2c")]}],
    "Sec-WebSocket-Accept": [{**ACCEPT, "headers": [(b"sec-websocket-accept", b"x")]}],
    "Sec-WebSocket-Protocol": [{**ACCEPT, "headers": [(b"sec-websocket-protocol", b"x")]}],
    "Content-Length": [{**ACCEPT, "headers": [(b"content-length", b"5")]}],
    "Transfer-Encoding": [{**ACCEPT, "headers": [(b"transfer-encoding", b"chunked")]}],
    "subprotocol": [{**ACCEPT, "subprotocol": "nope"}],
    "subprotocol with headers": [{**ACCEPT, "subprotocol": "nope", "headers": [(b"x-user", b"a")]}],
    "subprotocol with a line break": [{**ACCEPT, "subprotocol": "chat\r\nset-cookie: sessionid=evil"}],
    "subprotocol of bytes": [{**ACCEPT, "subprotocol": b"chat"}],
    "Location of a denial": [{**START, "status": 302, "headers": [(b"location", b"/\r\n" + EVIL)]}, BODY],
    "text as the body of a denial": [START, {**BODY, "body": "no"}],
    "later part of a denial": [START, {**BODY, "more_body": True}, {**BODY, "body": 5}],
    "status of a denial": [{**START, "status": 101}, BODY],
    "text as the status of a denial": [{**START, "status": "403"}, BODY],
    "list as the body of a denial": [START, {**BODY, "body": []}],
}


@pytest.mark.parametrize("script", REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_sent_is_answered_with_500_and_logged_once(server, script):
    start = server.log_size()
    status, answer = await ask(server, "/ws/answering/consumer", script, (b"Sec-WebSocket-Protocol", b"chat, other"))
    assert status == 500
    assert EVIL not in answer
    assert b"x-user" not in answer.lower()
    assert len(tracebacks(server.log(start))) == 1


@pytest.mark.parametrize("path", APPLICATIONS)
async def test_every_kind_of_application_is_checked(server, path):
    start = server.log_size()
    for script in (REFUSED["line break in a value"], REFUSED["subprotocol with headers"]):
        status, answer = await ask(server, path, script)
        assert (status, EVIL in answer) == (500, False)
    assert len(tracebacks(server.log(start))) == 2


@pytest.mark.parametrize("path", APPLICATIONS)
async def test_what_can_be_sent_is_sent(server, path):
    headers = [(b"X-User", b" a\tb "), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-latin", b"gr\xf6\xdfe")]
    script = [{**ACCEPT, "subprotocol": "chat", "headers": headers}]
    status, answer = await ask(server, path, script, (b"Sec-WebSocket-Protocol", b"other,,chat"))
    lines = [line.lower() for line in answer.split(b"\r\n")]
    assert status == 101
    for line in (b"x-user: a\tb", b"set-cookie: a=1", b"set-cookie: b=2", b"sec-websocket-protocol: chat"):
        assert lines.count(line) == 1


@pytest.mark.parametrize("length", [b"0", b"1", b"100", b"nonsense"])
async def test_a_denial_is_framed_by_the_server(server, length):
    """Else its body could be taken for another response."""
    body = b"HTTP/1.1 200 OK\r\nset-cookie: sessionid=evil\r\n\r\n"
    headers = [(b"content-length", length), (b"transfer-encoding", b"chunked"), (b"x-why", b"rule")]
    status, answer = await ask(server, "/plain", [{**START, "headers": headers}, {**BODY, "body": body}])
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert (status, rest) == (403, body)
    lines = [line.lower() for line in head.split(b"\r\n")]
    assert [line for line in lines if line.startswith(b"content-length")] == [b"content-length: %d" % len(body)]
    assert not any(line.startswith(b"transfer-encoding") for line in lines)
    assert lines.count(b"x-why: rule") == 1


@pytest.mark.parametrize(
    "close",
    [{"code": 1005}, {"code": "1000"}, {"code": 99999}, {"reason": "x" * 124}, {"reason": b"bytes"}],
    ids=repr,
)
async def test_a_close_that_cannot_be_sent_closes_with_1011(server, close):
    start = server.log_size()
    script = quote(repr([ACCEPT, {"type": "websocket.close", **close}]))
    async with connect(server, f"/ws/answering/consumer?script={script}") as ws:
        assert await ws.closed() == (1011, "internal error")
    assert len(tracebacks(server.log(start))) == 1


async def test_an_application_may_answer_again_after_what_it_could_not_send(server):
    """ASGI middleware may catch the error, and knows that nothing was sent."""
    script = quote(repr([{**START}, ACCEPT]))
    async with connect(server, f"/ws/answering/consumer?script={script}") as ws:
        await ws.send("open")
        assert await ws.recv() == "open"
