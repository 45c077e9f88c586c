"""Limited connections: what they are counted for is given back, however they end; idle timeout and lifetime."""

import asyncio
import gc
import weakref

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer
from django.test import override_settings

from django_fastws import Room, WebSocketDisconnect, WebSocketException
from django_fastws.asgi import get_asgi_application
from django_fastws.limits import statistics
from django_fastws.limits.limited_connection import LimitedConnection
from django_fastws.testing import HandshakeDenied, connect
from django_fastws.transports import ASGITransport
from django_fastws.websocket import InboundWebSocket
from tests.limits.serving import ADA, BOB, EVERY_KIND, AsyncEcho, application, denial, echo, outcome, serve
from tests.support.clock import Clock
from tests.support.transports import transport_of

# Consumers look after old database connections at every event, and other tests may have left some.
pytestmark = pytest.mark.usefixtures("routes", "db", "fresh")


# Counts are right whatever happens


def everything(**options):
    """Limits that count in every way."""
    return {"max_connections": 1, "max_connections_per_address": 1, "max_connections_per_user": 1, **options}


async def _fails(ws):
    await ws.accept()
    raise RuntimeError("on purpose")


async def _fails_at_once(ws):
    raise RuntimeError("on purpose")


async def _denies(ws):
    await ws.close()


async def _returns(ws):
    pass


async def _raises(ws):
    await ws.accept()
    raise WebSocketException(4000, "bye")


async def _disconnects(ws):
    raise WebSocketDisconnect


async def _cancels(ws):
    await ws.accept()
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


class _FailingConsumer(AsyncWebsocketConsumer):
    async def connect(self):
        raise RuntimeError("on purpose")


class _DenyingConsumer(AsyncWebsocketConsumer):
    async def connect(self):
        await self.close()


def _has_no_permission(ws):
    return False


def _breaks(ws):
    raise RuntimeError("on purpose")


async def _accepts_and_denies(ws):
    await ws.accept()
    return False


async def _closes(ws):
    await ws.close()
    return True


