"""Channels consumer classes, registered by the same decorator and served beside routes."""

import pytest
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.exceptions import AcceptConnection, DenyConnection
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.core.exceptions import ImproperlyConfigured
from django.urls import path

from django_fastws import FastWS, Room
from django_fastws.routing import reverse_ws, websocket_urlpatterns
from django_fastws.testing import HandshakeDenied, connect
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.support.handshakes import AsyncEcho, SyncEcho

# Channels looks after old database connections at every event, and other tests may have left some.
pytestmark = pytest.mark.usefixtures("routes", "db")


class AsyncJson(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        await self.send_json({"got": content})


class SyncJson(JsonWebsocketConsumer):
    def receive_json(self, content, **kwargs):
        self.send_json({"got": content})


class BareAsync(AsyncConsumer):
    async def websocket_connect(self, message):
        await self.send({"type": "websocket.accept"})

    async def websocket_receive(self, message):
        await self.send({"type": "websocket.send", "text": message["text"]})


class BareSync(SyncConsumer):
    def websocket_connect(self, message):
        self.send({"type": "websocket.accept"})

    def websocket_receive(self, message):
        self.send({"type": "websocket.send", "text": message["text"]})


def serve(consumer, url="/x", **kwargs):
    FastWS(**kwargs).websocket(url)(consumer)
    return consumer


@pytest.mark.parametrize("consumer", [AsyncEcho, SyncEcho, BareAsync, BareSync])
async def test_a_consumer_is_served(consumer):
    serve(consumer)
    async with connect("/x") as ws:
        await ws.send("größe")
        assert await ws.receive_text() == "größe"


@pytest.mark.parametrize("consumer", [AsyncEcho, SyncEcho])
async def test_a_consumer_gets_binary_messages(consumer):
    serve(consumer)
    async with connect("/x") as ws:
        await ws.send(b"\xff")
        assert await ws.receive_bytes() == b"\xff"


@pytest.mark.parametrize("consumer", [AsyncJson, SyncJson])
async def test_a_json_consumer(consumer):
    serve(consumer)
    async with connect("/x") as ws:
        await ws.send({"a": [1]})
        assert await ws.receive_json() == {"got": {"a": [1]}}


@pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
async def test_a_consumer_finds_what_the_path_holds_and_who_is_there(base):
    class Async(AsyncWebsocketConsumer):
        async def connect(self):
            await self.accept()
            await self.send(repr((self.scope["url_route"]["kwargs"], str(self.scope["user"]))))

    class Sync(WebsocketConsumer):
        def connect(self):
            self.accept()
            self.send(repr((self.scope["url_route"]["kwargs"], str(self.scope["user"]))))

    serve(Async if base is AsyncWebsocketConsumer else Sync, "/{room}/{pk:int}", prefix="/ws")
    async with connect("/ws/lobby/5") as ws:
        assert await ws.receive_text() == repr(({"room": "lobby", "pk": 5}, "AnonymousUser"))


async def test_an_instance_for_each_connection():
    class Counting(AsyncWebsocketConsumer):
        count = 0

        async def receive(self, text_data=None, bytes_data=None):
            self.count += 1
            await self.send(str(self.count))

    serve(Counting)
    async with connect("/x") as one, connect("/x") as two:
        for ws, count in ((one, "1"), (one, "2"), (two, "1")):
            await ws.send("x")
            assert await ws.receive_text() == count


async def test_a_consumer_may_agree_on_a_subprotocol():
    class Chat(AsyncWebsocketConsumer):
        async def connect(self):
            await self.accept(self.scope["subprotocols"][0])

    serve(Chat)
    async with connect("/x", subprotocols=["chat", "other"]) as ws:
        assert ws.subprotocol == "chat"


@pytest.mark.parametrize("how", ["close", "raise"])
async def test_a_consumer_may_deny(how):
    class Denying(AsyncWebsocketConsumer):
        async def connect(self):
            if how == "raise":
                raise DenyConnection
            await self.close()

    serve(Denying)
    with pytest.raises(HandshakeDenied) as raised:
        async with connect("/x"):
            pass
    assert raised.value.status == 403


async def test_a_consumer_may_accept_by_exception():
    class Accepting(AsyncWebsocketConsumer):
        async def connect(self):
            raise AcceptConnection

    serve(Accepting)
    async with connect("/x") as ws:
        assert not ws.closed


@pytest.mark.parametrize(("code", "reason"), [(None, None), (4000, None), (4000, "bye"), (1011, "failed")])
async def test_a_consumers_close_has_its_code_and_reason(code, reason):
    class Closing(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            await self.close(code, reason)

    serve(Closing)
    async with connect("/x") as ws:
        await ws.send("x")
        assert await ws.wait_closed() == (code or 1000)
        assert ws.close_reason == (reason or "")


async def test_a_consumer_learns_how_the_client_closed():
    seen = []

    class Leaving(AsyncWebsocketConsumer):
        async def disconnect(self, code):
            seen.append(code)

    serve(Leaving)
    async with connect("/x") as ws:
        await ws.close(4001)
    assert seen == [4001]


@pytest.mark.parametrize("base", ["async", "sync"])
async def test_a_consumer_that_fails_is_logged_and_closes_with_1011(base, caplog):
    class Async(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            raise ValueError("on purpose")

    class Sync(WebsocketConsumer):
        def receive(self, text_data=None, bytes_data=None):
            raise ValueError("on purpose")

    serve(Async if base == "async" else Sync)
    async with connect("/x") as ws:
        await ws.send("x")
        assert await ws.wait_closed() == 1011
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["on purpose"]


async def test_a_consumer_that_fails_in_connect_denies_the_handshake(caplog):
    class Failing(AsyncWebsocketConsumer):
        async def connect(self):
            raise ValueError("on purpose")

    serve(Failing)
    with pytest.raises(HandshakeDenied) as raised:
        async with connect("/x"):
            pass
    assert raised.value.status == 500
    assert any(record.exc_info for record in caplog.records)


class Grouped(AsyncWebsocketConsumer):
    groups = ["news"]

    async def news_item(self, event):
        await self.send(event["text"])


class Publishing(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await Room("lobby").abroadcast({"from consumer": text_data})


class SyncPublishing(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        Room("lobby").broadcast({"from consumer": text_data})


async def member(ws):
    await ws.accept()
    await ws.join("lobby")
    await ws.send("joined")
    async for message in ws:
        await get_channel_layer().group_send("news", {"type": "news.item", "text": message.text})


async def test_a_routes_handler_reaches_a_consumers_group():
    serve(Grouped, "/news")
    serve(member, "/member")
    async with connect("/news") as consumer, connect("/member") as route:
        assert await route.receive_text() == "joined"
        await route.send("read all about it")
        assert await consumer.receive_text() == "read all about it"


@pytest.mark.parametrize("consumer", [Publishing, SyncPublishing])
async def test_a_consumer_broadcasts_to_a_room(consumer):
    serve(consumer, "/publish")
    serve(member, "/member")
    async with connect("/publish") as publisher, connect("/member") as route:
        assert await route.receive_text() == "joined"
        await publisher.send("hello")
        assert await route.receive_json() == {"from consumer": "hello"}


async def test_a_group_and_a_room_of_one_name_do_not_meet():
    class Lobby(Grouped):
        groups = ["lobby"]

    serve(Lobby, "/consumer")
    serve(member, "/member")
    async with connect("/consumer") as consumer, connect("/member") as route:
        assert await route.receive_text() == "joined"
        await Room("lobby").abroadcast("to the room")
        assert await route.receive_text() == "to the room"
        await get_channel_layer().group_send("lobby", {"type": "news.item", "text": "to the group"})
        assert await consumer.receive_text() == "to the group"
        assert await route.receive_nothing(0.02)
        assert await consumer.receive_nothing(0.02)


# Registration


def test_consumers_and_handlers_share_one_registry(routes):
    app = FastWS(prefix="/ws", tags=["t"])
    app.websocket("/consumer")(AsyncEcho)
    app.websocket("/handler")(member)
    assert [(route.path, route.handler, route.signature is None) for route in routes] == [
        ("/ws/consumer", AsyncEcho, True),
        ("/ws/handler", member, False),
    ]
    assert [route.tags for route in routes] == [("t",), ("t",)]
    assert [pattern.name for pattern in websocket_urlpatterns()] == ["AsyncEcho", "member"]


def test_a_consumer_and_a_handler_on_one_path_are_refused():
    serve(AsyncEcho, "/x")
    serve(member, "/x")
    with pytest.raises(ImproperlyConfigured) as raised:
        websocket_urlpatterns()
    assert "AsyncEcho" in str(raised.value)
    assert "member" in str(raised.value)
    assert "handshakes.py:" in str(raised.value)
    assert "test_consumer.py:" in str(raised.value)


def test_a_consumer_need_not_take_what_the_path_has():
    serve(AsyncEcho, "/{room}")
    assert len(websocket_urlpatterns()) == 1


def test_a_consumer_is_found_by_its_name():
    FastWS(prefix="/ws").websocket("/{room}", name="echo")(AsyncEcho)
    assert reverse_ws("echo", room="x") == reverse_ws(AsyncEcho, room="x") == "/ws/x"


async def test_a_consumer_on_two_paths():
    app = FastWS()
    app.websocket("/a")(app.websocket("/b")(AsyncEcho))
    for url in ("/a", "/b"):
        async with connect(url) as ws:
            await ws.send("x")
            assert await ws.receive_text() == "x"


async def test_a_consumer_with_initial_arguments():
    class Configured(AsyncWebsocketConsumer):
        def __init__(self, *args, greeting="hello", **kwargs):
            super().__init__(*args, **kwargs)
            self.greeting = greeting

        async def connect(self):
            await self.accept()
            await self.send(self.greeting)

    app = FastWS()
    app.websocket("/default")(Configured)
    app.websocket("/other")(Configured.as_asgi(greeting="good day"))
    for url, greeting in (("/default", "hello"), ("/other", "good day")):
        async with connect(url) as ws:
            assert await ws.receive_text() == greeting


async def test_a_consumer_can_still_be_mounted_by_hand():
    serve(AsyncEcho, "/elsewhere")
    router = URLRouter([path("by/hand", AsyncEcho.as_asgi())])
    async with connect("/by/hand", application=router) as ws:
        await ws.send("x")
        assert await ws.receive_text() == "x"
