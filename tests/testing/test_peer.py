"""The fake peer of outbound routes: messages, ends, reconnects, errors; in pytest and in Django's test cases."""

import asyncio

import pytest
from django.contrib.auth import get_user_model
from django.test import TestCase, TransactionTestCase

from django_fastws import FastWS, Reconnect, Room, WebSocketConnectionError, WebSocketDisconnect, WebSocketMessage
from django_fastws.testing import connect, peer

URL = "wss://stream.example.com/feed?key=secret"


def declare(handler, url=URL, **options):
    FastWS(tags=["market"]).ws(url=url, **options)(handler)
    return handler


async def echo(ws):
    async for message in ws:
        await ws.send(message.data)


# Messages


@pytest.mark.parametrize("data", ["text", "", "größe", b"\xff", b"", "x" * 100_000])
async def test_a_message_there_and_back(data):
    async with peer(declare(echo, max_size=None)) as remote:
        await remote.send(data)
        assert await remote.receive() == WebSocketMessage(data)


async def test_json_and_messages_that_are_passed_over():
    async with peer(declare(echo)) as remote:
        for value in ([1], {"type": "a"}, {"type": "b", "n": 1}):
            await remote.send_json(value)
        await remote.send("no JSON")
        await remote.send_json({"type": "b", "n": 2})
        assert await remote.receive_json(where={"type": "b", "n": 2}) == {"type": "b", "n": 2}
        assert await remote.receive_nothing(0.02)


async def test_the_handler_finds_a_socket_as_it_would_be():
    seen = {}

    async def feed(ws):
        seen.update(url=ws.url, tags=ws.tags, attempt=ws.attempt, subprotocol=ws.subprotocol)
        await ws.receive()

    async def token():
        return {"Authorization": "Bearer fresh"}

    declare(feed, headers=token, subprotocols=["v2", "v1"], origin="https://example.com")
    async with peer(feed) as remote:
        assert (remote.url, remote.path, remote.subprotocol) == (URL, "/feed?key=secret", "v2")
        assert remote.headers["authorization"] == "Bearer fresh"
        assert (remote.headers["origin"], remote.headers["host"]) == ("https://example.com", "stream.example.com")
        await remote.send("go")
        assert await remote.wait_ended() == "done"
    assert seen == {"url": URL, "tags": ("market",), "attempt": 0, "subprotocol": "v2"}
    async with peer(feed, subprotocol="v1") as remote:
        assert remote.subprotocol == "v1"


async def test_what_a_feed_broadcasts_reaches_a_client():
    async def feed(ws):
        async for message in ws:
            await Room("market").abroadcast(message.json())

    async def page(ws):
        await ws.accept()
        await ws.join("market")
        await ws.receive()

    FastWS().websocket("/market")(page)
    async with connect("/market") as ws, peer(declare(feed)) as remote:
        await remote.send_json({"price": 5})
        assert await ws.receive_json() == {"price": 5}


async def test_the_library_of_the_settings_does_not_matter(settings):
    settings.FASTWS_CLIENT_LIBRARY = "picows"
    async with peer(declare(echo)) as remote:
        await remote.send("hello")
        assert await remote.receive_text() == "hello"


# The end of a connection


@pytest.mark.parametrize(
    ("end", "code", "reason", "state"),
    [
        (lambda ws: asyncio.sleep(0), 1000, "", "done"),
        (lambda ws: ws.close(4000, "bye"), 4000, "bye", "done"),
        (lambda ws: ws.send_bytes(b"last"), 1000, "", "done"),
    ],
)
async def test_a_handler_ends(end, code, reason, state):
    async def feed(ws):
        await ws.receive()
        await end(ws)

    async with peer(declare(feed)) as remote:
        await remote.send("go")
        assert await remote.wait_closed() == code
        assert (remote.closed, remote.close_reason) == (True, reason)
        assert await remote.wait_ended() == state
        for call in (remote.send("x"), remote.receive(), remote.send_json(1)):
            with pytest.raises(WebSocketDisconnect) as caught:
                await call
            assert caught.value.code == code
            assert f"the route is {state}" in caught.value.__notes__[0]


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1012, "service restart"), (4000, "bye"), (1006, "")])
async def test_closing_tells_the_handler_and_waits_for_it(code, reason):
    ended = []

    async def feed(ws):
        async for _ in ws:
            pass
        ended.append((ws.close_code, ws.close_reason))

    async with peer(declare(feed)) as remote:
        await remote.close(code, reason)
        assert ended == [(code, reason)]
        assert (remote.closed, remote.close_code, remote.close_reason) == (True, code, reason)
        await remote.close(4001)
        assert remote.close_code == code


async def test_leaving_the_block_stops_the_route_as_the_command_does():
    ended = []

    async def feed(ws):
        async for _ in ws:
            pass
        ended.append(ws.close_code)

    async with peer(declare(feed, reconnect=True, max_retries=-1)) as remote:
        pass
    assert (ended, remote.state, remote.close_code) == ([1001], "stopped", 1001)


async def test_a_handler_that_does_not_end_is_cancelled():
    ended = []

    async def feed(ws):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")

    async with peer(declare(feed), timeout=0.5):
        pass
    assert ended == ["cleaned up"]


# Reconnects