@pytest.mark.parametrize(
    ("handler", "options"),
    [
        (_fails, {}),
        (_fails_at_once, {}),
        (_denies, {}),
        (_returns, {}),
        (_raises, {}),
        (_disconnects, {}),
        (_cancels, {}),
        (_FailingConsumer, {}),
        (_DenyingConsumer, {}),
        (echo, {"permission": _has_no_permission}),
        (echo, {"permission": _breaks}),
        (echo, {"permission": _accepts_and_denies}),
        (echo, {"permission": _closes}),
        (AsyncEcho, {"permission": _breaks}),
        (AsyncEcho, {"permission": _closes}),
        (echo, {"idle_timeout": 0.01}),
        (AsyncEcho, {"max_lifetime": 0.01}),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str([getattr(v, "__name__", v) for v in value.values()]),
)
async def test_who_was_counted_is_given_back_however_it_ends(handler, options):
    serve(handler, **everything(**options))
    with override_settings(FASTWS_MAX_CONNECTIONS=1):
        for _ in range(3):
            try:
                async with connect("/x", application=application(), user=ADA) as ws:
                    if options.keys() & {"idle_timeout", "max_lifetime"}:
                        await ws.wait_closed()
            except HandshakeDenied as denied:
                assert denied.status != 429  # noqa: PT017
    assert statistics().connections == 0
    assert statistics().users == 0


@pytest.mark.parametrize("code", [1000, 1006])
@EVERY_KIND
async def test_who_goes_is_given_back(handler, code):
    serve(handler, **everything())
    for _ in range(3):
        async with connect("/x", application=application(), user=ADA) as ws:
            await ws.close(code)
    assert statistics().users == 0


async def test_a_bad_parameter_is_not_counted():
    async def numbered(ws, number: int):
        await ws.accept()

    serve(numbered, **everything())
    for _ in range(3):
        assert (await denial("/x?number=abc")).status == 400
    assert await outcome("/x?number=5") == 101


async def test_who_gives_up_while_a_rule_is_asked_is_given_back():
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(ws):
        asked.set()
        await answer.wait()
        return True

    serve(**everything(permission=slow))
    with override_settings(FASTWS_MAX_CONNECTIONS=1):
        opening = asyncio.create_task(outcome(user=ADA))
        await asked.wait()
        assert (await denial(user=BOB)).status == 429
        opening.cancel()  # and the server cancels the application
        answer.set()
        await asyncio.wait([opening])
        assert await outcome(user=ADA) == 101


async def test_a_handler_that_is_cancelled_is_given_back():
    from asgiref.testing import ApplicationCommunicator

    async def handler(ws):
        await echo(ws)

    serve(handler, **everything())
    scope = {"type": "websocket", "path": "/x", "headers": [], "client": ("192.0.2.1", 1), "user": ADA}
    for _ in range(2):
        running = ApplicationCommunicator(handler.as_asgi(), dict(scope))
        await running.send_input({"type": "websocket.connect"})
        assert (await running.receive_output())["type"] == "websocket.accept"
        assert statistics().users == 1
        running.future.cancel()
        await asyncio.wait([running.future])
        assert statistics().users == 0


async def test_many_at_once_get_exactly_what_there_is():
    released = asyncio.Event()

    async def waiting(ws):
        await ws.accept()
        await released.wait()

    serve(waiting, max_connections_per_user=3)
    serve(path="/asked", max_connections=4, permission=lambda ws: True)

    async def attempt(path):
        try:
            async with connect(path, user=ADA) as ws:
                await released.wait()
                await ws.close()
                return 101
        except HandshakeDenied as denied:
            return denied.status

    attempts = [asyncio.create_task(attempt(path)) for path in ("/x", "/asked") * 10]
    while sum(task.done() for task in attempts) < 13:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    released.set()
    outcomes = await asyncio.gather(*attempts)
    assert outcomes[::2].count(101) == 3
    assert outcomes[1::2].count(101) == 4
    assert set(outcomes) == {101, 429}


async def test_an_error_of_middleware_is_given_back():
    async def broken(scope, receive, send):
        raise RuntimeError("on purpose")

    app = get_asgi_application(websocket_middleware=[lambda inner: broken])
    with override_settings(FASTWS_MAX_CONNECTIONS=1):
        for _ in range(3):
            with pytest.raises(HandshakeDenied) as raised:
                async with connect("/x", application=app):
                    pass
            assert raised.value.status == 500
    assert statistics().connections == 0


# Time


@EVERY_KIND
async def test_who_says_nothing_is_closed(handler):
    clock = Clock()
    serve(handler, idle_timeout=300)
    async with connect("/x") as ws:
        for _ in range(3):
            await clock.advance(299)
            await ws.send("here")
            assert await ws.receive_text() == "here"
        await clock.advance(299)
        assert await ws.receive_nothing()
        await clock.advance(2)
        assert await ws.wait_closed() == 1008
        assert ws.close_reason == "idle for too long"
    assert statistics().closed == {"idle_timeout": 1}


async def test_what_the_server_says_does_not_keep_a_client_from_being_idle():
    clock = Clock()
    serve(_joins, idle_timeout=10)
    async with connect("/x") as ws:
        for _ in range(3):
            await clock.advance(4)
            await Room("lobby").abroadcast("news")
        assert await ws.wait_closed() == 1008


async def _joins(ws):
    await ws.accept()
    await ws.join("lobby")
    async for _ in ws:
        pass


async def test_a_handler_that_only_sends_can_have_an_idle_client():
    clock = Clock()

    async def ticker(ws):
        await ws.accept()
        while True:
            await ws.send("tick")
            await asyncio.sleep(3)

    serve(ticker, idle_timeout=10)
    async with connect("/x") as ws:
        for _ in range(5):
            await clock.advance(3)
        assert await ws.wait_closed() == 1008


async def test_messages_that_wait_for_a_busy_handler_are_not_silence():
    clock = Clock()
    go_on = asyncio.Event()

    async def busy(ws):
        await ws.accept()
        await ws.receive()
        await go_on.wait()
        await ws.send((await ws.receive()).data)
        await ws.receive()

    serve(busy, idle_timeout=10)
    async with connect("/x") as ws:
        await ws.send("work")
        await ws.send("more")
        for _ in range(10):
            await clock.advance(9)
        go_on.set()
        assert await ws.receive_text() == "more"
        await clock.advance(21)
        assert await ws.wait_closed() == 1008


async def test_nobody_is_idle_before_it_is_accepted():
    clock = Clock()
    go_on = asyncio.Event()

    async def slow(ws):
        await go_on.wait()
        await echo(ws)

    serve(slow, idle_timeout=10)
    opening = asyncio.create_task(outcome(timeout=1000))
    for _ in range(10):
        await clock.advance(9)
    go_on.set()
    assert await opening == 101


@EVERY_KIND
async def test_a_lifetime_ends_whoever_says_what(handler):
    clock = Clock()
    serve(handler, max_lifetime=3600, idle_timeout=3000)
    async with connect("/x") as ws:
        for _ in range(2):
            await clock.advance(1500)
            await ws.send("here")
            await ws.receive_text()
        await clock.advance(599)
        assert await ws.receive_nothing()
        await clock.advance(2)
        assert await ws.wait_closed() == 1013
        assert ws.close_reason == "the lifetime is over, connect again"


@pytest.mark.parametrize("kind", ["function", "consumer"])
async def test_a_lifetime_that_is_over_before_the_socket_is_accepted_denies_it(kind):
    go_on, ends = asyncio.Event(), []

    async def slow(ws):
        await go_on.wait()
        try:
            await ws.accept()
        except WebSocketDisconnect as end:
            ends.append(end.code)
            raise

    class Slow(AsyncWebsocketConsumer):
        async def connect(self):
            await go_on.wait()
            await self.accept()
            ends.append(1013)

    serve(slow if kind == "function" else Slow, max_lifetime=0.05)
    try:
        async with asyncio.timeout(30):
            denied = asyncio.create_task(denial())
            while not statistics().closed:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            go_on.set()
            assert (await denied).status == 403
    finally:
        go_on.set()
    assert ends == [1013]


@pytest.mark.parametrize("limit", ["idle_timeout", "max_lifetime"])
async def test_the_handler_is_told_and_reaches_its_end(limit):
    told = []

    async def handler(ws):
        await ws.accept()
        await ws.join("lobby")
        try:
            async for _ in ws:
                pass
            told.append((ws.close_code, ws.closed, ws.rooms))
        finally:
            told.append("finally")

    serve(handler, **{limit: 0.05})
    async with connect("/x") as ws:
        code = await ws.wait_closed()
    assert told == [(code, True, frozenset({"lobby"})), "finally"]


async def test_messages_that_were_sent_before_the_end_are_not_received_after_it():
    got, go_on = [], asyncio.Event()

    class Busy(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            got.append(text_data)
            await go_on.wait()
            await self.send("into the void")

        async def disconnect(self, code):
            got.append(code)

    serve(Busy, max_lifetime=0.5)  # in which a busy machine receives the first
    async with connect("/x") as ws:
        for text in "abc":
            await ws.send(text)
        assert await ws.wait_closed() == 1013
        go_on.set()
    assert got == ["a", 1013]


async def test_a_timer_ends_with_its_socket():
    loop = asyncio.get_running_loop()
    serve(idle_timeout=1000, max_lifetime=2000)
    before = _timers(loop)
    async with connect("/x") as ws:
        assert _timers(loop) == before + 1
        for _ in range(100):
            await ws.send("x")
            await ws.receive()
        assert _timers(loop) == before + 1
    assert _timers(loop) == before


def _timers(loop):
    return sum(not handle.cancelled() and "LimitedConnection" in repr(handle) for handle in loop._scheduled)


async def test_a_message_makes_no_timer_and_no_task(monkeypatch):
    loop = asyncio.get_running_loop()
    serve(idle_timeout=1000, max_lifetime=2000, rate="1000/s")
    calls = []
    async with connect("/x") as ws:
        await ws.send("x")
        await ws.receive()
        for name in ("call_at", "call_later"):
            original = getattr(loop, name)
            monkeypatch.setattr(
                loop,
                name,
                lambda *args, name=name, original=original, **more: calls.append(name) or original(*args, **more),
            )
        for _ in range(10):
            await ws.send("x")
        while ws._app.output_queue.qsize() < 10:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert calls == []


async def test_a_route_without_limits_has_nothing_between_it_and_the_server():
    seen = []

    async def handler(ws):
        await ws.accept()
        seen.append(type(transport_of(ws)._receive.__self__))

    serve(handler)
    serve(handler, path="/limited", rate="5/s")
    assert await outcome() == 101
    assert await outcome("/limited") == 101
    assert seen[0] is asyncio.Queue
    assert seen[1] is not asyncio.Queue


async def test_nothing_is_kept_of_a_socket_that_was_limited():
    kept = []

    async def handler(ws):
        kept.append(weakref.ref(ws))
        await echo(ws)

    serve(handler, **everything(idle_timeout=1000, max_lifetime=1000, rate="5/s"))
    assert await outcome(user=ADA) == 101
    gc.collect()
    assert kept[0]() is None


# One close status


def held_back():
    """An open socket whose server takes no close before ``gate`` is set: itself, its connection, what was sent."""
    gate, sent = asyncio.Event(), []

    async def send(message):
        if message["type"] == "websocket.close":
            await gate.wait()
        sent.append(message)

    transport = ASGITransport({"type": "websocket", "path": "/x", "headers": []}, asyncio.Queue().get, send)
    ws = InboundWebSocket(transport)
    return ws, LimitedConnection(transport, ws.close), gate, sent


async def test_a_forced_close_behind_the_handlers_own_changes_nothing():
    ws, connection, gate, sent = held_back()
    connection.start(None, None)
    await ws.accept()
    closing = asyncio.create_task(ws.close(1000))
    while not ws.closed:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await connection.aend("session", 4401, "log in again")
    assert (ws.close_code, connection.disconnect_event()) == (1000, None)
    assert not statistics().closed
    gate.set()
    await closing
    assert [message["code"] for message in sent if message["type"] == "websocket.close"] == [1000]
    assert (ws.close_code, ws.close_reason) == (1000, "")


async def test_a_handlers_close_behind_a_forced_one_sends_the_forced_status():
    ws, connection, gate, sent = held_back()
    connection.start(None, None)
    await ws.accept()
    gate.set()
    ending = asyncio.create_task(connection.aend("session", 4401, "log in again"))
    await asyncio.sleep(0)  # it is decided, and nothing was sent yet
    await asyncio.gather(ending, ws.close(1000))
    (close,) = (message for message in sent if message["type"] == "websocket.close")
    assert (close["code"], close["reason"]) == (ws.close_code, ws.close_reason) == (4401, "log in again")
    assert connection.disconnect_event() == {"type": "websocket.disconnect", "code": 4401, "reason": "log in again"}
    assert statistics().closed == {"session": 1}


async def test_the_first_status_that_is_known_before_admission_is_that_of_the_end():
    ws, connection, gate, sent = held_back()
    gate.set()
    connection.end("disconnect", 4404, "bye")
    connection.end("session", 4401, "log in again")
    assert connection.disconnect_event() == {"type": "websocket.disconnect", "code": 4404, "reason": "bye"}
    assert (ws.closed, ws.close_code, sent) == (False, None, [])
    await ws.close()
    assert (ws.close_code, ws.close_reason) == (4404, "bye")


async def test_a_client_that_does_not_take_its_close_frame_is_cut_off_after_a_second(monkeypatch):
    cut, clock = [], Clock()
    monkeypatch.setattr(ASGITransport, "abort", lambda transport: cut.append(transport))
    ws, connection, _, sent = held_back()
    connection.start(None, None)
    await ws.accept()
    ending = asyncio.create_task(connection.aend("session", 4401, "log in again"))
    await clock.advance(0.9)
    assert (ending.done(), cut) == (False, [])
    await clock.advance(0.2)
    async with asyncio.timeout(5):
        await ending
    assert len(cut) == 1
    assert [message["type"] for message in sent] == ["websocket.accept"]
    assert (ws.close_code, ws.close_reason) == (4401, "log in again")


async def test_a_handler_that_waits_is_told_before_the_client_has_answered():
    ws, connection, gate, _ = held_back()
    gate.set()
    connection.start(None, None)
    await ws.accept()
    waiting = asyncio.create_task(ws.receive())
    await asyncio.sleep(0)
    await connection.aend("session", 4401, "log in again")
    async with asyncio.timeout(30):
        with pytest.raises(WebSocketDisconnect) as raised:
            await waiting
    assert (raised.value.code, raised.value.reason) == (4401, "log in again")


async def test_what_comes_right_behind_the_close_frame_is_not_received():
    loop, events = asyncio.get_running_loop(), asyncio.Queue()

    async def send(message):
        if message["type"] == "websocket.close":
            loop.call_soon(events.put_nowait, {"type": "websocket.receive", "text": "late"})

    transport = ASGITransport({"type": "websocket", "path": "/x", "headers": []}, events.get, send)
    ws = InboundWebSocket(transport)
    connection = LimitedConnection(transport, ws.close)
    connection.start(None, None)
    await ws.accept()
    got = []

    async def handle():
        async for message in ws:
            got.append(message.data)

    handling = asyncio.create_task(handle())
    await asyncio.sleep(0)
    await connection.aend("session", 4401, "log in again")
    async with asyncio.timeout(30):
        await handling
    assert got == []
