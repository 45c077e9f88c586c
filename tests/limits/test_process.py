"""Limits of connections and handshakes: of the process, routes, addresses and users."""

from contextlib import AsyncExitStack

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_fastws.asgi import get_asgi_application
from django_fastws.limits import statistics
from django_fastws.testing import HandshakeDenied, connect
from tests.limits.serving import ADA, BOB, EVERY_KIND, application, denial, echo, outcome, serve

# Consumers look after old database connections at every event, and other tests may have left some.
pytestmark = pytest.mark.usefixtures("routes", "db", "fresh")


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
    assert statistics().denied == {"max_connections": 1}


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
        assert (await denial(host="2001:db8::2")).status == 429
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


async def test_a_thousand_sockets_of_one_user_are_counted_exactly():
    serve(max_connections_per_user=1000)
    async with AsyncExitStack() as stack:
        for _ in range(1000):
            await stack.enter_async_context(connect("/x", user=ADA))
        assert (await denial(user=ADA)).status == 429
        assert (statistics().connections, statistics().users) == (1000, 1)
    assert (statistics().connections, statistics().users) == (0, 0)


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
                assert (await denial(user=ADA)).status == 429
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


async def test_a_handler_that_is_mounted_by_hand_keeps_its_limits():
    async def handler(ws):
        await echo(ws)

    serve(handler, max_connections=1, login_required=True)
    async with connect("/elsewhere", application=handler.as_asgi(), user=ADA):
        with pytest.raises(HandshakeDenied) as raised:
            async with connect("/elsewhere", application=handler.as_asgi(), user=ADA):
                pass
        assert raised.value.status == 429


# Handshakes


async def test_a_process_takes_up_handshakes_at_a_rate(at):
    serve()
    with override_settings(FASTWS_HANDSHAKE_RATE="2/10s"):
        assert [await outcome() for _ in range(3)] == [101, 101, (429, "too many handshakes")]
        at.time = 4
        assert (await denial(host="192.0.2.2")).headers["retry-after"] == "1"
        at.time = 5
        assert [await outcome() for _ in range(2)] == [101, (429, "too many handshakes")]
    assert statistics().denied == {"handshake_rate": 3}
    assert statistics().connections == 0


async def test_an_address_has_a_rate_of_handshakes(at):
    serve()
    with override_settings(FASTWS_HANDSHAKE_RATE_PER_ADDRESS="1/m", FASTWS_HANDSHAKE_RATE="3/m"):
        assert await outcome() == 101
        # Who is over his own rate takes nothing of what is there for all.
        assert [await outcome() for _ in range(5)] == [(429, "too many handshakes")] * 5
        assert await outcome(host="192.0.2.2") == 101
        assert await outcome(host="192.0.2.3") == 101
        assert (await denial(host="192.0.2.4")).headers["retry-after"] == "20"
    assert statistics().denied == {"handshake_rate_per_address": 5, "handshake_rate": 1}


async def test_a_route_has_a_rate_of_handshakes(at):
    serve(handshake_rate="1/m")
    serve(path="/other")
    assert await outcome() == 101
    assert (await denial()).headers["retry-after"] == "60"
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
            assert (await denial(cookies={"sessionid": "b" * 32})).status == 429
    assert looked == ["a" * 32]
