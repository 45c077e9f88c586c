"""The options of @app.ws, each against a real server."""

from __future__ import annotations

import asyncio
import base64
import functools
import ssl
import threading
import time

import pytest
from django.db import connection as database

from django_fastws import WebSocketDisconnect
from django_fastws.clients import connecting as opening

from .conftest import run, running
from .peers import (
    HOST,
    closing,
    echo,
    frame,
    listen,
    read_close,
    read_frame,
    read_request,
    shake_hands,
    silence,
    soon,
)

REFUSED = [(503, {})] * 2

LIBRARIES = ("websockets", "picows", "plain")


async def once(ws):
    """A handler that makes sure of the connection and returns."""
    await ws.send("once")
    await ws.recv()


# url and headers, as callables


class Feed:
    """Callables of every kind.

    Attributes:
        calls: for each call, whether it was in the thread of the event loop.
    """

    def __init__(self, url):
        self.url = url
        self.calls = []

    def _answer(self):
        self.calls.append(threading.current_thread() is threading.main_thread())
        return f"{self.url}/{len(self.calls)}"

    def sync(self):
        return self._answer()

    async def asynchronous(self):
        await asyncio.sleep(0)
        return self._answer()

    def returns_awaitable(self):
        return self.asynchronous()


class CallableObject:
    def __init__(self, function):
        self.function = function

    def __call__(self):
        return self.function()


class AsyncCallableObject(CallableObject):
    async def __call__(self):
        return await self.function()


KINDS = {
    "function": lambda feed: feed.sync,
    "coroutine function": lambda feed: feed.asynchronous,
    "function that returns an awaitable": lambda feed: feed.returns_awaitable,
    "object": lambda feed: CallableObject(feed.sync),
    "object with an async __call__": lambda feed: AsyncCallableObject(feed.asynchronous),
    "partial": lambda feed: functools.partial(feed.sync),
    "partial of a coroutine function": lambda feed: functools.partial(feed.asynchronous),
}

IN_THE_LOOP = {kind: "coroutine" in kind or "async" in kind or "awaitable" in kind for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_callable_url_is_asked_at_every_attempt(app, peer, kind):
    server = await peer(closing(1000, 1001), refuse=REFUSED)
    feed = Feed(server.url)

    @app.ws(KINDS[kind](feed), reconnect=True, max_retries=9)
    async def read(ws):
        if ws.attempt == 4:
            return
        async for _ in ws:
            pass

    assert await run(app)
    assert [path for _, path in server.asked] == ["/1", "/2", "/3", "/4", "/5"]
    # Sync code runs in a thread: in that of the loop it would block every other route, and could not use the ORM.
    assert set(feed.calls) == {IN_THE_LOOP[kind]}


@pytest.mark.parametrize("kind", KINDS)
async def test_callable_headers_are_asked_at_every_attempt(app, peer, kind):
    server = await peer(closing(1000, 1001))
    feed = Feed("token")

    def headers():
        value = KINDS[kind](feed)()
        if isinstance(value, str):
            return {"Authorization": value}

        async def wait():
            return {"Authorization": await value}

        return wait()

    @app.ws(server.url, headers=headers, reconnect=True, max_retries=9)
    async def read(ws):
        if ws.attempt == 2:
            return
        async for _ in ws:
            pass

    assert await run(app)
    assert [visit.headers["Authorization"] for visit in server.visits] == ["token/1", "token/2", "token/3"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-One": "1", "X-Two": "2"},
        [("X-One", "1"), ("X-Two", "2")],
        (("X-One", "1"), ("X-Two", b"2")),
        {b"X-One": b"1", "X-Two": 2},
    ],
)
async def test_headers_are_a_mapping_or_pairs(app, peer, headers):
    server = await peer()
    app.ws(server.url, headers=headers)(once)
    assert await run(app)
    sent = server.visits[0].headers
    assert (sent["X-One"], sent["X-Two"]) == ("1", "2")
    assert "websockets" in sent["User-Agent"]


