"""Rate limit and size limit of received messages."""

import asyncio
import contextlib

import pytest

from django_fastws import WebSocketDisconnect
from django_fastws.asgi import get_asgi_application
from django_fastws.limits import statistics
from django_fastws.limits.limited_connection import LimitedConnection
from django_fastws.limits.receive_limiter import ReceiveLimiter
from django_fastws.testing import connect
from django_fastws.transports import ASGITransport
from tests.limits.serving import EVERY_KIND, AsyncEcho, echo, serve
from tests.support.clock import Clock

# Consumers look after old database connections at every event, and other tests may have left some.
pytestmark = pytest.mark.usefixtures("routes", "db", "fresh")


# Messages


@EVERY_KIND
async def test_who_sends_too_much_is_closed(handler):
    serve(handler, rate="1/h burst 3")
    async with connect("/x") as ws, connect("/x") as other:
        for text in "123":
            await ws.send(text)
            assert await ws.receive_text() == text
        await ws.send("4")
        assert await ws.wait_closed() == 1008
        assert ws.close_reason == "over the rate of 1/h burst 3 messages"
        await other.send("still here")
        assert await other.receive_text() == "still here"
    assert statistics().closed == {"rate": 1}


async def test_a_flood_gets_to_the_handler_only_as_far_as_the_burst():
    got, ends = [], []

    async def handler(ws):
        await ws.accept()
        try:
            while True:
                got.append((await ws.receive()).text)
        except WebSocketDisconnect as end:
            ends.append((end.code, end.reason, ws.close_code))
            raise

    serve(handler, rate="1/h burst 3")
    async with connect("/x") as ws:
        for number in range(100):
            await ws.send(str(number))
        await ws.wait_closed()
    assert got == ["0", "1", "2"]
    assert ends == [(1008, "over the rate of 1/h burst 3 messages", 1008)]


async def test_the_rate_comes_back_with_time():
    clock = Clock()
    serve(rate="10/s burst 2")
    async with connect("/x") as ws:
        for _ in range(5):
            await clock.advance(0.1)
            await ws.send("one")
            await ws.receive_text()
        await clock.advance(60)
        for _ in range(2):
            await ws.send("one")
            await ws.receive_text()
        await ws.send("one too many")
        assert await ws.wait_closed() == 1008


async def test_what_came_evenly_while_the_handler_was_busy_is_no_flood():
    clock = Clock()
    go_on = asyncio.Event()
    got = []

    async def busy(ws):
        await ws.accept()
        got.append((await ws.receive()).text)
        await go_on.wait()
        async for message in ws:
            got.append(message.text)

    serve(busy, rate="10/s burst 2")
    async with connect("/x") as ws:
        await ws.send("0")
        for number in range(1, 31):
            await clock.advance(0.1)
            await ws.send(str(number))
        go_on.set()
        while len(got) < 31:  # noqa: ASYNC110
            await asyncio.sleep(0)
        # What it was busy for is used up, and its pause is none to save for.
        await ws.send("a")
        await ws.send("b")
        await ws.send("c")
        assert await ws.wait_closed() == 1008
    assert [*map(int, got[:31])] == [*range(31)]


@pytest.mark.parametrize("gap", [0.02, 0.049, 0.051])
@pytest.mark.parametrize("handler", [echo, AsyncEcho], ids=["function", "async"])
async def test_a_rhythm_below_the_rate_saves_nothing_up(handler, gap):
    clock = Clock(stands_still=True)
    serve(handler, rate="100/s burst 20")
    async with connect("/x") as ws:
        for _ in range(150):
            await clock.advance(gap)
            await ws.send("x")
            await ws.receive_text()
        passed = 0
        for _ in range(60):
            await ws.send("x")
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await ws.receive_text()
                passed += 1
        assert passed <= 20 + 2 * 100 * gap + 1  # what a handler was busy for when the clock went on is not counted
        assert await ws.wait_closed() == 1008


async def test_a_handler_that_asks_again_and_again_does_not_save_for_a_flood():
    clock = Clock()
    got = []

    async def polling(ws):
        await ws.accept()
        while not ws.closed:
            try:
                got.append(await asyncio.wait_for(ws.receive_text(), 0.01))
            except TimeoutError:
                pass
            except WebSocketDisconnect:
                break

    serve(polling, rate="10/s burst 2")
    async with connect("/x") as ws:
        for _ in range(50):
            await clock.advance(0.1)
        for number in range(5):
            await ws.send(str(number))
        assert await ws.wait_closed() == 1008
    assert got == ["0", "1"]


