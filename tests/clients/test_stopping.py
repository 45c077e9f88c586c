"""An orderly stop, in this process: sockets are closed with 1001, and handlers get to their ``finally``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time

import pytest
from asgiref.sync import sync_to_async

from django_fastws import WebSocketDisconnect
from tests.clients.handlers import by_async_for, by_ping, by_recv, by_recv_caught, by_send, by_send_caught

from .conftest import running
from .peers import frame, listen, read_close, shake_hands, silence, soon


async def by_a_forgiving_loop(ws):
    """Catches every disconnect, and tries again for a while."""
    for _ in range(5):
        try:
            await ws.recv()
        except WebSocketDisconnect:
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    "handler",
    [by_async_for, by_recv, by_recv_caught, by_send, by_send_caught, by_ping, by_a_forgiving_loop],
)
async def test_the_peer_sees_1001_and_the_stop_is_no_failure(app, peer, log, handler):
    server = await peer(listen)
    ends = []

    @app.ws(server.url, reconnect=True, max_retries=-1)
    async def feed(ws):
        try:
            await handler(ws)
        finally:
            ends.append("finally")

    async with running(app, drain_seconds=120) as it:
        await server.visit()
        await asyncio.sleep(0)
        it.stop()
        assert await it.ended()
    visit = await server.visits[0].ended()
    assert (visit.close_code, visit.close_reason) == (1001, "going away")
    assert (len(server.asked), log.endings) == (1, ["1001 going away"])
    # Stopped before it began, it does not begin.
    assert ends in (["finally"], [])


async def test_the_handler_learns_of_it_as_of_any_end(app, peer):
    server = await peer()
    seen = []

    @app.ws(server.url)
    async def feed(ws):
        await ws.send("begun")
        async for _ in ws:
            pass
        seen.extend([ws.closed, ws.close_code, ws.close_reason])

    async with running(app):
        await soon(lambda: server.visits and server.visits[0].received)
    assert seen == [True, 1001, "going away"]


async def test_a_handler_that_sleeps_is_cancelled_at_the_drain_limit_and_cleans_up(app, peer, log):
    server = await peer()
    cleaned_up = []

    @app.ws(server.url)
    async def sleeper(ws):
        try:
            await ws.send("begun")
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.01)  # cleaning up takes its time
            cleaned_up.append(time.monotonic())

    async with running(app, drain_seconds=0.6) as it:
        await soon(lambda: server.visits and server.visits[0].received)
        started = time.monotonic()
        it.stop()
        assert await it.ended()
    visit = await server.visits[0].ended()
    assert visit.close_code == 1001
    assert visit.closed < cleaned_up[0]  # its socket is closed at once, not only at the limit
    assert cleaned_up[0] - started > 0.5
    assert log.endings == ["1001 going away"]
    assert log.starting("Cancelling 1 handlers")


@pytest.mark.parametrize("drain_seconds", [0, 0.01])
async def test_without_time_to_drain_the_peer_still_sees_1001(app, peer, drain_seconds):
    server = await peer()

    @app.ws(server.url)
    async def sleeper(ws):
        await ws.send("begun")
        await asyncio.sleep(3600)

    async with running(app, drain_seconds) as it:
        await soon(lambda: server.visits and server.visits[0].received)
        it.stop()
        assert await it.ended()
    assert (await server.visits[0].ended()).close_code == 1001


async def test_a_handler_that_swallows_its_cancellation_does_not_hold_up_the_rest(app, peer, log):
    server = await peer()
    let_go = asyncio.Event()
    ends = []

    @app.ws(server.url, name="stubborn")
    async def stubborn(ws):
        await ws.send("begun")
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    @app.ws(server.url, name="good")
    async def good(ws):
        try:
            await by_async_for(ws)
        finally:
            ends.append("finally")

    async with running(app, drain_seconds=0.2) as it:
        await soon(lambda: sum(len(visit.received) for visit in server.visits) == 1 and len(server.visits) == 2)
        await soon(lambda: len(log.starting("✔")) == 2)
        it.stop()
        assert await it.ended()
        assert [(await visit.ended()).close_code for visit in server.visits] == [1001, 1001]
        assert log.starting("1 handlers ignore their cancellation")
        let_go.set()
    assert ends == ["finally"]


async def test_sync_code_that_blocks_a_thread_does_not_hold_up_the_stop(app, peer):
    server = await peer()
    let_go = threading.Event()

    @app.ws(server.url)
    async def blocked(ws):
        await ws.send("begun")
        await sync_to_async(let_go.wait)(120)

    try:
        async with running(app, drain_seconds=0.2) as it:
            await soon(lambda: server.visits and server.visits[0].received)
            it.stop()
            assert await it.ended()
    finally:
        let_go.set()


# While there is no connection


async def test_a_stop_during_the_backoff_is_immediate(app, peer, settings, log):
    settings.FASTWS_CLIENT_BACKOFF_BASE = settings.FASTWS_CLIENT_BACKOFF_CAP = 3600
    server = await peer(refuse=[(503, {})])
    app.ws(server.url, reconnect=True, max_retries=-1)(by_async_for)
    async with running(app, drain_seconds=120) as it:
        await soon(lambda: log.starting("WebSocket connecting again"))
        it.stop()
        assert await it.ended()
    assert len(server.asked) == 1


async def test_a_stop_while_a_url_is_asked_for_does_not_wait_for_it(app):
    asked = asyncio.Event()

    async def url():
        asked.set()
        await asyncio.sleep(3600)

    app.ws(url, reconnect=True, max_retries=-1)(by_async_for)
    async with running(app, drain_seconds=120) as it:
        await asked.wait()
        it.stop()
        assert await it.ended()


async def test_a_stop_while_a_peer_does_not_answer_the_handshake_does_not_wait_for_it(app, raw_peer):
    server = await raw_peer(silence)
    app.ws(server.url, open_timeout=3600, reconnect=True, max_retries=-1)(by_async_for)
    async with running(app, drain_seconds=120) as it:
        await soon(lambda: server.count)
        it.stop()
        assert await it.ended()
    assert server.count == 1


async def test_a_handshake_under_way_ends_in_1001_not_in_1006(app, raw_peer, log):
    """The peer may have accepted already: to it, a connection that is cut then is a lost one."""
    closes, called = [], []
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def behave(reader, writer, number):
        async def late_write(data):
            asked.set()
            await go_on.wait()
            writer.write(data)

        held = Held(writer, late_write)
        await shake_hands(reader, held)
        await held.flush()
        closes.append(await read_close(reader))

    server = await raw_peer(behave)

    @app.ws(server.url, reconnect=True, max_retries=-1)
    async def feed(ws):
        called.append(ws)

    async with running(app) as it:
        await asked.wait()
        it.stop()
        await asyncio.sleep(0)
        go_on.set()
        assert await it.ended()
    assert (closes, called) == ([(1001, "going away")], [])
    assert log.endings == ["1001 going away"]


class Held:
    """A writer whose data wait until they are let go."""

    def __init__(self, writer, write):
        self.data = b""
        self._write = write

    def write(self, data):
        self.data += data

    async def drain(self):
        pass

    async def flush(self):
        await self._write(self.data)


@pytest.mark.parametrize("turns", range(0, 30, 3))
async def test_a_stop_at_any_moment_of_connecting_is_never_a_1006(app, peer, turns):
    """Whatever the loop is doing: the peer sees no connection, or one that is closed with 1001."""
    server = await peer()
    app.ws(server.url, reconnect=True, max_retries=-1)(by_async_for)
    async with running(app, drain_seconds=120) as it:
        for _ in range(turns):
            await asyncio.sleep(0)
        it.stop()
        assert await it.ended()
    for visit in server.visits:
        assert (await visit.ended()).close_code == 1001


# Peers that make it hard


async def test_a_flood_does_not_delay_the_close(app, peer):
    async def flood(ws, visit):
        while True:
            await ws.send(b"x" * 100_000)

    server = await peer(flood, compression=None)

    @app.ws(server.url, close_timeout=3600)
    async def busy(ws):
        await ws.recv()
        await soon(lambda: ws.closed)

    @app.ws(server.url, close_timeout=3600)
    async def slow(ws):
        async for _ in ws:
            await asyncio.sleep(0.01)

    async with running(app, drain_seconds=3600) as it:
        await server.visit(1)
        it.stop()
        assert await it.ended()
    assert [(await visit.ended()).close_code for visit in server.visits] == [1001, 1001]


async def test_a_peer_that_does_not_answer_the_close_is_left_at_the_drain_limit(app, raw_peer, log):
    closes, gone = [], asyncio.Event()

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame(b"hello"))
        closes.append(await read_close(reader))
        with contextlib.suppress(ConnectionError):
            await reader.read()
        gone.set()

    server = await raw_peer(behave)
    app.ws(server.url, close_timeout=None)(by_async_for)
    async with running(app, drain_seconds=0.3) as it:
        await soon(lambda: log.starting("✔"))
        it.stop()
        assert await it.ended()
        await asyncio.wait_for(gone.wait(), 5)
    assert closes == [(1001, "going away")]
    assert log.endings == ["1001 going away"]


async def test_a_handler_that_is_sending_to_a_peer_that_does_not_read_is_left_at_the_drain_limit(app, raw_peer, log):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    server = await raw_peer(behave, limit=1024)

    @app.ws(server.url)
    async def flood(ws):
        while True:
            await ws.send(b"x" * 1_000_000)

    async with running(app, drain_seconds=0.3) as it:
        await soon(lambda: log.starting("✔"))
        await asyncio.sleep(0.05)
        it.stop()
        assert await it.ended()
    assert len(log.endings) == 1


async def test_an_error_in_a_finally_during_the_stop_is_logged_and_no_failure(app, peer, log):
    server = await peer()

    @app.ws(server.url, name="feed")
    async def feed(ws):
        try:
            await ws.send("begun")
            await by_async_for(ws)
        finally:
            raise ValueError("cleaning up went wrong")

    async with running(app) as it:
        await soon(lambda: server.visits and server.visits[0].received)
        it.stop()
        assert await it.ended()
    assert "ValueError: cleaning up went wrong" in log.text
    assert (await server.visits[0].ended()).close_code == 1001


async def test_a_stop_before_the_run_opens_nothing(app, peer):
    server = await peer()
    app.ws(server.url)(by_async_for)
    async with running(app) as it:
        it.stop()
        assert await it.ended()
    assert server.asked == []


async def test_stopping_twice_is_stopping_once(app, peer):
    server = await peer()
    app.ws(server.url)(by_async_for)
    async with running(app) as it:
        await server.visit()
        it.stop()
        it.stop()
        assert await it.ended()
        it.stop()
    assert [visit.close_code for visit in server.visits] == [1001]


async def test_a_route_that_has_failed_before_the_stop_is_still_a_failure(app, peer, log):
    server = await peer()
    app.ws(server.url, name="good")(by_async_for)

    @app.ws(server.url, name="broken")
    async def broken(ws):
        raise ValueError

    async with running(app) as it:
        await soon(lambda: log.starting("Route broken has failed"))
        it.stop()
        assert not await it.ended()


async def test_what_is_logged_of_a_stop(app, peer, log):
    server = await peer()
    for number in range(3):
        app.ws(server.url, name=f"feed {number}")(by_async_for)
    async with running(app):
        await soon(lambda: len(log.starting("✔")) == 3)
    assert log.starting("Stopping") == ["Stopping: closing 3 sockets"]
    assert log.endings == ["1001 going away"] * 3
    assert log.lines[-1].startswith("Done in ")
    assert not [record for record in log.records if record.levelno > logging.INFO]
