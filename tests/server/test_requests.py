"""HTTP requests: the limit of one body, and answers that cannot be sent."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import tracebacks
from tests.server.client import LIMITED, MEGABYTE, Connection, chunk, fetch
from tests.site.client import until
from tests.support.processes import ASGIServer

pytestmark = pytest.mark.server


@pytest.fixture
def server(plain):
    return plain()


# One body


@pytest.mark.parametrize("expects", [False, True])
@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
async def test_a_body_that_is_declared_too_large_is_refused_before_it_is_read(limited, expects, version):
    async with Connection(limited) as client:
        expect = ["Expect: 100-continue"] if expects else []
        await client.head("/upload/", f"Content-Length: {LIMITED + 1}", *expect, version=version)
        status, body = await client.answer()
        assert (status, body) == (413, b"Content Too Large: the body is over 100000 bytes")
        assert await client.is_closed()


async def test_a_client_that_sends_on_gets_the_answer_all_the_same(limited):
    """A reset would take it away."""
    async with Connection(limited) as client:
        await client.head("/upload/", f"Content-Length: {20 * MEGABYTE}")
        for _ in range(20):
            await client.write(b"x" * MEGABYTE)
        assert (await client.answer())[0] == 413
        assert await client.is_closed()


async def test_chunks_are_refused_when_they_pass_the_limit(limited):
    async with Connection(limited) as client:
        await client.head("/upload/", "Transfer-Encoding: chunked")
        await client.write(chunk(b"x" * LIMITED))
        await client.write(chunk(b"x"))
        assert (await client.answer())[0] == 413
        await client.write(chunk(b"x" * 1000) + b"0\r\n\r\nGET /scope/ HTTP/1.1\r\n\r\n")
        assert await client.is_closed()  # and what stands behind the body is no request


async def test_a_body_of_just_the_limit_is_taken(limited):
    async with Connection(limited) as client:
        for lines, body in (
            (f"Content-Length: {LIMITED}", b"x" * LIMITED),
            ("Transfer-Encoding: chunked", chunk(b"x" * LIMITED) + b"0\r\n\r\n"),
        ):
            await client.head("/upload/", lines)
            await client.write(body)
            assert (await client.facts())["bytes"] == LIMITED


async def test_a_refusal_is_in_the_access_log_and_nothing_else_is(limited):
    start = limited.log_size()
    async with Connection(limited) as client:
        await client.head("/upload/refused", f"Content-Length: {LIMITED + 1}")
        await client.answer()

    async def is_said() -> bool:
        return "POST /upload/refused" in limited.log(start)

    await until(is_said)
    assert '"POST /upload/refused" 413' in limited.log(start)
    assert "Traceback" not in limited.log()


async def test_a_handshake_has_no_large_body(server):
    handshake = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    async with Connection(server) as client:
        await client.head("/echo/", *handshake, "Content-Length: 100000", method="GET")
        assert (await client.answer())[0] == 413


server_test = pytest.mark.server


# Answers


def replying(*messages: dict[str, Any]) -> str:
    return f"/reply/?script={quote(repr(messages))}"


START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body", "body": b"ok"}


@server_test
@pytest.mark.parametrize(
    "messages",
    [
        [{**START, "headers": [(b"x-user", b"a\r\nset-cookie: evil=1")]}, BODY],
        [{**START, "headers": [(b"location", b"/\nset-cookie: evil=1")]}, BODY],
        [{**START, "headers": [(b"x\r\nset-cookie: evil=1\r\ny", b"a")]}, BODY],
        [{**START, "headers": [(b"x-user", b"a\0b")]}, BODY],
        [{**START, "headers": [(b"", b"a")]}, BODY],
        [{**START, "headers": [(b"x y", b"a")]}, BODY],
        [{**START, "headers": [(b"x-user", 5)]}, BODY],
        [{**START, "headers": ["ab"]}, BODY],
        [{**START, "headers": 5}, BODY],
        [{**START, "headers": [(b"content-length", b"2"), (b"content-length", b"3")]}, BODY],
        [{**START, "headers": [(b"content-length", b"+2")]}, BODY],
        [{"type": "http.response.start"}, BODY],
        [{**START, "status": "200"}, BODY],
        [{**START, "status": 1000}, BODY],
        [START, {**BODY, "body": "text"}],
        [START, {**BODY, "body": 5}],
    ],
    ids=lambda messages: repr(messages)[33:90],
)
async def test_an_answer_over_http_that_cannot_be_sent_is_a_500_and_logged_once(serve_shared, messages):
    start = serve_shared.log_size()
    answer = await fetch(serve_shared, replying(*messages))
    assert answer.status == 500
    assert not {"set-cookie", "x-user", "location"} & set(answer.headers)
    assert len(tracebacks(serve_shared.log(start))) == 1


@server_test
async def test_an_answer_over_http_that_can_be_sent_is_sent(serve_shared):
    headers = [(b"X-User", b" a\tb\x01 "), (b"x-text", b"gr\xf6\xdfe"), (b"Transfer-Encoding", b"chunked")]
    answer = await fetch(serve_shared, replying({**START, "headers": [*headers, (b"content-length", b"2")]}, BODY))
    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.headers["x-user"] == "a\tb\x01"
    assert answer.headers["x-text"] == "größe"
    assert "transfer-encoding" not in answer.headers


@pytest.fixture(scope="module")
def serve_shared():
    with ASGIServer("runws_server", app="tests.server.plain:application") as server:
        yield server
