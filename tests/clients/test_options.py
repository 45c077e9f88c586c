"""The options of @app.ws: url and headers as callables, timeouts and sizes; each against a real server."""

from __future__ import annotations

import asyncio
import time

import pytest
from django.db import connection as database

from django_fastws import WebSocketDisconnect
from tests.clients.handlers import KINDS, Feed, once

from .conftest import run, running
from .handlers import by_async_for
from .peers import (
    PATIENCE,
    closing,
    echo,
    frame,
    listen,
    read_close,
    read_frame,
    shake_hands,
    silence,
    soon,
)

REFUSED = [(503, {})] * 2

LIBRARIES = ("websockets", "picows", "plain")


# url and headers, as callables


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


# Timeouts


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
    assert 0 < seen[0] < 20


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
    assert time.monotonic() - started < 9  # by default it has ten seconds
    assert log.endings == ["1000 bye"]


async def test_a_peer_that_says_goodbye_and_does_not_go_is_left(app, raw_peer, log):
    """RFC 6455 has the server close TCP first. One that does not is left: after a ping and the close timeout."""

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame((4000).to_bytes(2, "big") + b"bye", opcode=8))
        await asyncio.Event().wait()

    server = await raw_peer(behave)

    app.ws(server.url, close_timeout=0.05, ping_interval=0.05)(by_async_for)
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


@pytest.mark.long
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


@pytest.mark.long
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
        await asyncio.wait_for(sent.wait(), PATIENCE)  # 20 MB, and nobody has received
        await ws.recv()

    assert await run(app)


async def test_the_connection_of_each_route_is_its_own(app, peer):
    server = await peer(echo)
    for number in range(20):
        app.ws(f"{server.url}/{number}", name=f"feed {number}")(once)
    async with running(app) as it:
        assert await it.ended()
    assert sorted(visit.path for visit in server.visits) == sorted(f"/{number}" for number in range(20))
