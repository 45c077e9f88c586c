"""The runner: what is connected again, how often, and what ends a route at once."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import pytest

from django_fastws import RouteError
from tests.clients.handlers import by_async_for, by_ping, by_recv, by_recv_caught, by_send, by_send_caught, once
from tests.support.transports import transport_of

from .conftest import run, running
from .peers import closing, frame, read_frame, shake_hands, soon

CODES = (1000, 1001, 1008, 1011, 4000)


async def by_closed(ws):
    await ws.recv()
    await soon(lambda: ws.closed)


async def by_nothing(ws):
    """Busy elsewhere, and never looks at the socket again."""
    await soon(lambda: not transport_of(ws).is_open)


async def by_receiving_late(ws):
    """Busy elsewhere, and receives what came meanwhile."""
    await soon(lambda: not transport_of(ws).is_open)
    assert (await ws.recv()).text.startswith("hello")
    await ws.recv()


async def by_a_task_group(ws):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(by_send(ws))
        tasks.create_task(by_recv(ws))


async def by_nested_task_groups(ws):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(by_a_task_group(ws))


NOTICING = [
    by_async_for,
    by_recv,
    by_recv_caught,
    by_send,
    by_send_caught,
    by_ping,
    by_closed,
    by_nothing,
    by_receiving_late,
    by_a_task_group,
    by_nested_task_groups,
]


@pytest.mark.parametrize("notice", NOTICING)
async def test_a_close_with_any_code_is_followed_by_a_new_connection(app, peer, log, notice):
    server = await peer(closing(*CODES, reason="bye"))
    attempts = []

    @app.ws(server.url, reconnect=True, max_retries=-1)
    async def handler(ws):
        attempts.append(ws.attempt)
        if len(attempts) <= len(CODES):
            await notice(ws)

    assert await run(app)
    assert attempts == [0, 1, 2, 3, 4, 5]
    assert log.endings == [*(f"{code} bye" for code in CODES), "1000"]


@pytest.mark.parametrize("notice", NOTICING)
async def test_a_cut_in_the_middle_of_a_message_is_followed_by_a_new_connection(app, raw_peer, log, notice):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame(b"hello"))
        writer.write(frame(b"half a message" * 5, fin=False)[:30])
        await writer.drain()
        if number == 2:
            await read_frame(reader)
        writer.close()

    server = await raw_peer(behave)
    attempts = []

    @app.ws(server.url, reconnect=True, max_retries=-1, close_timeout=0.1)
    async def handler(ws):
        attempts.append(ws.attempt)
        if len(attempts) <= 2:
            await notice(ws)

    assert await run(app)
    assert attempts == [0, 1, 2]
    assert log.endings[:2] == ["1006"] * 2


# Without reconnect


@pytest.mark.parametrize("notice", NOTICING)
@pytest.mark.parametrize("code", CODES)
async def test_without_reconnect_a_close_with_any_code_is_the_end(app, peer, log, code, notice):
    server = await peer(closing(code))
    app.ws(server.url, max_retries=-1)(notice)
    assert await run(app)
    assert (len(server.asked), log.endings) == (1, [str(code)])


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
async def test_without_reconnect_a_refusal_is_the_end(app, peer, status):
    server = await peer(refuse=[(status, {"Retry-After": "0"})])
    app.ws(server.url, max_retries=5)(once)
    assert not await run(app)
    assert len(server.asked) == 1


async def test_without_reconnect_a_cut_is_the_end(app, raw_peer, log):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)

    server = await raw_peer(behave)
    app.ws(server.url, max_retries=5)(by_async_for)
    assert not await run(app)
    assert (server.count, log.endings) == (1, ["1006"])


async def test_without_reconnect_an_error_is_the_end(app, peer):
    server = await peer()

    @app.ws(server.url, max_retries=5, retry_on_error=True)
    async def broken(ws):
        raise ValueError

    assert not await run(app)
    assert len(server.asked) == 1


async def test_without_reconnect_nobody_listening_is_the_end(app, peer, log):
    server = await peer()
    await server.stop()
    app.ws(server.url, max_retries=5)(once)
    assert not await run(app)
    assert len(log.starting("WebSocket connecting: ")) == 1


# What may pass


async def test_a_server_that_refuses_then_accepts(app, peer, log):
    server = await peer(refuse=[(503, {}), (500, {}), (502, {}), (429, {}), (408, {})])
    app.ws(server.url, reconnect=True, max_retries=5)(once)
    assert await run(app)
    assert len(server.asked) == 6
    assert log.endings == [
        "the server answered 503 Service Unavailable",
        "the server answered 500 Internal Server Error",
        "the server answered 502 Bad Gateway",
        "the server answered 429 Too Many Requests",
        "the server answered 408 Request Timeout",
        "1000",
    ]


async def test_a_server_that_is_down_then_up(app, peer, log):
    server = await peer()
    await server.stop()
    app.ws(server.url, reconnect=True, max_retries=-1)(once)
    async with running(app) as it:
        await soon(lambda: len(log.endings) >= 2)
        await server.start(server.port)
        assert await it.ended()
    assert "Connect call failed" in log.endings[0]


async def test_a_server_that_hangs_up_during_the_handshake_is_asked_again(app, raw_peer, log):
    async def behave(reader, writer, number):
        if number == 1:
            writer.write(b"HTTP/1.1 101 Switching")
            await writer.drain()

    server = await raw_peer(behave)
    app.ws(server.url, reconnect=True, max_retries=2)(once)
    assert not await run(app)
    assert server.count == 3


async def test_a_host_that_does_not_resolve_is_asked_again(app, log):
    app.ws("ws://no-such-host.invalid/", reconnect=True, max_retries=2)(once)
    assert not await run(app)
    assert len(log.endings) == 3


@pytest.mark.parametrize(
    ("status", "value", "least"),
    [
        (429, "1", 1.0),
        (503, lambda: formatdate(time.time() + 2, usegmt=True), 0.9),
        (429, "soon", 0),
        (429, "-1", 0),
        (429, "0", 0),
    ],
    ids=["seconds", "date", "nonsense", "negative", "zero"],
)
async def test_retry_after_is_honoured(app, peer, status, value, least):
    written = time.monotonic()
    server = await peer(refuse=[(status, {"Retry-After": value() if callable(value) else value})])
    app.ws(server.url, reconnect=True, max_retries=1)(once)
    assert await run(app)
    (refused, _), (accepted, _) = server.asked
    assert accepted - (written if callable(value) else refused) >= least
    assert least or accepted - refused < 15


async def test_retry_after_that_is_sooner_than_the_backoff_does_not_shorten_it(app, peer, settings):
    settings.FASTWS_CLIENT_BACKOFF_BASE = settings.FASTWS_CLIENT_BACKOFF_CAP = 0.3
    settings.FASTWS_CLIENT_BACKOFF_JITTER = 0
    server = await peer(refuse=[(429, {"Retry-After": "0"})])
    app.ws(server.url, reconnect=True, max_retries=1)(once)
    assert await run(app)
    assert server.asked[1][0] - server.asked[0][0] >= 0.3


# What cannot pass


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_status_that_cannot_pass_ends_the_route_with_the_reason(app, peer, log, status):
    server = await peer(refuse=[(status, {"Retry-After": "0"})])
    app.ws(server.url, reconnect=True, max_retries=-1, name="feed")(once)
    assert not await run(app)
    assert len(server.asked) == 1
    assert log.endings[0].startswith(f"the server answered {status} ")
    assert log.starting("Route ") == [f"Route feed has failed: {log.endings[0]}"]


RENEWABLE = [401, 403, 404, 451]


@pytest.mark.parametrize("status", RENEWABLE)
async def test_a_callable_is_asked_for_another_token_after_a_refusal(app, peer, status):
    server = await peer(refuse=[(status, {})] * 2)
    tokens = iter(("old", "older", "new"))
    app.ws(server.url, headers=lambda: {"X-Token": next(tokens)}, reconnect=True, max_retries=-1)(once)
    assert await run(app)
    assert [visit.headers["X-Token"] for visit in server.visits] == ["new"]


async def test_a_callable_for_the_url_too(app, peer):
    server = await peer(refuse=[(403, {})])
    tokens = iter(("old", "new"))
    app.ws(lambda: f"{server.url}/?token={next(tokens)}", reconnect=True, max_retries=-1)(once)
    assert await run(app)
    assert server.visits[0].path == "/?token=new"


async def test_retry_on_status_needs_no_callable(app, peer):
    server = await peer(refuse=[(401, {}), (410, {})])
    app.ws(server.url, retry_on_status=iter((401, 410)), reconnect=True, max_retries=-1)(once)
    assert await run(app)
    assert len(server.asked) == 3


@pytest.mark.parametrize("options", [{"retry_on_status": ()}, {"retry_on_status": [403]}, {"reconnect": False}])
async def test_retry_on_status_says_which(app, peer, options):
    server = await peer(refuse=[(401, {})])
    app.ws(server.url, headers=lambda: None, **{"reconnect": True, "max_retries": -1, **options})(once)
    assert not await run(app)
    assert len(server.asked) == 1


async def test_refusals_of_tokens_are_counted(app, peer):
    server = await peer(refuse=[(401, {})] * 9)
    app.ws(server.url, headers=lambda: None, reconnect=True, max_retries=2)(once)
    assert not await run(app)
    assert len(server.asked) == 3


@pytest.mark.parametrize("given", [401, "401", ["401"], [200], [True], [600]])
def test_retry_on_status_that_cannot_be(app, given):
    with pytest.raises(RouteError, match="retry_on_status"):
        app.ws("ws://example.com", retry_on_status=given)(once)


async def test_a_server_cannot_put_a_route_to_sleep_for_ever(app, peer, log):
    server = await peer(refuse=[(503, {"Retry-After": "99999999999999"})])
    app.ws(server.url, reconnect=True, max_retries=-1)(once)
    async with running(app):
        await soon(lambda: log.starting("WebSocket connecting again in 3600.0 seconds"))


async def test_a_server_that_speaks_no_http_ends_the_route(app, raw_peer, library):
    async def behave(reader, writer, number):
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await reader.read(1000)

    server = await raw_peer(behave)
    app.ws(server.url, open_timeout=2, reconnect=True, max_retries=-1)(once)
    assert not await run(app)
    # picows waits for more, and leaves the next attempt to websockets.
    assert server.count == (2 if library == "picows" else 1)


# How often


async def test_max_retries_counts_attempts_in_a_row(app, peer, log):
    server = await peer(refuse=[(503, {})] * 99)
    app.ws(server.url, reconnect=True, max_retries=3, name="feed")(once)
    assert not await run(app)
    assert len(server.asked) == 4
    assert log.starting("Route ") == [
        "Route feed has failed: gave up after 3 attempts to connect again: "
        "the server answered 503 Service Unavailable"
    ]


@pytest.mark.parametrize("code", CODES)
async def test_connections_that_do_not_stay_up_count_too(app, peer, code):
    server = await peer(closing(*[code] * 99))
    app.ws(server.url, reconnect=True, max_retries=2)(by_async_for)
    assert not await run(app)
    assert len(server.asked) == 3


async def test_max_retries_0_never_connects_again(app, peer):
    server = await peer(closing(1000))
    app.ws(server.url, reconnect=True)(by_async_for)
    assert not await run(app)
    assert len(server.asked) == 1


async def test_max_retries_minus_1_goes_on_without_end(app, peer):
    server = await peer(refuse=[(503, {})] * 99)
    app.ws(server.url, reconnect=True, max_retries=-1)(once)
    async with running(app):
        await soon(lambda: len(server.asked) > 30)


async def test_the_count_starts_again_after_a_connection_that_stayed_up(app, peer, settings):
    settings.FASTWS_CLIENT_STABLE_SECONDS = 1

    async def stay_a_while(ws, visit):
        if visit.number in (0, 2):
            await asyncio.sleep(1.2)  # it has stayed up

    server = await peer(stay_a_while)
    attempts = []

    @app.ws(server.url, reconnect=True, max_retries=2)
    async def read(ws):
        attempts.append(ws.attempt)
        await by_async_for(ws)

    assert not await run(app)
    assert attempts == [0, 1, 2, 1, 2]


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        ({}, 1.0, 2.0),
        ({"BASE": 6}, 3.0, 6.0),
        ({"BASE": 60}, 15.0, 30.0),
        ({"BASE": 60, "CAP": 45, "JITTER": 0}, 45.0, 45.0),
        ({"BASE": 8, "JITTER": 0.25}, 6.0, 8.0),
    ],
)
async def test_the_settings_change_base_cap_and_jitter_of_the_delay(app, peer, log, settings, values, least, most):
    del settings.FASTWS_CLIENT_BACKOFF_BASE, settings.FASTWS_CLIENT_BACKOFF_CAP
    for name, value in values.items():
        setattr(settings, f"FASTWS_CLIENT_BACKOFF_{name}", value)
    server = await peer(refuse=[(503, {})])
    app.ws(server.url, reconnect=True, max_retries=1)(once)
    async with running(app):
        await soon(lambda: log.starting("WebSocket connecting again in "))
    (line,) = log.starting("WebSocket connecting again in ")
    assert line.endswith(f" seconds: {server.url} (attempt 1)")
    assert least <= float(line.split()[4]) <= most


# Nothing is swallowed


async def test_how_each_connection_ended_is_logged_exactly_once(app, peer, log):
    server = await peer(closing(1000, 1001, 4000, 1011, reason="because"), refuse=[(503, {})])
    app.ws(server.url, reconnect=True, max_retries=5)(by_async_for)
    async with running(app):
        await server.visit(4)
        await soon(lambda: len(log.starting("✔ WebSocket connected")) == 5)
    assert log.endings == [
        "the server answered 503 Service Unavailable",
        "1000 because",
        "1001 because",
        "4000 because",
        "1011 because",
        "1001 going away",
    ]


async def test_what_a_peer_writes_makes_no_line_of_its_own_in_the_log(app, peer, log):
    server = await peer(closing(4000, reason="a\nERROR all is lost\x1b[31m"))
    app.ws(server.url)(by_async_for)
    assert await run(app)
    assert log.endings == ["4000 a\\nERROR all is lost\\x1b[31m"]
