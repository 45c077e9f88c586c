"""The test client: in pytest, and in Django's own test case classes."""

import asyncio
import datetime as dt
import json

import pytest
from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.db import transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings

from django_fastws import FastWS, Room, WebSocketDisconnect, WebSocketMessage
from django_fastws.testing import HandshakeDenied, TestWebSocket, connect
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.testing.served import echo, serve, show

pytestmark = pytest.mark.usefixtures("routes")


# Messages


@pytest.mark.parametrize("data", ["text", "", "größe", b"\xff", b""])
async def test_a_message_of_either_kind_there_and_back(data):
    serve(echo)
    async with connect("/x") as ws:
        await ws.send(data)
        assert await ws.receive() == WebSocketMessage(data)
        await (ws.send_text if isinstance(data, str) else ws.send_bytes)(data)
        assert await (ws.receive_text if isinstance(data, str) else ws.receive_bytes)() == data


@pytest.mark.parametrize("data", [{"a": 1}, [1, None], {"at": dt.date(2024, 12, 31)}])
async def test_json_there_and_back(data):
    serve(echo)
    async with connect("/x") as ws:
        for send in (ws.send, ws.send_json):
            await send(data)
            assert await ws.receive_json() == json.loads(json.dumps(data, default=str))
    async with connect("/x") as ws:
        await ws.send_json("a str is JSON, too")
        assert await ws.receive_text() == '"a str is JSON, too"'


async def test_the_wrong_kind_raises_type_error_and_goes_on():
    serve(echo)
    async with connect("/x") as ws:
        await ws.send("text")
        with pytest.raises(TypeError, match="the message is text"):
            await ws.receive_bytes()
        await ws.send(b"binary")
        with pytest.raises(TypeError, match="the message is binary"):
            await ws.receive_text()
        await ws.send("{")
        with pytest.raises(ValueError, match="not JSON"):
            await ws.receive_json()
        await ws.send("still here")
        assert await ws.receive_text() == "still here"


async def test_async_for_yields_until_the_application_closes():
    async def count(ws):
        await ws.accept()
        for number in range(3):
            await ws.send(str(number))
        await ws.close(4000, "enough")

    serve(count)
    async with connect("/x") as ws:
        assert [message.text async for message in ws] == ["0", "1", "2"]
        assert (ws.closed, ws.close_code, ws.close_reason) == (True, 4000, "enough")


# The handshake


async def test_the_subprotocol_and_the_headers_of_the_answer():
    serve(show)
    async with connect("/x", subprotocols=["chat", "other"]) as ws:
        assert ws.subprotocol == "chat"
        assert ws.headers["x-answer"] == ws.headers["X-Answer"] == "größe"
    async with connect("/x") as ws:
        assert ws.subprotocol is None


async def test_the_scope_is_what_the_application_was_called_with():
    serve(echo)
    async with connect("/x?a=1") as ws:
        assert ws.scope["type"] == "websocket"
        assert ws.scope["query_string"] == b"a=1"


# Timeouts


async def test_a_timeout_leaves_the_application_running():
    release = asyncio.Event()
    ended = []

    async def handler(ws):
        await ws.accept()
        try:
            await release.wait()
            await ws.send("late")
            await ws.receive()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    serve(handler)
    async with connect("/x") as ws:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await ws.receive(timeout=0.01)
        with pytest.raises(TimeoutError):
            await ws.receive_json(timeout=0)
        assert not ws.closed
        release.set()
        assert await ws.receive_text() == "late"
    assert ended == []


async def test_a_wait_that_is_cancelled_from_outside_loses_nothing():
    serve(echo)
    async with connect("/x") as ws:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ws.receive(), 0.01)
        await ws.send("hello")
        assert await ws.receive_text() == "hello"


async def test_a_handshake_that_nobody_answers_times_out():
    async def handler(ws):
        await asyncio.Event().wait()

    serve(handler)
    with pytest.raises(TimeoutError):
        async with connect("/x", timeout=0.02):
            pass


async def test_the_timeout_of_the_connection_is_that_of_every_wait():
    async def handler(ws):
        await ws.accept()
        await ws.receive()

    serve(handler)
    async with connect("/x", timeout=0.5) as ws:
        assert ws.timeout == 0.5
        with pytest.raises(TimeoutError):
            await ws.receive()


async def test_receiving_nothing_takes_nothing_away():
    serve(echo)
    async with connect("/x") as ws:
        assert await ws.receive_nothing(0.01)
        await ws.send("hello")
        assert not await ws.receive_nothing(10)
        assert not await ws.receive_nothing(0)
        assert await ws.receive_text() == "hello"
        assert await ws.receive_nothing(0.01)


