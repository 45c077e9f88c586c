"""The orderly stop: what clients, handlers, monitors and other processes see of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections import Counter
from typing import Any

import pytest
import redis.asyncio
from websockets.asyncio.client import connect as plain_connect

from tests.conftest import check_log, layer_config
from tests.server.client import Connection, RawClient, fetch
from tests.server.loops import both_loops
from tests.site.client import LIMIT, connect, denial, token, until
from tests.support.processes import HOST, ASGIServer

pytestmark = [pytest.mark.server, pytest.mark.faults]


def said(server: ASGIServer, name: str) -> dict[str, object]:
    """What a handler has printed."""
    facts: dict[str, object] = {}
    for line in server.log().splitlines():
        if line.startswith('{"token"') and (told := json.loads(line)).pop("token") == name:
            facts.update(told)
    return facts


async def stopped(server: ASGIServer, limit: float = 60) -> int:
    """Wait for the end of a server that was told to stop; returns its exit status."""
    assert server.process is not None
    return await asyncio.to_thread(server.process.wait, limit)


async def begun(server: ASGIServer) -> None:
    """Wait until a server drains."""

    async def is_draining() -> bool:
        return "Draining: " in server.log()

    await until(is_draining)


@pytest.fixture
def server(serve):
    def start(seconds: float = 4, **more) -> ASGIServer:
        return serve("runws_server", settings={"FASTWS_DRAIN_SECONDS": seconds}, **more)

    return start


@both_loops
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("how", ["for", "receive", "send"])
async def test_clients_and_handlers_see_1012_and_the_status_is_0(server, signum, how):
    site, name = server(20), token()
    async with connect(site, f"/ws/stop/{how}/{name}?seconds=0.2") as ws:
        await ws.recv()
        site.send_signal(signum)
        assert await ws.closed() == (1012, "service restart;1000")
        assert await stopped(site) == 0
    assert said(site, name) == {"code": 1012, "reason": "service restart;1000", "finished": True}
    check_log(site)


async def test_the_log_has_one_line_at_the_begin_and_one_at_the_end(server):
    site = server(20)
    async with connect(site, "/ws/echo"):
        site.send_signal(signal.SIGTERM)
        await stopped(site)
    lines = [line for line in site.log().splitlines() if "rain" in line]
    assert len(lines) == 2
    assert "Draining: closing 1 WebSockets, waiting for 0 HTTP requests, for at most 20 seconds" in lines[0]
    assert ": 1 WebSockets were closed, 0 applications cancelled at the limit" in lines[1]


async def test_sockets_are_closed_over_half_of_the_time_and_not_in_order(server):
    site = server(8)
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connect(site, "/ws/echo")) for _ in range(80)]
        closed: list[tuple[float, int]] = []

        async def watch(number: int) -> tuple[int, str]:
            seen = await sockets[number].closed()
            closed.append((time.monotonic(), number))
            return seen

        site.send_signal(signal.SIGTERM)
        started = time.monotonic()
        seen = Counter(await asyncio.gather(*map(watch, range(80))))
        assert await stopped(site) == 0
    assert seen == {(1012, "service restart;1000"): 80}
    moments = [moment - started for moment, _ in closed]
    assert moments[-1] < 7.5
    assert moments[-1] - moments[0] > 1
    assert len({round(moment, 1) for moment in moments}) > 8
    assert [number for _, number in closed] != list(range(80))


@pytest.mark.parametrize(
    ("rate", "reason"),
    [("2/s", "service restart;2000"), ("1/m", "service restart;30000"), (None, "service restart")],
)
async def test_the_reason_announces_the_window_of_reconnects_by_the_number_of_sockets(serve, rate, reason):
    settings = {"FASTWS_DRAIN_SECONDS": 20, "FASTWS_RECONNECT_RATE": rate}
    site = serve("runws_server", settings=settings)
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connect(site, "/ws/echo")) for _ in range(4)]
        site.send_signal(signal.SIGTERM)
        assert {await ws.closed() for ws in sockets} == {(1012, reason)}
        assert await stopped(site) == 0


@pytest.mark.parametrize("seconds", ["0", "2"])
async def test_a_handler_that_is_cancelled_at_the_limit_sends_no_other_close(serve, seconds):
    """By itself it would close with 1001."""
    site, name = serve("runws_server", options=["--drain-seconds", seconds]), token()
    async with RawClient(site, f"/ws/stop/wait/{name}") as client:
        await client.receive()
        site.send_signal(signal.SIGTERM)
        frames, close = await client.until_close()
        assert (frames, close.code, close.reason) == ([], 1012, "service restart;1000")
        assert await client.receive() is None
        assert await stopped(site) == 0
    assert said(site, name) == {"cancelled": True, "finished": True}


async def test_one_socket_is_not_waited_for(server):
    site = server(20)
    async with connect(site, "/ws/echo"):
        started = time.monotonic()
        site.send_signal(signal.SIGTERM)
        assert await stopped(site) == 0
    assert time.monotonic() - started < 15


async def test_without_connections_it_ends_at_once(server):
    site, started = server(20), time.monotonic()
    site.send_signal(signal.SIGTERM)
    assert await stopped(site) == 0
    assert time.monotonic() - started < 15


async def test_meanwhile_it_is_alive_and_not_ready_and_denies_handshakes(serve_plain):
    site, name = serve_plain("--drain-seconds", "30", settings={"FASTWS_METRICS_PATH": "/metrics"}), token()
    assert (await fetch(site, "/readyz")).status == 200
    assert b"fastws_draining 0.0" in (await fetch(site, "/metrics")).body
    async with connect(site, f"/busy/{name}"):  # which does not end before it is told to go on
        site.send_signal(signal.SIGTERM)
        await begun(site)
        ready = await fetch(site, "/readyz")
        assert (ready.status, ready.json()) == (503, {"status": "draining"})
        assert b"fastws_draining 1.0" in (await fetch(site, "/metrics")).body
        assert (await fetch(site, "/healthz")).status == 200
        assert await denial(site, "/echo/") == (503, b"Service Unavailable: the server is restarting")
        answer = await fetch(site, f"/go/{name}")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await stopped(site) == 0
    assert "0 applications cancelled at the limit" in site.log()


@both_loops
async def test_a_handshake_that_is_under_way_is_denied(serve_plain):
    site, name = serve_plain("--drain-seconds", "20"), token()
    denied = asyncio.create_task(denial(site, f"/silent/{name}"))
    await fetch(site, f"/told/asked%20{name}")
    site.send_signal(signal.SIGTERM)
    assert (await denied)[0] == 503
    assert await stopped(site) == 0


@both_loops
async def test_a_request_that_is_under_way_is_finished(serve_plain):
    site, name = serve_plain("--drain-seconds", "30"), token()
    waiting = asyncio.create_task(fetch(site, f"/wait/{name}"))
    await fetch(site, f"/told/asked%20{name}")
    site.send_signal(signal.SIGTERM)
    await begun(site)
    assert (await fetch(site, "/readyz")).status == 503  # it listens on
    await fetch(site, f"/go/{name}")
    answer = await waiting
    assert (answer.status, answer.headers["connection"], answer.json()) == (200, "close", {"waited": True})
    assert await stopped(site) == 0


@both_loops
async def test_a_client_that_takes_its_time_gets_the_whole_of_an_answer(serve_plain):
    site, name = serve_plain("--drain-seconds", "30"), token()
    reader, writer = await asyncio.open_connection(HOST, site.port, limit=1024)
    writer.write(f"GET /stream/{name}?megabytes=20 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await fetch(site, f"/told/{name}")
    site.send_signal(signal.SIGTERM)
    await begun(site)
    async with asyncio.timeout(LIMIT):
        body = await reader.read()
    writer.close()
    assert len(body) > 20 * 1024 * 1024
    assert body.endswith(b"0\r\n\r\n")
    assert await stopped(site) == 0


async def test_an_answer_that_the_application_is_done_with_is_not_cut_off(serve_plain):
    site = serve_plain("--drain-seconds", "30", settings={"FASTWS_SEND_BUFFER_BYTES": 40_000_000})
    name = token()
    reader, writer = await asyncio.open_connection(HOST, site.port, limit=1024)
    writer.write(f"GET /stream/{name}?megabytes=30 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await fetch(site, f"/told/{name}")).json() == {"sent": 30}
    site.send_signal(signal.SIGTERM)
    await begun(site)
    await asyncio.sleep(0.5)  # in which an impatient server would be gone
    async with asyncio.timeout(LIMIT):
        body = await reader.read()
    writer.close()
    assert len(body) > 30 * 1024 * 1024
    assert body.endswith(b"0\r\n\r\n")
    assert await stopped(site) == 0


async def test_what_an_application_does_behind_its_answer_is_not_cut_off(serve_plain):
    site, name = serve_plain("--drain-seconds", "30"), token()
    await fetch(site, f"/late/{name}")
    site.send_signal(signal.SIGTERM)
    assert await stopped(site) == 0
    assert f"done {name}" in site.log()
    assert "0 applications cancelled at the limit" in site.log()


async def test_without_any_time_sockets_are_closed_all_the_same(serve):
    site, name = serve("runws_server", options=["--drain-seconds", "0"]), token()
    async with connect(site, f"/ws/stop/for/{name}") as ws:
        await ws.recv()
        site.send_signal(signal.SIGTERM)
        assert await ws.closed() == (1012, "service restart;1000")
        assert await stopped(site) == 0
    assert said(site, name)["finished"]


@both_loops
async def test_idle_connections_are_closed(server):
    site, started = server(30), time.monotonic()
    reader, writer = await asyncio.open_connection(HOST, site.port)
    writer.write(b"GET /hello/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    site.send_signal(signal.SIGTERM)
    async with asyncio.timeout(LIMIT):
        await reader.read()
    writer.close()
    assert await stopped(site) == 0
    assert time.monotonic() - started < 20


async def test_a_request_on_an_idle_connection_is_answered_after_the_port_is_closed(server):
    site = server(30)
    reader, writer = await asyncio.open_connection(HOST, site.port)
    for connection in ("keep-alive", "close"):
        writer.write(b"POST /hello/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
        async with asyncio.timeout(LIMIT):
            answer = await reader.readuntil(b"\r\n0\r\n\r\n")
        assert (b"connection: close" in answer.lower()) is (connection == "close")
        if connection == "keep-alive":
            site.send_signal(signal.SIGTERM)
            await begun(site)
            await until(lambda: is_closed(site))
    writer.close()
    assert await stopped(site) == 0
    check_log(site)


async def is_closed(server: ASGIServer) -> bool:
    """Whether nobody listens on the port of a server."""
    try:
        _, writer = await asyncio.open_connection(HOST, server.port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


@both_loops
@pytest.mark.parametrize("how", ["for", "wait"])
async def test_what_does_not_end_is_cancelled_at_the_limit_and_not_before(server, how):
    site, name = server(20 if how == "for" else 3), token()
    async with connect(site, f"/ws/stop/{how}/{name}?seconds={2 if how == 'for' else 0}") as ws:
        await ws.recv()
        started = time.monotonic()
        site.send_signal(signal.SIGTERM)
        assert await ws.closed() == (1012, "service restart;1000")
        assert await stopped(site) == 0
    seconds = time.monotonic() - started
    if how == "for":
        assert 2 < seconds < 15
        assert said(site, name) == {"code": 1012, "reason": "service restart;1000", "finished": True}
    else:
        assert 3 < seconds < 15
        assert said(site, name) == {"cancelled": True, "finished": True}
        assert "1 applications cancelled at the limit" in site.log()


async def test_a_client_that_does_not_answer_is_not_waited_for_until_the_limit(server):
    site, name = server(16), token()
    async with RawClient(site, f"/ws/stop/for/{name}") as client:
        await client.receive()
        started = time.monotonic()
        site.send_signal(signal.SIGTERM)
        _, close = await client.until_close()
        assert (close.code, close.reason) == (1012, "service restart;1000")
        closed = time.monotonic()
        assert await client.receive() is None
        assert time.monotonic() - closed > 1.9
        assert await stopped(site) == 0
    assert time.monotonic() - started < 15.9
    assert said(site, name) == {"code": 1012, "reason": "service restart;1000", "finished": True}


@both_loops
async def test_what_a_client_has_sent_before_it_saw_the_close_is_received(serve_plain):
    site, name = serve_plain("--drain-seconds", "20"), token()
    async with RawClient(site, f"/echo/{name}") as client:
        site.send_signal(signal.SIGTERM)
        await begun(site)
        frames, close = await client.until_close()
        assert (frames, close.code) == ([], 1012)
        client.send(8, close.payload)
        assert await client.receive() is None
    assert await stopped(site) == 0


async def test_a_busy_handler_receives_all_that_waits_for_it_and_then_1012(serve_plain):
    site, name = serve_plain("--drain-seconds", "20"), token()
    async with plain_connect(site.url(f"/busy/{name}"), proxy=None) as ws:
        for _ in range(60):
            await ws.send("x")
        await (await ws.ping())
        site.send_signal(signal.SIGTERM)
        await ws.wait_closed()
        assert ws.close_code == 1012
        async with Connection(site) as asking:  # before it goes on, for then nothing keeps the server
            await asking.head(f"/told/{name}", method="GET")
            await fetch(site, f"/go/{name}")
            facts: dict[str, Any] = await asking.facts()
    assert facts["messages"] == 60
    assert facts["end"] == {"type": "websocket.disconnect", "code": 1012, "reason": "service restart;1000"}
    assert await stopped(site) == 0


@both_loops
async def test_a_second_signal_ends_it_at_once(server):
    site, name = server(30), token()
    async with connect(site, f"/ws/stop/wait/{name}") as ws:
        await ws.recv()
        started = time.monotonic()
        site.send_signal(signal.SIGTERM)
        await begun(site)
        await asyncio.sleep(1.1)  # what comes within a second of the first may be the same wish
        site.send_signal(signal.SIGTERM)
        assert await stopped(site) == -signal.SIGTERM
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_second_signal_at_once_says_nothing_new(server, second):
    """A shell's and a supervisor's."""
    site, name = server(20), token()
    async with connect(site, f"/ws/stop/for/{name}?seconds=1.2") as ws:
        await ws.recv()
        site.send_signal(signal.SIGINT)
        site.send_signal(second)
        assert await ws.closed() == (1012, "service restart;1000")
        assert await stopped(site) == 0
    assert said(site, name)["finished"]


@both_loops
async def test_a_terminal_that_closes_stops_it_in_order(server):
    site = server(20)
    async with connect(site, "/ws/echo") as ws:
        site.send_signal(signal.SIGHUP)
        assert await ws.closed() == (1012, "service restart;1000")
        assert await stopped(site) == 0
    check_log(site)


# Answers without end


@contextlib.asynccontextmanager
async def opened(site: ASGIServer, path: str):
    """A request whose answer has begun."""
    async with Connection(site) as client:
        await client.head(path, method="GET")
        async with asyncio.timeout(LIMIT):
            await client.reader.readuntil(b"\r\n\r\n")
            await client.reader.readexactly(1)
        yield client


@pytest.mark.parametrize("half", ["", "&half"])
async def test_events_without_end_are_told_when_the_drain_begins(serve_plain, half):
    site = serve_plain("--drain-seconds", "40")
    async with opened(site, f"/ticks/?type=text/event-stream{half}") as client:
        started = time.monotonic()
        site.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT):
            body = await client.reader.read()
        assert body.endswith(b"data: goodbye\n\n\r\n0\r\n\r\n")
        assert await stopped(site) == 0
        assert time.monotonic() - started < 19  # others are told at half of the time
        check_log(site)


async def test_events_of_django_end_without_a_word_of_complaint(server):
    site = server(40)
    async with opened(site, "/events/") as client:
        started = time.monotonic()
        site.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT):
            assert (await client.reader.read()).endswith(b"0\r\n\r\n")
        assert await stopped(site) == 0
        assert time.monotonic() - started < 19  # others are told at half of the time
        assert "the events have ended" in site.log()
        check_log(site)


async def test_streams_that_do_not_say_that_they_are_endless_are_told_at_half_of_the_time(server):
    site = server(6)
    async with opened(site, "/events/?type=application/x-ndjson") as client:
        started = time.monotonic()
        site.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT):
            with contextlib.suppress(ConnectionError):  # half of an answer is cut
                await client.reader.read()
        assert time.monotonic() - started > 2.9
        assert await stopped(site) == 0
        assert "0 applications cancelled at the limit" in site.log()
        check_log(site)


async def test_what_is_cancelled_at_the_limit_leaves_no_traceback(server):
    site = server(1)
    async with opened(site, "/events/?type=application/x-ndjson") as client:
        site.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT):
            with contextlib.suppress(ConnectionError):
                await client.reader.read()
        assert await stopped(site) == 0
        assert "the events have ended" in site.log()
        check_log(site)


@pytest.mark.parametrize("query", ["length&pause=0.4", "size=100000&pause=0.4"])
async def test_a_download_that_is_under_way_is_not_told(serve_plain, query):
    site = serve_plain("--drain-seconds", "6")
    async with opened(site, f"/download/?{query}") as client:
        site.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT):
            body = await client.reader.read()
        assert len(body) >= (90 if "length" in query else 900_000)
        assert await stopped(site) == 0
        assert "0 applications cancelled at the limit" in site.log()


@both_loops
async def test_code_that_blocks_is_ended_after_the_limit(server):
    site, name = server(1), token()
    async with connect(site, f"/ws/stop/block/{name}") as ws:
        await ws.recv()
        await ws.send("now")

        async def is_blocked() -> bool:
            return "blocks" in said(site, name)

        await until(is_blocked)
        started = time.monotonic()
        site.send_signal(signal.SIGTERM)
        assert await stopped(site) == 0
    assert 3 < time.monotonic() - started < 20
    assert "Some code did not end within the drain time" in site.log()


@pytest.mark.redis
@pytest.mark.parametrize("layer", ["ours", "pubsub", "core"])
async def test_rooms_are_left_and_redis_is_left_clean(server, redis_server, layer):
    config = layer_config(layer, redis_server, prefix=f"drain-{token()}")
    stopping, staying = server(20, layer=config), server(20, layer=config)
    name = token()
    async with connect(staying, f"/ws/room/{name}") as witness:
        async with connect(stopping, f"/ws/room/{name}?name=ada"), connect(stopping, f"/ws/room/{name}-2"):
            assert await witness.recv_json() == {"type": "user_joined", "name": "ada"}
            stopping.send_signal(signal.SIGTERM)
            assert await witness.recv_json() == {"type": "user_left", "name": "ada"}
            assert await stopped(stopping) == 0
        left = await kept_in_redis(redis_server.url, config["CONFIG"]["prefix"])
        assert len(left) == 2  # one process is in one room, and hears what is asked of all
    check_log(stopping)


@pytest.mark.redis
async def test_every_room_is_left_however_many_they_are(server, redis_server):
    """The handler is done long before."""
    config = layer_config("core", redis_server, prefix=f"drain-{token()}")
    site = server(20, layer=config)
    async with connect(site, "/ws/member?" + "&".join(f"room={number}" for number in range(80))) as ws:
        await ws.recv()
        kept = await kept_in_redis(redis_server.url, config["CONFIG"]["prefix"])
        assert len(kept) == 80 + 1  # and hears what is asked of all processes
        site.send_signal(signal.SIGTERM)
        assert await ws.closed() == (1012, "service restart;1000")
        assert await stopped(site) == 0
    assert not await kept_in_redis(redis_server.url, config["CONFIG"]["prefix"])


async def kept_in_redis(url: str, prefix: str) -> list[bytes]:
    """Every channel that is subscribed to, and every member of a group."""
    client = redis.asyncio.from_url(url)
    try:
        kept = [name for name in await client.pubsub_channels(f"{prefix}*") if b"group" in name]
        for key in await client.keys(f"{prefix}:group:*"):
            kept += await client.zrange(key, 0, -1)
        return kept
    finally:
        await client.aclose()


@pytest.mark.redis
async def test_a_channels_consumer_is_told_and_leaves_its_groups(server, redis_server):
    config = layer_config("core", redis_server, prefix=f"drain-{token()}")
    site = server(20, layer=config)
    async with connect(site, "/ws/consumer/lobby"):
        site.send_signal(signal.SIGTERM)
        assert await stopped(site) == 0
    assert not await kept_in_redis(redis_server.url, config["CONFIG"]["prefix"])