async def test_a_header_may_come_twice_and_user_agent_can_be_replaced(app, peer):
    server = await peer()
    app.ws(server.url, headers=[("X-A", "1"), ("X-A", "2"), ("user-agent", "mine")])(once)
    assert await run(app)
    sent = server.visits[0].headers
    assert (sent.get_all("X-A"), sent.get_all("User-Agent")) == (["1", "2"], ["mine"])


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Authorization": "opensesame\n"}, "the value of header 'Authorization' holds control characters"),
        (
            {"Authorization": "opensesame\r\nX-More: 1"},
            "the value of header 'Authorization' holds control characters",
        ),
        ({"Authorization": None}, "the value of header 'Authorization' is a str, not NoneType"),
        ({"X Y": "opensesame"}, "'X Y' is not a header name"),
        ("Authorization: opensesame", "headers are a mapping or pairs of name and value, not str"),
    ],
)
async def test_headers_from_a_callable_that_cannot_be_sent_end_the_route(app, peer, log, headers, words):
    """A token read from a file ends with a newline; that must not become another header."""
    server = await peer()
    app.ws(server.url, headers=lambda: headers, reconnect=True, max_retries=-1)(once)
    assert not await run(app)
    assert server.asked == []
    assert log.endings[0].startswith(words)
    assert "opensesame" not in log.text


async def test_pairs_that_can_be_read_only_once_are_sent_with_every_attempt(app, peer):
    server = await peer(closing(1000, 1001))

    @app.ws(server.url, headers=iter([("X-One", "1")]), reconnect=True, max_retries=9)
    async def read(ws):
        if ws.attempt == 2:
            return
        async for _ in ws:
            pass

    assert await run(app)
    assert [visit.headers["X-One"] for visit in server.visits] == ["1"] * 3


async def test_a_token_that_is_expired_is_asked_for_again(app, peer):
    """What callables are for: the first token is refused for the moment, the second is taken."""
    server = await peer(refuse=[(503, {})])
    tokens = iter(("old", "new"))
    app.ws(server.url, headers=lambda: {"Authorization": next(tokens)}, reconnect=True, max_retries=3)(once)
    assert await run(app)
    assert server.visits[0].headers["Authorization"] == "new"


@pytest.mark.django_db(transaction=True)
async def test_a_sync_callable_may_use_the_orm(app, peer):
    server = await peer()

    def url():
        with database.cursor() as cursor:
            cursor.execute("SELECT 'orm'")
            return f"{server.url}/{cursor.fetchone()[0]}"

    app.ws(url)(once)
    assert await run(app)
    assert server.visits[0].path == "/orm"


async def test_a_callable_that_cannot_reach_its_source_is_asked_again(app, peer, log):
    server = await peer()
    answers = iter((ConnectionRefusedError("no settings service"), TimeoutError("too slow"), server.url))

    async def url():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    app.ws(url, reconnect=True, max_retries=5)(once)
    assert await run(app)
    assert log.starting("WebSocket not connected") == [
        f"WebSocket not connected: <{url.__module__}.{url.__qualname__}> "
        f"(the URL or headers could not be resolved: {reason})"
        for reason in ("no settings service", "too slow")
    ]


@pytest.mark.parametrize("option", ["url", "headers"])
async def test_a_callable_that_fails_ends_its_route_with_a_traceback(app, peer, log, option):
    server = await peer()

    def broken():
        raise KeyError("FEED_TOKEN")

    options = {"url": server.url, "headers": None, option: broken}
    app.ws(**options, reconnect=True, max_retries=-1)(once)
    assert not await run(app)
    assert "KeyError: 'FEED_TOKEN'" in log.text
    assert server.asked == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1/", "must start with ws:// or wss://"),
        ("", "must start with ws:// or wss://"),
        ("ws:///feed", "has no host"),
        (None, "a URL is a str such as wss://example.com/, not NoneType"),
        ("ws://127.0.0.1:99999/", "malformed"),
        ("ws://exa..mple.test/", "idna"),
    ],
)
async def test_an_invalid_url_from_a_callable_ends_its_route_at_once(app, log, url, words):
    app.ws(lambda: url, reconnect=True, max_retries=-1)(once)
    assert not await run(app)
    assert len(log.endings) == 1
    assert words in log.endings[0]