async def test_a_close_is_not_nothing():
    async def handler(ws):
        await ws.accept()

    serve(handler)
    async with connect("/x") as ws:
        assert not await ws.receive_nothing(10)


# The end


async def test_leaving_the_block_disconnects_and_waits_for_the_handler():
    ended = []

    async def handler(ws):
        await ws.accept()
        async for _ in ws:
            pass
        await asyncio.sleep(0)
        ended.append((ws.close_code, ws.close_reason))

    serve(handler)
    async with connect("/x"):
        pass
    assert ended == [(1000, "")]


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (4000, "bye"), (1006, "")])
async def test_closing_tells_the_handler_code_and_reason(code, reason):
    ended = []

    async def handler(ws):
        await ws.accept()
        try:
            await ws.receive()
        except WebSocketDisconnect as error:
            ended.append((error.code, error.reason))

    serve(handler)
    async with connect("/x") as ws:
        await ws.close(code, reason)
        assert ended == [(code, reason)]
        assert (ws.closed, ws.close_code, ws.close_reason) == (True, code, reason)


async def test_closing_twice_is_closing_once():
    serve(echo)
    async with connect("/x") as ws:
        await ws.close(4000)
        await ws.close(4001)
        assert ws.close_code == 4000


async def test_calls_on_a_closed_connection_raise_disconnect():
    serve(echo)
    async with connect("/x") as ws:
        await ws.close(4000, "bye")
        for call in (ws.send("x"), ws.send_bytes(b"x"), ws.send_json(1), ws.receive(), ws.receive_json()):
            with pytest.raises(WebSocketDisconnect) as raised:
                await call
            assert (raised.value.code, raised.value.reason) == (4000, "bye")


async def test_waiting_for_the_close_passes_over_messages():
    async def handler(ws):
        await ws.accept()
        await ws.send("one")
        await ws.send("two")
        await ws.close(4000)

    serve(handler)
    async with connect("/x") as ws:
        assert await ws.wait_closed() == 4000
        assert await ws.wait_closed() == 4000


async def test_waiting_for_a_close_that_does_not_come_times_out():
    serve(echo)
    async with connect("/x") as ws:
        with pytest.raises(TimeoutError):
            await ws.wait_closed(timeout=0.01)
        await ws.send("still here")
        assert await ws.receive_text() == "still here"


async def test_an_error_in_the_block_ends_the_handler_and_is_raised():
    ended = []

    async def handler(ws):
        await ws.accept()
        async for _ in ws:
            pass
        ended.append(ws.close_code)

    serve(handler)
    with pytest.raises(KeyError, match="of the test"):
        async with connect("/x"):
            raise KeyError("of the test")
    assert ended == [1000]


async def test_a_handlers_error_is_logged_and_seen_as_1011(caplog):
    async def handler(ws):
        await ws.accept()
        raise ValueError("on purpose")

    serve(handler)
    async with connect("/x") as ws:
        assert await ws.wait_closed() == 1011
    assert any("on purpose" in str(record.exc_info) for record in caplog.records)


async def test_an_error_of_the_application_itself_is_raised_in_the_test():
    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        async with connect("/x", application=application):
            pass


async def test_an_application_that_never_answers_a_handshake_is_told():
    async def application(scope, receive, send):
        await receive()

    with pytest.raises(AssertionError, match="ended without a word"):
        async with connect("/x", application=application):
            pass


async def test_an_application_that_sends_before_it_accepts_is_told():
    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.send", "text": "too early"})

    with pytest.raises(AssertionError, match="answered the handshake with"):
        async with connect("/x", application=application):
            pass


async def stubborn(ws, ended):
    await ws.accept()
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("cleaned up")


async def test_a_handler_that_does_not_end_is_cancelled_and_has_ended_when_the_block_is_left():
    ended = []

    async def handler(ws):
        await stubborn(ws, ended)

    serve(handler)
    async with connect("/x", timeout=0.5):
        pass
    assert ended == ["cleaned up"]


# Users and sessions


async def test_a_session_given_is_the_sessions():
    async def handler(ws):
        await ws.accept()
        await ws.send_json(ws.session["cart"])

    serve(handler)
    session = SessionStore()
    session["cart"] = [1, 2]
    async with connect("/x", session=session, user=AnonymousUser()) as ws:
        assert await ws.receive_json() == [1, 2]


async def test_a_session_may_be_a_plain_dict():
    async def handler(ws):
        await ws.accept()
        await ws.send_json(ws.session["cart"])

    serve(handler)
    async with connect("/x", session={"cart": [1, 2]}) as ws:
        assert await ws.receive_json() == [1, 2]