async def test_a_route_reconnects_without_the_delay():
    attempts = []

    async def feed(ws):
        attempts.append(ws.attempt)
        await echo(ws)

    async with peer(declare(feed, reconnect=True, max_retries=5)) as remote:
        for number, code in enumerate((1012, 1006, 4000), 1):
            await remote.close(code)
            assert remote.state == "waiting"
            delay = await remote.reconnected()
            assert delay == remote.delays[-1] > 0
            assert (remote.connections, remote.closed, remote.close_code) == (number + 1, False, None)
            await remote.send("again")
            assert await remote.receive_text() == "again"
    assert attempts == [0, 1, 2, 3]


async def test_a_handler_that_asks_for_a_new_connection_names_the_delay():
    async def feed(ws):
        await ws.receive()
        raise Reconnect(delay=1800)

    async with peer(declare(feed)) as remote:
        await remote.send("expired")
        assert await remote.reconnected() == 1800
        assert remote.connections == 2


async def test_a_route_that_does_not_connect_again_says_why():
    async with peer(declare(echo)) as remote:
        await remote.close(1000)
        with pytest.raises(WebSocketConnectionError, match="the route does not connect; the route is done"):
            await remote.reconnected()
        assert await remote.wait_ended() == "done"


async def test_waiting_for_a_route_that_goes_on_times_out():
    async with peer(declare(echo)) as remote:
        with pytest.raises(TimeoutError, match=r"did not connect in 0\.02 seconds; the route is connected"):
            await remote.reconnected(timeout=0.02)
        with pytest.raises(TimeoutError, match=r"did not end in 0\.02 seconds; the route is connected"):
            await remote.wait_ended(timeout=0.02)
        with pytest.raises(TimeoutError, match=r"sent nothing in 0\.02 seconds; the route is connected"):
            await remote.receive(timeout=0.02)
        await remote.send("still here")
        assert await remote.receive_text() == "still here"


async def test_denials_come_first():
    async with peer(declare(echo, reconnect=True, max_retries=-1), denials=[503, 429]) as remote:
        assert (remote.connections, len(remote.delays)) == (1, 2)
        remote.denials.append(500)
        await remote.close()
        await remote.reconnected()
        assert (remote.connections, len(remote.delays)) == (2, 4)


async def test_a_denial_may_end_the_route():
    with pytest.raises(WebSocketConnectionError, match="the server answered 403"):
        async with peer(declare(echo, reconnect=True), denials=[403]):
            pytest.fail("the block must not run")


# Errors


async def failing(ws):
    async for message in ws:
        raise ValueError(f"{message.text} on purpose")


async def test_what_the_handler_raises_is_raised_when_the_block_is_left(caplog):
    async def provoke():
        async with peer(declare(failing)) as remote:
            await remote.send("wrong")
            assert await remote.wait_closed() == 1011
            assert (await remote.wait_ended(), remote.state) == ("failed", "failed")
            assert "wrong on purpose" in remote.last_error

    with pytest.raises(ValueError, match="wrong on purpose"):
        await provoke()


async def test_errors_may_be_part_of_the_test(caplog):
    handler = declare(failing, reconnect=True, max_retries=2, retry_on_error=True)
    async with peer(handler, raise_errors=False) as remote:
        await remote.send("wrong")
        await remote.reconnected()
        assert isinstance(remote.error, ValueError)
        with pytest.raises(TimeoutError, match="nothing in"):
            await remote.receive(timeout=0)


async def test_an_error_of_the_test_comes_before_that_of_the_handler(caplog):
    async def provoke():
        async with peer(declare(failing)) as remote:
            await remote.send("wrong")
            await remote.receive_json(where={"type": "answer"})

    with pytest.raises(WebSocketDisconnect) as caught:
        await provoke()
    assert "wrong on purpose" in "".join(caught.value.__notes__)


# Which route


async def test_a_route_is_found_by_its_handler_or_its_name():
    app = FastWS()
    app.ws(url=URL, name="one")(echo)
    async with peer("one"), peer(echo):
        pass
    app.ws(url="wss://other.example.com/", name="two")(echo)
    async with peer("two") as remote:
        assert remote.url == "wss://other.example.com/"
    with pytest.raises(LookupError, match="echo has several routes; give the name of one, of 'one', 'two'"):
        async with peer(echo):
            pass
    with pytest.raises(LookupError, match="no outbound route has the handler failing"):
        async with peer(failing):
            pass


# Django's test case classes


class WithDatabase:
    @pytest.fixture(autouse=True)
    def _feed(self, routes):
        async def feed(ws):
            async for message in ws:
                await get_user_model().objects.acreate(username=message.text)
                await ws.send_json(await get_user_model().objects.acount())

        self.feed = declare(feed)

    async def test_the_handlers_queries_are_in_the_tests_database(self):
        await get_user_model().objects.acreate(username="ada")
        async with peer(self.feed) as remote:
            await remote.send("bob")
            assert await remote.receive_json() == 2
        assert await get_user_model().objects.filter(username="bob").aexists()


class InTestCase(WithDatabase, TestCase):
    pass


class InTransactionTestCase(WithDatabase, TransactionTestCase):
    pass


@pytest.mark.django_db(transaction=True)
async def test_in_pytest_the_handlers_queries_are_in_the_tests_database():
    async def feed(ws):
        await ws.send_json(await get_user_model().objects.acount())

    await get_user_model().objects.acreate(username="ada")
    async with peer(declare(feed)) as remote:
        assert await remote.receive_json() == 1