# What the handshake offers


async def test_subprotocols_are_offered_in_order_and_the_agreed_one_is_told(app, peer):
    server = await peer(subprotocols=["v1", "v2"])
    agreed = []

    @app.ws(server.url, subprotocols=("v3", "v2", "v1"))
    async def look(ws):
        agreed.append(ws.subprotocol)

    assert await run(app)
    assert server.visits[0].headers["Sec-WebSocket-Protocol"] == "v3, v2, v1"
    assert agreed == [server.visits[0].connection.subprotocol]
    assert agreed[0] in ("v1", "v2")


async def test_origin_is_sent(app, peer):
    server = await peer(origins=["https://example.com"])
    app.ws(server.url, origin="https://example.com")(once)
    assert await run(app)
    assert server.visits[0].headers["Origin"] == "https://example.com"


async def test_without_origin_there_is_none(app, peer):
    server = await peer()
    app.ws(server.url)(once)
    assert await run(app)
    assert "Origin" not in server.visits[0].headers


@pytest.mark.parametrize(("options", "is_offered"), [({}, True), ({"compression": None}, False)])
async def test_compression_is_offered_unless_it_is_none(app, peer, options, is_offered):
    server = await peer()
    got = []

    @app.ws(server.url, **options)
    async def converse(ws):
        await ws.send("x" * 100_000)
        got.append(await ws.recv_str())

    assert await run(app)
    assert ("permessage-deflate" in server.visits[0].headers.get("Sec-WebSocket-Extensions", "")) is is_offered
    assert bool(server.visits[0].connection.protocol.extensions) is is_offered
    assert got == ["x" * 100_000]


async def test_user_and_password_of_the_url_are_sent_as_basic_authorization(app, peer):
    server = await peer()
    app.ws(server.url.replace("//", "//ada:opensesame@"))(once)
    assert await run(app)
    wanted = base64.b64encode(b"ada:opensesame").decode()
    assert server.visits[0].headers["Authorization"] == f"Basic {wanted}"


# TLS


async def test_a_private_authority_is_accepted_through_ssl(app, peer, certificates):
    server = await peer(ssl=certificates.server())
    app.ws(server.url, ssl=certificates.client())(once)
    assert await run(app)


@pytest.mark.parametrize(
    ("expired", "trusts", "words"),
    [
        (False, False, "bad certificate: unable to get local issuer certificate"),
        (True, True, "bad certificate: certificate has expired"),
    ],
)
async def test_a_bad_certificate_ends_the_route_at_once(app, peer, certificates, log, expired, trusts, words):
    server = await peer(ssl=certificates.server(expired=expired))
    context = certificates.client() if trusts else None
    app.ws(server.url, ssl=context, reconnect=True, max_retries=-1)(once)
    assert not await run(app)
    assert (log.endings, server.visits) == ([words], [])


async def test_a_certificate_of_another_name_is_bad(app, peer, certificates, log):
    server = await peer(ssl=certificates.server())
    url = server.url.replace(HOST, "localhost")
    app.ws(url, ssl=certificates.client(), reconnect=True, max_retries=-1)(once)
    assert not await run(app)
    assert log.endings[0].startswith("bad certificate: ")


async def test_tls_to_a_server_without_it_may_pass(app, peer, log):
    """It is what a proxy says whose backend is being restarted."""
    server = await peer()
    app.ws(server.url.replace("ws:", "wss:"), ssl=ssl.create_default_context(), reconnect=True, max_retries=1)(once)
    assert not await run(app)
    assert len(log.endings) == 2