# Which application


async def test_without_asgi_application_all_routes_are_served(monkeypatch):
    monkeypatch.setattr("django.setup", lambda **kwargs: None)
    serve(echo)
    with override_settings(ASGI_APPLICATION=None):
        async with connect("/x") as ws:
            await ws.send("hello")
            assert await ws.receive_text() == "hello"


@pytest.mark.django_db
async def test_an_application_of_the_tests_own():
    class Consumer(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            await self.send(text_data[::-1])

    async with connect("/any", application=Consumer.as_asgi()) as ws:
        await ws.send("abc")
        assert await ws.receive_text() == "cba"


async def test_several_clients_at_once_in_one_room():
    async def chat(ws, name: str):
        await ws.accept()
        await ws.join("room")
        await ws.send("joined")
        async for message in ws:
            await ws.broadcast("room", {"from": name, "text": message.text})

    serve(chat)
    async with connect("/x?name=ada") as ada, connect("/x?name=bob") as bob:
        assert [await ws.receive_text() for ws in (ada, bob)] == ["joined", "joined"]
        await ada.send("hi")
        for ws in (ada, bob):
            assert await ws.receive_json() == {"from": "ada", "text": "hi"}
        await ada.close()
        await Room("room").abroadcast("after")
        assert await bob.receive_text() == "after"


def test_pytest_collects_no_client():
    assert TestWebSocket.__test__ is False


# Django's test case classes


async def whoami(ws):
    await ws.accept()
    users = await get_user_model().objects.acount()
    await ws.send_json([ws.user.username, ws.user.is_authenticated, users])


class RoutesMixin:
    @pytest.fixture(autouse=True)
    def _routes(self, routes):
        serve(echo, "/echo")
        serve(whoami, "/whoami")


class InSimpleTestCase(RoutesMixin, SimpleTestCase):
    async def test_echo_without_a_database(self):
        async with connect("/echo") as ws:
            await ws.send("hello")
            assert await ws.receive_text() == "hello"

    async def test_a_timeout_leaves_the_application_running(self):
        async with connect("/echo") as ws:
            with pytest.raises(TimeoutError):
                await ws.receive(timeout=0.01)
            await ws.send("hello")
            assert await ws.receive_text() == "hello"

    async def test_a_denial(self):
        with pytest.raises(HandshakeDenied) as raised:
            async with connect("/nope"):
                pass
        assert raised.value.status == 404


class WithDatabase(RoutesMixin):
    """What holds in both classes that have a database. The user is created in a transaction where there is one."""

    def setUp(self):
        self.ada = get_user_model().objects.create(username="ada")
        self.client.force_login(self.ada)

    async def test_the_session_of_djangos_client(self):
        async with connect("/whoami", cookies=self.client.cookies) as ws:
            assert await ws.receive_json() == ["ada", True, 1]

    async def test_a_user_given(self):
        async with connect("/whoami", user=self.ada) as ws:
            assert await ws.receive_json() == ["ada", True, 1]

    async def test_the_handlers_queries_are_in_the_tests_database(self):
        await get_user_model().objects.acreate(username="bob")
        async with connect("/whoami") as ws:
            assert await ws.receive_json() == ["", False, 2]

    async def test_the_async_login_of_djangos_client(self):
        await self.async_client.aforce_login(self.ada)
        async with connect("/whoami", cookies=self.async_client.cookies) as ws:
            assert await ws.receive_json() == ["ada", True, 1]


class InTestCase(WithDatabase, TestCase):
    async def test_a_broadcast_after_the_commit(self):
        async def member(ws):
            await ws.accept()
            await ws.join("room")
            await ws.send("joined")
            await ws.receive()

        def view():
            with transaction.atomic():
                Room("room").broadcast("committed")

        def view_and_commit():
            with self.captureOnCommitCallbacks(execute=True) as callbacks:
                view()
            return len(callbacks)

        serve(member, "/member")
        async with connect("/member") as ws:
            assert await ws.receive_text() == "joined"
            await sync_to_async(view)()
            assert await ws.receive_nothing(0.02)
            assert await sync_to_async(view_and_commit)() == 1
            assert await ws.receive_text() == "committed"


class InTransactionTestCase(WithDatabase, TransactionTestCase):
    pass


async def test_query_params_cannot_be_changed(routes):
    @FastWS().websocket("/query")
    async def handler(ws):
        await ws.accept()
        with pytest.raises(AttributeError, match="immutable"):
            ws.query_params["a"] = "2"
        await ws.send(ws.query_params["a"])

    async with connect("/query?a=1") as ws:
        assert await ws.receive_text() == "1"
