"""The opening handshake: what the scope has of it, and how it is accepted, denied or left unanswered."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from tests.server.client import RawClient, fetch, make_frame, memory_kb, scripted, told
from tests.site.client import connect, denial, token

pytestmark = pytest.mark.server
ACCEPT = {"type": "websocket.accept"}


@pytest.fixture
def server(plain):
    return plain()


async def test_the_scope_is_whole(server):
    protocols = "Sec-WebSocket-Protocol: one, two\r\n"
    async with RawClient(server, "/scope/gr%C3%B6%C3%9Fe;a=1/b;c?q=1;2", protocols) as client:
        scope = json.loads((await client.receive()).payload)
        host, port = client.writer.get_extra_info("sockname")
    assert scope["type"] == "websocket"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}
    assert (scope["scheme"], scope["http_version"]) == ("ws", "1.1")
    assert scope["path"] == "/scope/größe;a=1/b;c"
    assert scope["raw_path"] == "/scope/gr%C3%B6%C3%9Fe;a=1/b;c"
    assert scope["query_string"] == "q=1;2"
    assert scope["subprotocols"] == ["one", "two"]
    assert scope["extensions"] == {"websocket.http.response": {}}
    assert scope["state"] == {"started": ["once"]}
    assert (scope["client"], scope["server"]) == ([host, port], ["127.0.0.1", server.port])


async def test_the_scope_of_a_request_has_the_same(server):
    scope = (await fetch(server, "/scope/x;y?q=1")).json()
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}
    assert (scope["scheme"], scope["path"], scope["state"]) == ("http", "/scope/x;y", {"started": ["once"]})


async def test_accept_takes_headers_and_a_subprotocol(server):
    headers = [["x-one", "1"], ["set-cookie", "a=größe"], ["set-cookie", "b=2"]]
    accept = {**ACCEPT, "subprotocol": "two", "headers": headers}
    async with connect(server, scripted(token(), accept), subprotocols=["one", "two"]) as ws:
        assert ws.subprotocol == "two"
        assert ws.response.headers["x-one"] == "1"
        cookies = ws.response.headers.get_all("set-cookie")
        assert [cookie.encode("latin-1").decode() for cookie in cookies] == ["a=größe", "b=2"]


@pytest.mark.parametrize(
    ("accept", "says"),
    [
        ({"subprotocol": "other"}, "the client offered 'one', 'two' and not the subprotocol 'other'"),
        ({"headers": [["sec-websocket-protocol", "one"]]}, "is the server's to set"),
        ({"headers": [["x", "a\r\nset-cookie: b"]]}, "control characters"),
        ({"headers": [["x y", "1"]]}, "is not a header name"),
    ],
)
async def test_an_accept_that_cannot_be_sent_raises_and_another_one_can_be(server, accept, says):
    name = token()
    async with connect(server, scripted(name, {**ACCEPT, **accept}, ACCEPT), subprotocols=["one", "two"]):
        pass
    raised = (await told(server, name))["raised"]
    assert says in raised[0]
    assert raised[1] == ""


async def test_a_denial_has_the_status_the_headers_and_the_body(server):
    name = token()
    start = {"type": "websocket.http.response.start", "status": 429, "headers": [["retry-after", "7"], ["x", "y"]]}
    first = {"type": "websocket.http.response.body", "body": "not ", "more_body": True}
    async with RawClient(
        server, scripted(name, start, first, {**first, "body": "now", "more_body": False})
    ) as client:
        assert client.status == 429
        assert client.head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
        assert b"\r\nretry-after: 7\r\nx: y\r\n" in client.head
        assert b"\r\ncontent-length: 7\r\n" in client.head
        assert b"\r\nconnection: close\r\n" in client.head
        async with asyncio.timeout(30):
            assert await client.reader.read() == b"not now"
    assert (await told(server, name))["raised"] == ["", "", ""]


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([{"type": "websocket.http.response.body", "body": "x"}], "send websocket.http.response.start first"),
        ([{"type": "websocket.http.response.start", "status": 101}], "101 is no HTTP status"),
        ([{"type": "websocket.http.response.start"}], "None is no HTTP status"),
    ],
)
async def test_a_denial_that_is_malformed_raises(server, messages, says):
    name = token()
    async with connect(server, scripted(name, *messages, ACCEPT)):
        pass
    assert says in (await told(server, name))["raised"][0]


async def test_a_close_before_the_accept_is_403(server):
    name = token()
    assert (await denial(server, scripted(name, {"type": "websocket.close", "code": 4000})))[0] == 403
    assert (await told(server, name))["received"][-1]["type"] == "websocket.disconnect"


async def test_an_application_that_does_not_answer_the_handshake_is_answered_for(plain):
    server, name = plain("--websocket_connect_timeout", "1"), token()
    started = time.monotonic()
    status, body = await denial(server, f"/silent/{name}")
    assert (status, time.monotonic() - started < 15) == (503, True)
    assert b"did not answer the handshake in time" in body
    assert (await told(server, name))["type"] == "websocket.disconnect"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Sec-WebSocket-Protocol: größe\r\n", 400),
        ("Origin: nonsense\r\n", 400),
        ("Host: a:b\r\n", 400),
        ("Sec-WebSocket-Version: 13\r\n", 400),
    ],
)
async def test_a_malformed_handshake_is_answered_as_http(server, line, status):
    async with RawClient(server, "/echo/", headers=line) as client:
        assert client.status == status
        assert b"\r\nconnection: close\r\n" in client.head
        async with asyncio.timeout(30):
            body = await client.reader.read()
        assert b"\r\ncontent-length: %d\r\n" % len(body) in client.head
        assert body


@pytest.mark.parametrize("size", [10, 20_000, 500_000])
async def test_frames_that_come_with_the_handshake_are_received(server, size):
    """A client should wait (RFC 6455 section 4.1); one that does not finds its messages where they belong."""
    frames = make_frame(2, b"\r\n\r\n" + b"x" * size) * 3
    async with RawClient(server, "/echo/", early=frames) as client:
        assert [len((await client.receive()).payload) for _ in range(3)] == [size + 4] * 3


@pytest.mark.faults
async def test_a_flood_before_the_handshake_is_answered_is_held_back(serve_plain):
    server, name, frame = serve_plain("--websocket_connect_timeout", "30"), token(), make_frame(2, b"x" * 60_000)
    async with RawClient(server, f"/later/{name}", early=frame, waits=False) as client:
        before = memory_kb(server)
        taken = await client.flood(frame, 50_000_000)
        assert taken < 25_000_000
        await fetch(server, f"/go/{name}")
        await client.answered()
        client.send(8, b"\x0f\xa0")
        facts = await told(server, name)
        assert facts["bytes"] >= taken - 60_000
        assert facts["end"]["code"] == 4000
        assert memory_kb(server) - before < 12_000