# A proxy


class Proxy:
    """An HTTP proxy that knows CONNECT.

    Args:
        status: of its answers; 200 makes the connection.
    """

    def __init__(self, status=200, headers="", cut=False):
        self.requests = []
        self.status, self.headers, self.cut = status, headers, cut

    async def __call__(self, reader, writer, number):
        request = await read_request(reader)
        self.requests.append(request)
        if self.cut:
            return
        writer.write(f"HTTP/1.1 {self.status} whatever\r\n{self.headers}Content-Length: 0\r\n\r\n".encode())
        if self.status != 200:
            await writer.drain()
            await silence(reader, writer)
            return
        host, _, port = request.split()[1].rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(self._copy(reader, back), self._copy(there, writer))
        finally:
            back.close()

    @staticmethod
    async def _copy(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        writer.write_eof()


async def test_a_proxy_is_used(app, peer, raw_peer):
    server, proxy = await peer(), Proxy()
    door = await raw_peer(proxy)
    app.ws(server.url, proxy=f"http://ada:open%40sesame%3A@{HOST}:{door.port}")(once)
    assert await run(app)
    assert proxy.requests[0].startswith(f"CONNECT {HOST}:{server.port} HTTP/1.1\r\n")
    assert base64.b64encode(b"ada:open@sesame:").decode() in proxy.requests[0]
    assert len(server.visits) == 1


async def test_tls_goes_through_a_proxy(app, peer, raw_peer, certificates):
    server, proxy = await peer(ssl=certificates.server()), Proxy()
    door = await raw_peer(proxy)
    app.ws(server.url, proxy=f"http://{HOST}:{door.port}", ssl=certificates.client())(once)
    assert await run(app)
    assert len(proxy.requests) == 1


class Socks:
    """A SOCKS5 proxy (RFC 1928) that asks for no password and knows IPv4."""

    def __init__(self):
        self.asked = []

    async def __call__(self, reader, writer, number):
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        await reader.readexactly(4)
        host, port = await reader.readexactly(4), await reader.readexactly(2)
        self.asked.append((".".join(map(str, host)), int.from_bytes(port, "big")))
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        there, back = await asyncio.open_connection(*self.asked[-1])
        try:
            await asyncio.gather(Proxy._copy(reader, back), Proxy._copy(there, writer))
        finally:
            back.close()


async def test_a_socks_proxy_is_used(app, peer, raw_peer):
    server, proxy = await peer(), Socks()
    door = await raw_peer(proxy)
    app.ws(server.url, proxy=f"socks5://{HOST}:{door.port}")(once)
    assert await run(app)
    assert proxy.asked == [(HOST, server.port)]


async def test_a_socks_proxy_without_the_package_for_it_ends_the_route_at_once(app, peer, monkeypatch, log):
    async def without(*args, **options):
        raise ImportError("connecting through a SOCKS proxy requires python-socks")

    monkeypatch.setattr(opening, "connect", without)
    server = await peer()
    app.ws(server.url, proxy=f"socks5://{HOST}:1", reconnect=True, max_retries=-1)(once)
    assert not await run(app)
    assert log.endings == ["connecting through a SOCKS proxy requires python-socks"]


@pytest.mark.parametrize(("proxy", "is_used"), [(True, True), (None, False), (False, False)])
async def test_the_systems_proxy_is_used_unless_proxy_says_no(app, peer, raw_peer, monkeypatch, proxy, is_used):
    server, there = await peer(), Proxy()
    door = await raw_peer(there)
    for name in ("no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://{HOST}:{door.port}")
    app.ws(server.url, proxy=proxy)(once)
    assert await run(app)
    assert bool(there.requests) is is_used


@pytest.mark.parametrize("status", [502, 503, 504, 429])
async def test_a_proxys_status_that_may_pass_is_retried(app, peer, raw_peer, log, status):
    server, proxy = await peer(), Proxy(status)
    door = await raw_peer(proxy)
    app.ws(server.url, proxy=f"http://{HOST}:{door.port}", reconnect=True, max_retries=2)(once)
    assert not await run(app)
    assert log.endings == [f"the proxy answered {status} whatever"] * 3


async def test_a_proxy_that_hangs_up_is_asked_again(app, peer, raw_peer, log):
    server, proxy = await peer(), Proxy(cut=True)
    door = await raw_peer(proxy)
    app.ws(server.url, proxy=f"http://{HOST}:{door.port}", reconnect=True, max_retries=2)(once)
    assert not await run(app)
    assert log.endings == ["the proxy closed the connection without an answer"] * 3


@pytest.mark.parametrize(
    ("proxy", "status", "words"),
    [
        ("http://ada:opensesame@{door}", 407, "the proxy answered 407 whatever"),
        ("ftp://ada:opensesame@{door}", 200, "isn't a valid proxy"),
    ],
)
async def test_a_proxy_that_cannot_work_ends_the_route_at_once(app, peer, raw_peer, log, proxy, status, words):
    server, door = await peer(), await raw_peer(Proxy(status))
    app.ws(server.url, proxy=proxy.format(door=f"{HOST}:{door.port}"), reconnect=True, max_retries=-1)(once)
    assert not await run(app)
    assert len(log.endings) == 1
    assert words in log.endings[0]
    assert "opensesame" not in log.text


# Limits of time


async def test_open_timeout_gives_up_on_a_peer_that_never_answers_the_handshake(app, raw_peer, log):
    server = await raw_peer(silence)
    app.ws(server.url, open_timeout=0.05, reconnect=True, max_retries=2)(once)
    assert not await run(app)
    assert log.endings == ["timed out during opening handshake"] * 3
    assert server.count == 3


async def test_ping_timeout_finds_a_peer_that_never_answers_pings(app, raw_peer, log):
    closes = []

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        assert (await read_frame(reader))[0] == 9
        closes.append(await read_close(reader))

    server = await raw_peer(behave)
    seen = []

    @app.ws(server.url, ping_interval=0.02, ping_timeout=0.05, close_timeout=0.1, reconnect=True, max_retries=1)
    async def read(ws):
        async for _ in ws:
            pass
        seen.append(ws.close_code)

    assert not await run(app)
    assert (closes, seen) == ([(1011, "keepalive ping timeout")] * 2, [1006, 1006])
    assert log.endings == ["1006 (1011 keepalive ping timeout)"] * 2


async def test_without_ping_timeout_it_is_never_given_up(app, raw_peer):
    go_on = asyncio.Event()

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        await read_frame(reader)
        await go_on.wait()
        writer.write(frame(b"still there"))
        await silence(reader, writer)

    server = await raw_peer(behave)
    got = []

    @app.ws(server.url, ping_interval=0.02, ping_timeout=0.05, close_timeout=0.05)
    async def impatient(ws):
        with pytest.raises(WebSocketDisconnect):
            await ws.recv_str()
        go_on.set()

    @app.ws(server.url, ping_interval=0.02, ping_timeout=None, close_timeout=0.05)
    async def patient(ws):
        got.append(await ws.recv_str())

    await run(app)
    assert got == ["still there"]


async def test_without_ping_interval_no_ping_is_sent(app, raw_peer):
    sent = []

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        sent.append(await read_frame(reader))

    server = await raw_peer(behave)

    @app.ws(server.url, ping_interval=None, ping_timeout=0.01)
    async def wait(ws):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ws.recv(), 0.1)

    await run(app)
    assert sent[0][0] == 8