@pytest.mark.parametrize(
    ("message", "fits"),
    [
        ("x" * 10, True),
        ("x" * 11, False),
        (b"x" * 10, True),
        (b"x" * 11, False),
        ("", True),
        (b"", True),
        ("é" * 5, True),
        ("é" * 6, False),
        ("😀" * 2, True),
        ("😀" * 3, False),
    ],
)
@EVERY_KIND
async def test_a_message_has_so_many_bytes(handler, message, fits):
    serve(handler, max_message_bytes=10)
    serve(path="/other")
    async with connect("/x") as ws, connect("/other") as other:
        await other.send(message)
        assert (await other.receive()).data == message
        await ws.send(message)
        if fits and message:
            assert (await ws.receive()).data == message
        elif not fits:
            assert await ws.wait_closed() == 1009
            assert ws.close_reason == "over 10 bytes"


# On servers of which the queue of received messages cannot be seen


def without_inbox():
    """All routes, on such a server."""
    inner = get_asgi_application()

    async def server(scope, receive, send):
        async def hidden():
            return await receive()

        await inner(scope, hidden, send)

    return server


@EVERY_KIND
async def test_who_sends_too_much_is_closed_on_any_server(handler):
    serve(handler, rate="1/h burst 3")
    async with connect("/x", application=without_inbox()) as ws:
        for text in "123":
            await ws.send(text)
            assert await ws.receive_text() == text
        await ws.send("4")
        assert await ws.wait_closed() == 1008


async def test_a_receive_that_is_given_up_loses_nothing_and_does_not_end_the_connection():
    async def impatient(ws):
        await ws.accept()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ws.receive(), 0.01)
        await ws.send("nothing yet")
        await ws.send((await ws.receive()).data)

    serve(impatient, rate="100/s")
    async with connect("/x", application=without_inbox()) as ws:
        assert await ws.receive_text() == "nothing yet"
        await ws.send("hi")
        assert await ws.receive_text() == "hi"


async def test_a_handler_that_waits_is_told_of_the_end_at_once():
    clock, told = Clock(), []

    async def waiting(ws):
        await ws.accept()
        try:
            await ws.receive()
        except WebSocketDisconnect as end:
            told.append((end.code, end.reason, asyncio.current_task().cancelling()))
            raise

    serve(waiting, max_lifetime=10)
    async with connect("/x", application=without_inbox()) as ws:
        await clock.advance(9)
        assert told == []
        await clock.advance(2)
        assert await ws.wait_closed() == 1013
    assert told == [(1013, "the lifetime is over, connect again", 0)]


def unseen(when_cancelled=None):
    """A limiter of nothing, on such a server from which nothing comes, or this if its ``receive`` is cancelled."""

    async def receive():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if when_cancelled is None:
                raise
        return when_cancelled

    async def send(message):
        pass

    transport = ASGITransport({"type": "websocket", "path": "/x", "headers": []}, receive, send)
    return ReceiveLimiter(LimitedConnection(transport, transport.close), receive, None, None)


async def test_who_waits_stands_still_between_interrupt_and_resume():
    limiter = unseen()
    await limiter.interrupt()  # nobody waits yet
    waiting = asyncio.create_task(limiter.receive())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await limiter.interrupt()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    limiter.resume()
    assert (await waiting)["type"] == "websocket.disconnect"


async def test_who_is_cancelled_by_others_too_is_cancelled():
    limiter = unseen()
    waiting = asyncio.create_task(limiter.receive())
    await asyncio.sleep(0)
    interrupting = asyncio.create_task(limiter.interrupt())
    await asyncio.sleep(0)
    waiting.cancel()
    async with asyncio.timeout(30):
        await interrupting
        limiter.resume()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_server_that_ends_a_cancelled_receive_by_itself_holds_up_nobody():
    event = {"type": "websocket.disconnect", "code": 1005}
    limiter = unseen(event)
    waiting = asyncio.create_task(limiter.receive())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await limiter.interrupt()
        assert await waiting == event
