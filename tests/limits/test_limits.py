"""Limits: who is refused, what is closed, and that the counts are right whatever happens."""

import asyncio
import contextlib
import dataclasses
import gc
import logging
import weakref
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_fastws import FastWS, Room, RouteError, WebSocketDisconnect, WebSocketException, metrics
from django_fastws._core.log_throttle import LogThrottle
from django_fastws.asgi import get_asgi_application
from django_fastws.limits import Statistics, recording, statistics
from django_fastws.limits.process import ProcessLimits
from django_fastws.testing import HandshakeDenied, connect
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.support.clock import Clock

# Consumers look after old database connections at every event, and other tests may have left some.
pytestmark = pytest.mark.usefixtures("routes", "db")

ADA, BOB = User(pk=1, username="ada"), User(pk=2, username="bob")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """A process that has counted nothing yet, and a Django that is set up."""
    monkeypatch.setattr("django.setup", lambda **kwargs: None)
    fresh = ProcessLimits()
    for module in ("limits.admission", "asgi", "limits.process"):
        monkeypatch.setattr(f"django_fastws.{module}.process_limits", fresh)
    monkeypatch.setattr(recording, "_denials", LogThrottle())
    monkeypatch.setattr(recording, "_closes", LogThrottle())
    metrics.reset()


@pytest.fixture
def at(monkeypatch):
    """The time that rates of handshakes go by, and the log: ``at.time = 5``."""
    clock = SimpleNamespace(time=0.0)
    clock.monotonic = lambda: clock.time
    for module in ("limits.admission", "limits.process", "limits.recording"):
        monkeypatch.setattr(f"django_fastws.{module}.time", clock)
    fresh = ProcessLimits()
    for module in ("limits.admission", "asgi", "limits.process"):
        monkeypatch.setattr(f"django_fastws.{module}.process_limits", fresh)
    return clock


async def echo(ws):
    await ws.accept()
    async for message in ws:
        await ws.send(message.data)


class AsyncEcho(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data, bytes_data)


class SyncEcho(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data, bytes_data)


EVERY_KIND = pytest.mark.parametrize("handler", [echo, AsyncEcho, SyncEcho], ids=["function", "async", "sync"])


def serve(handler=echo, path="/x", **limits):
    FastWS().websocket(path, **limits)(handler)
    return handler


def application(host="192.0.2.1"):
    """All routes, for clients of this address."""
    inner = get_asgi_application()

    async def from_there(scope, receive, send):
        await inner({**scope, "client": None if host is None else (host, 5000)}, receive, send)

    return from_there


async def outcome(path="/x", application=application, host="192.0.2.1", **options):
    """101 where the handshake is accepted, else the status and the text."""
    try:
        async with connect(path, application=application(host), **options):
            return 101
    except HandshakeDenied as denied:
        return denied.status, denied.text


async def refusal(path="/x", host="192.0.2.1", **options):
    with pytest.raises(HandshakeDenied) as raised:
        async with connect(path, application=application(host), **options):
            pass
    return raised.value


# Connections


@EVERY_KIND
async def test_a_route_serves_so_many_at_a_time(handler):
    serve(handler, max_connections=2)
    serve(path="/other")
    async with connect("/x") as one, connect("/x"):
        assert await outcome() == (429, "too many connections")
        assert await outcome("/other") == 101
        await one.close()
        assert await outcome() == 101
    assert statistics().refused == {"max_connections": 1}


async def test_a_process_serves_so_many_at_a_time_whatever_the_route():
    serve()
    serve(path="/other", max_connections=100)
    with override_settings(FASTWS_MAX_CONNECTIONS=2):
        async with connect("/x"), connect("/other") as other:
            assert await outcome() == (429, "too many connections")
            assert await outcome("/other") == (429, "too many connections")
            assert await outcome("/unknown") == (429, "too many connections")
            await other.close()
            assert await outcome("/other") == 101
            assert statistics().connections == 1
    assert statistics().connections == 0


@EVERY_KIND
async def test_an_address_has_so_many_at_a_time(handler):
    serve(handler, max_connections_per_address=1)
    async with connect("/x", application=application("192.0.2.1")):
        assert await outcome() == (429, "too many connections from this address")
        assert await outcome(host="::ffff:192.0.2.1") == (429, "too many connections from this address")
        assert await outcome(host="192.0.2.2") == 101
    assert await outcome() == 101