async def test_pings_keep_latency_up_to_date(app, peer):
    server = await peer()
    seen = []

    @app.ws(server.url, ping_interval=0.01)
    async def wait(ws):
        await soon(lambda: ws.latency > 0, "a pong")
        seen.append(ws.latency)

    assert await run(app)
    assert 0 < seen[0] < 5


async def test_close_timeout_gives_up_on_a_peer_that_does_not_answer_the_close(app, raw_peer, log):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        await asyncio.Event().wait()

    server = await raw_peer(behave)

    @app.ws(server.url, close_timeout=0.05)
    async def leave(ws):
        await ws.close(1000, "bye")

    started = time.monotonic()
    assert await run(app)
    assert time.monotonic() - started < 5
    assert log.endings == ["1000 bye"]


async def test_a_peer_that_says_goodbye_and_does_not_go_is_left(app, raw_peer, log):
    """RFC 6455 has the server close TCP first. One that does not is left: after a ping and the close timeout."""

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame((4000).to_bytes(2, "big") + b"bye", opcode=8))
        await asyncio.Event().wait()

    server = await raw_peer(behave)

    @app.ws(server.url, close_timeout=0.05, ping_interval=0.05)
    async def read(ws):
        async for _ in ws:
            pass

    await run(app)
    assert log.endings == ["4000 bye"]


