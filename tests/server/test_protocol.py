"""ASGI and RFC 6455 on the server itself: for a plain application, without the package's transports between."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from tests.conftest import tracebacks
from tests.server.client import RawClient, fetch, make_frame, memory_kb, scripted, told
from tests.site.client import abort, connect, denial, token, until

pytestmark = pytest.mark.server

CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4000, 4999]
ACCEPT = {"type": "websocket.accept"}


@pytest.fixture
def server(plain):
    return plain()


# Closing


@pytest.mark.parametrize("code", CODES)
async def test_the_client_sees_every_code_and_reason_that_may_be_sent(server, code):
    close = {"type": "websocket.close", "code": code, "reason": "tschüß ✓"}
    async with RawClient(server, scripted(token(), ACCEPT, close)) as client:
        _, frame = await client.until_close()
        assert (frame.code, frame.reason) == (code, "tschüß ✓")
        client.send(8, frame.payload)
        assert await client.receive() is None


@pytest.mark.parametrize("code", CODES)
async def test_the_application_sees_every_code_and_reason_of_the_client_and_echoes_the_code(server, code):
    name = token()
    async with RawClient(server, f"/echo/{name}") as client:
        client.send(8, code.to_bytes(2, "big") + "tschüß ✓".encode())
        _, frame = await client.until_close()
        assert frame.code == code
        assert await client.receive() is None
    assert await told(server, name) == {"type": "websocket.disconnect", "code": code, "reason": "tschüß ✓"}


async def test_a_close_without_a_code_is_1000_out_and_1005_in(server):
    async with RawClient(server, scripted(token(), ACCEPT, {"type": "websocket.close"})) as client:
        assert (await client.until_close())[1].code == 1000
    name = token()
    async with RawClient(server, f"/echo/{name}") as client:
        client.send(8)
        assert (await client.until_close())[1].code == 1005
    assert await told(server, name) == {"type": "websocket.disconnect", "code": 1005, "reason": ""}


@pytest.mark.parametrize(
    ("close", "says"),
    [
        ({"code": 1005}, "close code 1005 cannot be sent"),
        ({"code": 1006}, "close code 1006 cannot be sent"),
        ({"code": 1015}, "close code 1015 cannot be sent"),
        ({"code": 999}, "close code 999 cannot be sent"),
        ({"code": 5000}, "close code 5000 cannot be sent"),
        ({"reason": "x" * 124}, "the close reason has 124 bytes"),
    ],
)
async def test_a_close_that_cannot_be_sent_raises_and_leaves_the_socket_open(server, close, says):
    name = token()
    path = scripted(name, ACCEPT, {"type": "websocket.close", **close}, {"type": "websocket.send", "text": "open"})
    async with connect(server, path) as ws:
        assert await ws.recv() == "open"
    assert says in (await told(server, name))["raised"][1]


async def test_a_cut_connection_is_1006(server):
    name = token()
    ws = await connect(server, f"/echo/{name}")
    abort(ws)
    assert await told(server, name) == {"type": "websocket.disconnect", "code": 1006, "reason": ""}


async def test_a_client_that_does_not_answer_a_close_is_cut_off(server):
    name, started = token(), time.monotonic()
    async with RawClient(server, scripted(name, ACCEPT, {"type": "websocket.close", "code": 4000})) as client:
        assert (await client.until_close())[1].code == 4000
        assert await client.receive() is None
    assert 4 < time.monotonic() - started < 9
    assert (await told(server, name))["received"][-1]["code"] == 1006


# Messages


async def test_empty_messages_pass_both_ways(server):
    async with connect(server, "/echo/") as ws:
        for message in ("", b"", "x"):
            await ws.send(message)
            assert await ws.recv() == message


async def test_messages_that_are_malformed_raise_and_are_not_sent(server):
    name = token()
    bad = [
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": "a", "bytes": "b"},
        {"type": "websocket.accept"},
        {"type": "websocket.http.response.start", "status": 403},
        {"type": "http.response.body"},
        {"type": "nonsense"},
    ]
    async with connect(server, scripted(name, ACCEPT, *bad, {"type": "websocket.send", "text": "last"})) as ws:
        assert await ws.recv() == "last"
    raised = (await told(server, name))["raised"]
    assert [text.partition(":")[0] for text in raised] == ["", *["ValueError"] * len(bad), ""]
    assert "accepted before" in raised[3]


async def test_a_message_before_the_handshake_is_answered_raises(server):
    name = token()
    early = {"type": "websocket.send", "text": "early"}
    async with connect(server, scripted(name, early, ACCEPT, {"type": "websocket.send", "text": "last"})) as ws:
        assert await ws.recv() == "last"
    assert "send websocket.accept first" in (await told(server, name))["raised"][0]


async def test_a_message_over_the_limit_raises_in_the_application(serve_plain):
    server, name = serve_plain(settings={"FASTWS_MAX_MESSAGE_BYTES": 1000}), token()
    big, small = {"type": "websocket.send", "text": "x" * 1001}, {"type": "websocket.send", "text": "x" * 1000}
    async with connect(server, scripted(name, ACCEPT, big, small)) as ws:
        assert await ws.recv() == "x" * 1000
    assert (await told(server, name))["raised"][1].startswith("MessageTooBig: the message has 1001 bytes")


async def test_what_is_sent_after_the_end_is_dropped(server):
    name = token()
    close, late = {"type": "websocket.close", "code": 4000}, {"type": "websocket.send", "text": "late"}
    async with RawClient(server, scripted(name, ACCEPT, close, late)) as client:
        assert (await client.until_close())[0] == []
        client.send(8, b"\x0f\xa0")
        assert await client.receive() is None
    assert (await told(server, name))["raised"] == ["", "", ""]


# The handshake


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
        async with asyncio.timeout(2):
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
    assert (status, time.monotonic() - started < 5) == (503, True)
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
        async with asyncio.timeout(2):
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


# The end of the application


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