async def test_an_ipv6_client_is_its_network():
    serve(max_connections_per_address=1)
    async with connect("/x", application=application("2001:db8::1")):
        assert (await refusal(host="2001:db8::2")).status == 429
        assert await outcome(host="2001:db8:0:1::1") == 101


async def test_without_an_address_there_is_no_limit_for_it():
    serve(max_connections_per_address=1)
    with override_settings(FASTWS_HANDSHAKE_RATE_PER_ADDRESS="1/h"):
        async with connect("/x", application=application(None)):
            assert await outcome(host=None) == 101


@EVERY_KIND
async def test_a_user_has_so_many_at_a_time(handler):
    serve(handler, max_connections_per_user=1)
    async with connect("/x", user=ADA):
        assert await outcome(user=ADA) == (429, "too many connections of this user")
        assert await outcome(user=User(pk=1)) == (429, "too many connections of this user")
        assert await outcome(user=BOB) == 101
    assert await outcome(user=ADA) == 101


@pytest.mark.parametrize("user", [AnonymousUser(), User(username="not saved"), object()])
async def test_who_cannot_be_told_apart_is_not_counted_as_a_user(user):
    serve(max_connections_per_user=1)
    async with connect("/x", user=user):
        assert await outcome(user=user) == 101


# Settings and routes


@pytest.mark.parametrize(
    ("setting", "argument", "options"),
    [
        ("FASTWS_MAX_CONNECTIONS_PER_ADDRESS", "max_connections_per_address", {}),
        ("FASTWS_MAX_CONNECTIONS_PER_USER", "max_connections_per_user", {"user": ADA}),
    ],
)
async def test_routes_share_what_a_setting_allows_and_a_route_of_its_own_counts_by_itself(setting, argument, options):
    serve(path="/one")
    serve(path="/two")
    serve(path="/own", **{argument: 2})
    serve(path="/free", **{argument: None})
    with override_settings(**{setting: 1}):
        async with AsyncExitStack() as stack:
            for path in ("/free", "/free", "/own", "/one"):
                await stack.enter_async_context(connect(path, application=application(), **options))
            assert await outcome("/one", **options) != 101
            assert await outcome("/two", **options) != 101
            assert await outcome("/own", **options) == 101
            assert await outcome("/free", **options) == 101
            await stack.enter_async_context(connect("/own", application=application(), **options))
            assert await outcome("/own", **options) != 101
        assert await outcome("/two", **options) == 101


@pytest.mark.parametrize(
    ("setting", "value", "argument", "reason"),
    [
        ("FASTWS_MESSAGE_RATE", "1/h", "rate", "over the rate of 1/h messages"),
        ("FASTWS_IDLE_TIMEOUT", 0.05, "idle_timeout", "idle for too long"),
        ("FASTWS_MAX_LIFETIME", 0.05, "max_lifetime", "the lifetime is over, connect again"),
    ],
)
async def test_a_setting_is_for_every_route_that_does_not_say_otherwise(setting, value, argument, reason):
    serve(path="/one")
    serve(path="/own", **{argument: "100/s" if argument == "rate" else 60})
    serve(path="/free", **{argument: None})
    with override_settings(**{setting: value}):
        async with connect("/own") as own, connect("/free") as free, connect("/one") as one:
            await one.send("1")
            await one.send("2")
            await one.wait_closed()
            assert one.close_reason == reason
            for ws in (own, free):
                for text in "ab":
                    await ws.send(text)
                    assert await ws.receive_text() == text


async def test_a_setting_counts_from_when_it_is_set():
    serve()
    async with connect("/x", user=ADA), connect("/x", user=ADA):
        with override_settings(FASTWS_MAX_CONNECTIONS_PER_USER=1):
            async with connect("/x", user=ADA):
                assert (await refusal(user=ADA)).status == 429
        assert await outcome(user=ADA) == 101


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FASTWS_MAX_CONNECTIONS", 0),
        ("FASTWS_MAX_CONNECTIONS_PER_USER", "5"),
        ("FASTWS_HANDSHAKE_RATE", "fast"),
        ("FASTWS_HANDSHAKE_RATE_PER_ADDRESS", 20),
        ("FASTWS_MESSAGE_RATE", "0/s"),
        ("FASTWS_IDLE_TIMEOUT", float("inf")),
        ("FASTWS_MAX_LIFETIME", True),
        ("FASTWS_REQUEST_TIMEOUT", 0),
        ("FASTWS_MAX_PENDING_PER_ADDRESS", 0),
        ("FASTWS_MAX_BODY_BYTES", "10 MB"),
        ("FASTWS_MAX_SPOOL_BYTES", -1),
        ("FASTWS_SESSION_CHECK_SECONDS", "60"),
        ("FASTWS_LOG_MASKED_PARAMETERS", None),
        ("FASTWS_LOG_MASKED_PARAMETERS", "token"),
        ("FASTWS_DRAIN_SECONDS", "long"),
        ("FASTWS_DB_RESET", "always"),
    ],
)
def test_an_application_is_not_built_with_a_setting_that_means_nothing(name, value):
    with override_settings(**{name: value}), pytest.raises(ImproperlyConfigured, match=name):
        get_asgi_application()