# Limits of size


async def test_a_message_over_max_size_closes_with_1009(app, peer, log):
    async def send_big(ws, visit):
        await ws.send(b"x" * 1000)
        await ws.send(b"x" * 1001)
        await listen(ws, visit)

    server = await peer(send_big)
    got = []

    @app.ws(server.url, max_size=1000, reconnect=True, max_retries=1)
    async def read(ws):
        async for message in ws:
            got.append(len(message.data))

    assert not await run(app)
    assert got == [1000, 1000]
    assert [(await visit.ended()).close_code for visit in server.visits] == [1009, 1009]
    assert [line.startswith("1006 (1009") for line in log.endings] == [True, True]


async def test_max_size_is_1_mib_unless_none_disables_it(app, peer):
    async def send_big(ws, visit):
        await ws.send(b"x" * (2**20 + 1))
        await listen(ws, visit)

    server = await peer(send_big)
    got = []

    @app.ws(server.url, max_size=None)
    async def unlimited(ws):
        got.append(len((await ws.recv()).data))

    @app.ws(server.url)
    async def limited(ws):
        await ws.recv()

    assert not await run(app)
    assert got == [2**20 + 1]
    assert sorted([(await visit.ended()).close_code for visit in server.visits]) == [1000, 1009]


async def test_max_queue_stops_reading_until_the_handler_receives(app, peer):
    sent = []

    async def flood(ws, visit):
        while True:
            await ws.send(b"x" * 100_000)
            sent.append(1)

    server = await peer(flood, compression=None)
    counts = []

    @app.ws(server.url, max_queue=2)
    async def busy(ws):
        await soon(lambda: len(sent) > 5)
        while not counts or counts[-1] != len(sent):
            counts.append(len(sent))
            await asyncio.sleep(0.2)  # as long as the flood goes on, it is counted again
        for _ in range(len(sent)):
            assert len(await ws.recv_bytes()) == 100_000

    assert await run(app)
    assert len(sent) > counts[-1]


async def test_without_max_queue_everything_is_read(app, peer):
    async def burst(ws, visit):
        for _ in range(200):
            await ws.send(b"x" * 100_000)
        sent.set()
        await listen(ws, visit)

    sent = asyncio.Event()
    server = await peer(burst, compression=None)

    @app.ws(server.url, max_queue=None)
    async def busy(ws):
        await asyncio.wait_for(sent.wait(), 10)  # 20 MB, and nobody has received
        await ws.recv()

    assert await run(app)


async def test_the_connection_of_each_route_is_its_own(app, peer):
    server = await peer(echo)
    for number in range(20):
        app.ws(f"{server.url}/{number}", name=f"feed {number}")(once)
    async with running(app) as it:
        assert await it.ended()
    assert sorted(visit.path for visit in server.visits) == sorted(f"/{number}" for number in range(20))
