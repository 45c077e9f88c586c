"""Handshakes that are malformed or malicious: denied or accepted at once, never an error in the server."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.conftest import tracebacks
from tests.site.client import LIMIT, connect, raw_request
from tests.support.processes import HOST, ASGIServer

pytestmark = [
    pytest.mark.server,
    pytest.mark.parametrize("kind", ["runws_server", "daphne", "uvicorn", "uvicorn-wsproto"]),
]


@pytest.fixture
def server(site: Any, kind: str) -> ASGIServer:
    return site(kind)


async def answer(server: ASGIServer, target: bytes, *headers: tuple[bytes, bytes]) -> tuple[int, bytes]:
    """The HTTP status and all of the answer; afterwards the server must still serve, and its log be clean."""
    start, started = server.log_size(), time.monotonic()
    async with asyncio.timeout(LIMIT):
        status, body = await raw_request(server, target, list(headers))
    assert time.monotonic() - started < 4.5  # after five seconds daphne answers by itself
    await serves_on(server)
    assert tracebacks(server.log(start)) == []
    return status, body


async def serves_on(server: ASGIServer) -> None:
    async with connect(server, "/ws/echo") as ws:
        await ws.send("still here")
        assert await ws.recv() == "still here"


# ── Origin ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "origin",
    [
        b"null",
        b"",
        b" ",
        b"http://",
        b"http:///",
        b"https://evil.example",
        b"http://127.0.0.1.evil.example",
        b"http://evil.example/127.0.0.1",
        b"http://127.0.0.1@evil.example",
        b"http://user:pass@127.0.0.1",
        b"http://[::1",
        b"http://[::1]]",
        b"http://127.0.0.1:port",
        b"http://127.0.0.1:99999",
        b"http://127.0.0.1:-1",
        b"http://127.0.0.1:80:80",
        b"127.0.0.1",
        b"javascript:alert(1)",
        b"file://",
        b"http://gr\xc3\xb6\xc3\x9fe.example",
        b"http://\xff\xfe",
        b"http://127.0.0.1\t.evil.example",
        b"http://127.0.0.1\\.evil.example",
        b"http://127.0.0.1%00.evil.example",
        b"http://127.0.0.1#@evil.example",
        b"http://127.0.0.1?.evil.example",
        b"*",
        b"http://*",
        b"http://" + b"a" * 5000,
        b"http://127.0.0.1, http://evil.example",
    ],
    ids=lambda origin: repr(origin)[2:-1][:40],
)
async def test_an_origin_that_is_foreign_or_none_is_denied(server, origin):
    status, _ = await answer(server, b"/ws/echo", (b"Origin", origin))
    assert status in (400, 403)


@pytest.mark.parametrize(
    "origin", [b"http://127.0.0.1", b"https://127.0.0.1:8000", b"HTTP://LOCALHOST", b"ws://testserver"]
)
async def test_an_origin_of_an_allowed_host_is_let_in(server, origin):
    assert (await answer(server, b"/ws/echo", (b"Origin", origin)))[0] == 101


async def test_two_origins_are_denied_even_if_one_is_allowed(server):
    good, bad = (b"Origin", b"http://127.0.0.1"), (b"Origin", b"http://evil.example")
    assert (await answer(server, b"/ws/echo", good, bad))[0] in (400, 403)
    assert (await answer(server, b"/ws/echo", bad, good))[0] in (400, 403)


# ── Query strings ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        (b"number=%ff", [400]),
        (b"number=\xff", [400]),
        (b"other=%ff", [400]),
        (b"%ff=1", [400]),
        (b"number=%ed%a0%80", [400]),  # half of a surrogate pair
        (b"number=%", [400]),
        (b"number=%zz", [400]),
        (b"number=1%00", [400]),
        (b"number=\xc3\xb6", [400]),
        (b"number=" + b"9" * 4000, [101, 400]),
        (b"number=" + b"9" * 5000, [400]),
        (b"number=", [400]),
        (b"number=1&number=x", [400]),
        (b"number=x&number=1", [101]),
        (b"&&&===&&", [101]),
        (b"number=1;drop", [400]),
        (b"number=%31", [101]),
        (b"number=+1", [101, 400]),
        (b"&".join([b"a=1"] * 1000), [101]),
        (b"&".join([b"a=1"] * 1001), [400]),
        (b"&" * 5000, [400]),
        (b"?number=1", [101]),
        (b"q=" + b"x" * 7000, [101]),
    ],
    ids=lambda query: repr(query)[2:30],
)
async def test_a_query_string_is_taken_or_denied(server, query, statuses):
    status, _ = await answer(server, b"/ws/about/me?" + query)
    assert status in statuses


# ── Cookies ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cookie", "statuses"),
    [
        (b"", [101]),
        (b";;; = ; =;", [101]),
        (b"a", [101]),
        (b'a="', [101]),
        (b"a=b=c; d", [101]),
        (b"\xff=\xfe", [101]),
        (b"gr\xc3\xb6\xc3\x9fe=\xc3\xb6", [101]),
        (b'a="\\000"', [101]),
        (b'sessionid="\\000"', [101]),
        (b'sessionid="a\\000b"', [101]),
        (b'sessionid="aaaaaaaa\\000aaaaaaaa"', [101]),
        (b'note="a\\012b"; tab="a\\011b"', [101]),  # as Django's set_cookie() writes a line break and a tab
        (b"note=a\tb", [101]),
        (b"name=" + "größe".encode(), [101]),  # as document.cookie writes it
        (b'sessionid="\\303\\266"', [101]),
        (b"sessionid=%00", [101]),
        (b"sessionid=", [101]),
        (b"sessionid=x", [101]),
        (b"sessionid=" + b"a" * 32, [101]),
        (b"sessionid=../../etc/passwd", [101]),
        (b"sessionid='; DROP TABLE django_session; --", [101]),
        (b"sessionid=" + b"a" * 5000, [101]),
        (b"sessionid=\xff\xfe", [101]),
        (b"sessionid=a; sessionid=b", [101]),
        (b"a=" + b"x" * 7000, [101]),
        (b"; ".join(b"c%d=1" % number for number in range(800)), [101]),
    ],
    ids=lambda cookie: repr(cookie)[2:30],
)
async def test_cookies_are_taken_or_denied(server, cookie, statuses):
    status, _ = await answer(server, b"/ws/about/me", (b"Cookie", cookie))
    assert status in statuses


async def test_two_cookie_headers_are_taken(server):
    headers = (b"Cookie", b"a=1"), (b"Cookie", b"b=2")
    assert (await answer(server, b"/ws/about/me", *headers))[0] == 101


# ── Subprotocols ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "statuses"),
    [
        (b"", [101, 400]),
        (b",", [101, 400]),
        (b"chat,", [101]),
        (b", chat", [101]),
        (b"chat,,other", [101]),
        (b"a b", [400]),
        (b"chat; q=1", [400]),
        (b'"chat"', [400]),
        (b"%63hat", [101, 400]),
        (b"%ff", [101, 400]),
        (b"chat%0d%0aSet-Cookie:%20a=1", [400]),
        (b",".join(b"p%d" % number for number in range(500)), [400]),
        (b"x" * 5000, [101, 400]),
        (b"chat, chat", [101, 400]),
    ],
    ids=lambda value: repr(value)[2:30],
)
async def test_a_subprotocol_header_is_taken_or_denied(server, value, statuses):
    status, body = await answer(server, b"/ws/offer", (b"Sec-WebSocket-Protocol", value))
    assert status in statuses
    assert b"\nset-cookie" not in body.lower()


async def test_two_subprotocol_headers_are_taken_or_denied(server):
    headers = (b"Sec-WebSocket-Protocol", b"chat"), (b"Sec-WebSocket-Protocol", b"other")
    assert (await answer(server, b"/ws/offer", *headers))[0] in (101, 400)


# ── Paths ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        (b"/ws/about/%00", [101, 400, 404]),
        (b"/ws/about/a%2fb", [404]),
        (b"/ws/about/..", [101, 404]),
        (b"/ws/../ws/echo", [404]),
        (b"/ws/about/%2e%2e%2fecho", [404]),
        (b"/ws/about/%ff", [101, 400, 404]),
        (b"/ws/about/\xff", [0, 101, 400, 404]),
        (b"/ws/about/gr\xc3\xb6\xc3\x9fe", [0, 101, 400, 404]),
        (b"/ws/about/%", [101, 400, 404]),
        (b"/ws/about/%0d%0aX:%20y", [101, 400, 404]),
        (b"/ws/about/a%0ab", [101, 400, 404]),
        (b"/ws/about/" + b"x" * 7000, [101, 404, 414]),
        (b"/" * 3000, [404]),
        (b"*", [0, 400, 404]),
        (b"//ws/echo", [101, 404]),
        (b"/ws/echo#fragment", [0, 101, 400, 404]),
        (f"http://{HOST}/ws/echo".encode(), [0, 101, 400, 404]),
        (b"ws/echo", [0, 101, 400, 404]),
        (b"", [0, 400, 404]),
        (b"/ws/echo;params", [404]),
    ],
    ids=lambda path: repr(path)[2:30],
)
async def test_a_path_is_taken_or_denied(server, path, statuses):
    status, body = await answer(server, path)
    assert status in statuses
    assert b"\nx: y" not in body.lower()


# ── Over the servers' own limits ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("target", "header"),
    [
        (b"/ws/echo?q=" + b"x" * 20_000, b""),
        (b"/ws/echo?q=" + b"x" * 1_000_000, b""),
        (b"/ws/about/me?" + b"&".join(b"a%d=1" % number for number in range(5000)), b""),
        (b"/ws/about/" + b"x" * 70_000, b""),
        (b"/ws/echo", b"Cookie: a=" + b"x" * 20_000),
        (b"/ws/echo", b"Cookie: a=" + b"x" * 200_000),
        (b"/ws/echo", b"Sec-WebSocket-Protocol: chat\x01"),
        (b"/ws/echo", b"X-Custom: " + b"x" * 200_000),
        (b"/ws/echo", b"\r\n".join(b"X-%d: x" % number for number in range(2000))),
    ],
    ids=lambda value: repr(value)[2:30],
)
async def test_what_servers_refuse_or_hang_up_on_by_themselves_does_not_stop_them(server, target, header):
    name, _, value = header.partition(b": ")
    reading = asyncio.create_task(raw_request(server, target, [(name, value)] if header else []))
    # uvicorn says in its log that it has answered 414 or 431, and sends nothing
    await asyncio.wait([reading], timeout=0.1)
    await serves_on(server)
    reading.cancel()


# ── The handshake itself ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "header",
    [
        (b"Sec-WebSocket-Extensions", b"permessage-deflate; client_max_window_bits=99"),
        (b"X-Forwarded-For", b"not, an, address"),
        (b"X-Custom", b"x" * 7000),
        (b"X_Under_Score", b"1"),
        (b"Daphne-Root-Path", b"/x"),
        (b"Daphne-Root-Path", b"\xff"),
        (b"Authorization", b"Basic \xff\xff"),
        (b"Content-Length", b"0"),
    ],
    ids=lambda header: repr(header)[3:40],
)
async def test_an_odd_header_is_taken_or_denied(server, header):
    status, _ = await answer(server, b"/ws/echo", header)
    assert status in (0, 101, 400)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /ws/echo HTTP/1.1\r\n\r\n",
        b"GET /ws/echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET /ws/echo HTTP/1.0\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"PUT /ws/echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
        b"GET /ws/echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 99\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\r\n\r\n",
    ],
    ids=lambda request: repr(request)[2:60],
)
async def test_what_is_no_handshake_ends_with_an_answer_or_a_hang_up(server, request_):
    start = server.log_size()
    reader, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(request_)
    writer.write_eof()
    async with asyncio.timeout(LIMIT):
        try:
            got = await reader.read()
        except ConnectionResetError:
            got = b""
    writer.close()
    assert not got.startswith(b"HTTP/1.1 101")
    await serves_on(server)
    assert tracebacks(server.log(start)) == []