# Handshakes


async def test_a_process_takes_up_handshakes_at_a_rate(at):
    serve()
    with override_settings(FASTWS_HANDSHAKE_RATE="2/10s"):
        assert [await outcome() for _ in range(3)] == [101, 101, (429, "too many handshakes")]
        at.time = 4
        assert (await refusal(host="192.0.2.2")).headers["retry-after"] == "1"
        at.time = 5
        assert [await outcome() for _ in range(2)] == [101, (429, "too many handshakes")]
    assert statistics().refused == {"handshake_rate": 3}
    assert statistics().connections == 0


async def test_an_address_has_a_rate_of_handshakes(at):
    serve()
    with override_settings(FASTWS_HANDSHAKE_RATE_PER_ADDRESS="1/m", FASTWS_HANDSHAKE_RATE="3/m"):
        assert await outcome() == 101
        # Who is over his own rate takes nothing of what is there for all.
        assert [await outcome() for _ in range(5)] == [(429, "too many handshakes")] * 5
        assert await outcome(host="192.0.2.2") == 101
        assert await outcome(host="192.0.2.3") == 101
        assert (await refusal(host="192.0.2.4")).headers["retry-after"] == "20"
    assert statistics().refused == {"handshake_rate_per_address": 5, "handshake_rate": 1}


async def test_a_route_has_a_rate_of_handshakes(at):
    serve(handshake_rate="1/m")
    serve(path="/other")
    assert await outcome() == 101
    assert (await refusal()).headers["retry-after"] == "60"
    assert await outcome("/other") == 101
    at.time = 60
    assert await outcome() == 101


@pytest.mark.parametrize("setting", [{"FASTWS_HANDSHAKE_RATE": "1/h"}, {"FASTWS_MAX_CONNECTIONS": 1}])
async def test_what_the_process_takes_up_is_looked_at_before_sessions_are(monkeypatch, setting):
    looked = []
    monkeypatch.setattr(SessionStore, "load", lambda self: looked.append(self.session_key) or {})
    serve()
    with override_settings(**setting):
        async with connect("/x", cookies={"sessionid": "a" * 32}):
            assert looked == ["a" * 32]
            assert (await refusal(cookies={"sessionid": "b" * 32})).status == 429
    assert looked == ["a" * 32]


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


def _refuses(ws):
    return False


def _breaks(ws):
    raise RuntimeError("on purpose")


async def _accepts_and_refuses(ws):
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
        (echo, {"permission": _refuses}),
        (echo, {"permission": _breaks}),
        (echo, {"permission": _accepts_and_refuses}),
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
        assert (await refusal("/x?number=abc")).status == 400
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
        assert (await refusal(user=BOB)).status == 429
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
    clock = Clock()
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
        async with asyncio.timeout(5):
            denied = asyncio.create_task(refusal())
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

    serve(Busy, max_lifetime=0.05)
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
        seen.append(type(ws._transport._receive.__self__))

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


# What is said


def lines(caplog, name="django_fastws.limits"):
    return [record.getMessage() for record in caplog.records if record.name == name]


async def test_a_kind_is_logged_at_most_once_a_second_and_says_how_many_there_were(at, caplog):
    clock = Clock()
    serve(max_connections=1)
    serve(path="/other", max_connections=1)
    async with connect("/x"), connect("/other"):
        for time in (10, 10.2, 10.9):
            at.time = time
            await outcome()
        assert len(lines(caplog)) == 1
        assert "'/x' from '192.0.2.1' with 429: max_connections=1 is reached" in lines(caplog)[0]
        at.time = 11.5
        await clock.advance(1)
        assert len(lines(caplog)) == 2  # nobody came, and still it is told
        assert lines(caplog)[1].endswith("(2 of this kind since it was last said)")
        at.time = 11.6
        await outcome("/other")
        at.time = 12.6
        await outcome("/other")
        assert len(lines(caplog)) == 3
        assert "'/other'" in lines(caplog)[2]
        assert lines(caplog)[2].endswith("(2 of this kind since it was last said)")
        await clock.advance(5)
        assert len(lines(caplog)) == 3
    assert statistics().refused == {"max_connections": 5}


async def test_another_kind_is_logged_at_once(at, caplog):
    serve(max_connections=1, handshake_rate="2/h")
    async with connect("/x"):
        await outcome()
        await outcome()
    assert [line.rpartition(": ")[2] for line in lines(caplog)] == [
        "max_connections=1 is reached",
        "handshake_rate='2/h' is exceeded",
    ]


async def test_a_flood_of_refusals_is_a_handful_of_lines(caplog):
    serve(max_connections=1)
    async with connect("/x"):
        for _ in range(200):
            await outcome()
    assert statistics().refused == {"max_connections": 200}
    assert len(lines(caplog)) < 20


async def test_what_nobody_did_wrong_is_no_warning(caplog):
    caplog.set_level(logging.INFO, "django_fastws")
    serve(idle_timeout=0.01)
    serve(path="/rate", rate="1/h")
    async with connect("/x") as ws:
        await ws.wait_closed()
    async with connect("/rate") as ws:
        await ws.send("1")
        await ws.send("2")
        await ws.wait_closed()
    levels = {record.getMessage().rpartition(": ")[2]: record.levelname for record in caplog.records}
    assert levels["idle for too long"] == "INFO"
    assert levels["over the rate of 1/h messages"] == "WARNING"
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_client_cannot_write_into_the_log(caplog):
    serve(max_connections_per_address=1)
    host = "192.0.2.1\nCRITICAL: all is lost"
    async with connect("/x", application=application(host)):
        await outcome(host=host)
    assert "\n" not in lines(caplog)[0]


async def test_statistics_are_a_picture_that_does_not_change():
    serve(max_connections=2)
    async with connect("/x", user=ADA), connect("/x", user=ADA):
        before = statistics()
        assert (before.connections, before.users, before.refused, before.closed) == (2, 1, {}, {})
        await outcome()
    assert (before.connections, before.users, before.refused) == (2, 1, {})
    assert statistics() == Statistics(0, 0, {"max_connections": 1}, {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.connections = 5
    with pytest.raises(TypeError):
        before.refused["max_connections"] = 5


# Mistakes


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *[
            (name, value)
            for name in (
                "max_connections",
                "max_connections_per_address",
                "max_connections_per_user",
                "max_message_bytes",
            )
            for value in (0, -1, 1.5, "5", True, float("inf"), [])
        ],
        *[
            (name, value)
            for name in ("idle_timeout", "max_lifetime")
            for value in (0, -1, "5", True, float("inf"), float("nan"), [])
        ],
        *[
            (name, value)
            for name in ("rate", "handshake_rate")
            for value in ("", "fast", "20", "0/s", "20/x", 20, 1.5, True, [], "20/s burst 0", "-1/s")
        ],
    ],
)
def test_a_limit_that_cannot_be_is_refused_where_it_is_declared(argument, value):
    with pytest.raises(RouteError, match=argument) as raised:
        serve(**{argument: value})
    assert "test_limits.echo" in str(raised.value)


def test_a_limit_that_does_not_exist_is_refused():
    with pytest.raises(TypeError):
        serve(max_conections=5)


@pytest.mark.parametrize("value", [1, 10**9])
def test_a_limit_that_can_be_is_taken(value):
    serve(max_connections=value, idle_timeout=value, max_lifetime=value / 7, max_message_bytes=value)


async def test_a_handler_that_is_mounted_by_hand_keeps_its_limits():
    async def handler(ws):
        await echo(ws)

    serve(handler, max_connections=1, login_required=True)
    async with connect("/elsewhere", application=handler.as_asgi(), user=ADA):
        with pytest.raises(HandshakeDenied) as raised:
            async with connect("/elsewhere", application=handler.as_asgi(), user=ADA):
                pass
        assert raised.value.status == 429


async def test_a_thousand_sockets_of_one_user_are_counted_exactly():
    serve(max_connections_per_user=1000)
    async with AsyncExitStack() as stack:
        for _ in range(1000):
            await stack.enter_async_context(connect("/x", user=ADA))
        assert (await refusal(user=ADA)).status == 429
        assert (statistics().connections, statistics().users) == (1000, 1)
    assert (statistics().connections, statistics().users) == (0, 0)
