"""Sockets that are observed: which units of work there are, at both ends, and none where nobody observes."""

from __future__ import annotations

import asyncio

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer

from django_fastws import FastWS, tracing
from django_fastws.testing import connect, peer
from django_fastws.traced_sockets import HandlerWebSocket
from django_fastws.websocket import InboundWebSocket
from tests.site import asgi  # noqa: F401 (sets Django up again)


class Current:
    """Observer that keeps what has begun and what has ended, and knows what is current."""

    def __init__(self):
        self.begun, self.ended, self.works = [], [], []

    def begin(self, work):
        self.begun.append(work.name)
        self.works.append(work)
        return _Part(self, work)


class _Part:
    traceparent = ""

    def __init__(self, observer, work):
        self.observer, self.work = observer, work

    def end(self, error, code, attributes):
        self.observer.ended.append((self.work.name, error and type(error).__name__, code, dict(attributes)))

    def leave(self): ...


@pytest.fixture
def seen():
    observer = Current()
    tracing.install(observer)
    yield observer
    tracing.uninstall(observer)


@pytest.fixture
def app(routes):
    return FastWS()


async def test_every_way_to_receive_is_observed_once_for_each_message(seen, app):
    @app.websocket("/all")
    async def every(ws):
        assert type(ws) is HandlerWebSocket
        await ws.accept()
        await ws.receive()
        await ws.receive_text()
        await ws.receive_bytes()
        await ws.receive_json()
        await ws.receive_as(int)
        async for _ in ws.iter_as(int):
            break
        async for _ in ws:
            break

    async with connect("/all") as ws:
        for data in ("a", "b", b"c", "4", "5", "6", "7"):
            await ws.send(data)
        await ws.wait_closed()
    assert seen.begun == ["WS /all", "handler /all", *["message /all"] * 7]
    assert [name for name, *_ in seen.ended] == seen.begun
    assert [work.attributes["messaging.message.body.size"] for work in seen.works[2:]] == [1] * 7


async def test_the_end_of_a_connection_is_a_unit_of_work_whoever_has_closed(seen, app):
    @app.websocket("/closes")
    async def closes(ws):
        await ws.accept()
        async for message in ws:
            if message.text == "close":
                await ws.close(4001)

    async with connect("/closes") as ws:
        await ws.send("close")
        await ws.wait_closed()
    assert seen.works[-1].name == "disconnect /closes"
    assert seen.works[-1].attributes == {"fastws.close.code": 4001}
    async with connect("/closes") as ws:
        await ws.close(1001)
    assert seen.works[-1].attributes == {"fastws.close.code": 1001}
    assert len(seen.ended) == len(seen.begun)


async def test_a_wait_that_is_given_up_loses_no_message_and_begins_none(seen, app):
    @app.websocket("/waits")
    async def waits(ws):
        await ws.accept()
        try:
            async with asyncio.timeout(0.001):
                await ws.receive()
        except TimeoutError:
            await ws.send("still there")
        await ws.send((await ws.receive()).data)

    async with connect("/waits") as ws:
        assert await ws.receive_text() == "still there"
        await ws.send("x")
        assert await ws.receive_text() == "x"
        await ws.wait_closed()
    assert seen.begun == ["WS /waits", "handler /waits", "message /waits"]
    assert len(seen.ended) == 3


@pytest.mark.usefixtures("db")  # consumers look after old connections, and other tests may have left some
async def test_consumer_classes_are_observed_until_they_have_accepted_and_by_who_makes_no_spans(seen, app):
    @app.websocket("/consumer")
    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            if text_data == "fail":
                raise RuntimeError("no")
            await self.send(text_data)

    async with connect("/consumer") as ws:
        await ws.send("one")
        assert await ws.receive_text() == "one"
    assert seen.begun == ["WS /consumer", "connection /consumer"]
    async with connect("/consumer") as ws:
        await ws.send("fail")
        await ws.wait_closed()
    assert seen.ended[-1][:2] == ("connection /consumer", "RuntimeError")


async def test_outbound_routes_are_observed_from_the_attempt_on(seen, app):
    @app.ws(url="ws://peer.example/feed?token=secret", name="feed", reconnect=True, max_retries=5)
    async def feed(ws):
        async for message in ws:
            if message.text == "fail":
                raise RuntimeError("no")
            await ws.send(message.data)

    async with peer("feed", denials=[503], raise_errors=False) as remote:
        await remote.send("one")
        assert await remote.receive_text() == "one"
        await remote.send("fail")
        await remote.wait_closed()
    assert seen.begun == ["connect feed", "connect feed", "handler feed", "message feed", "message feed"]
    assert seen.works[1].attributes == {"fastws.attempt": 1}
    assert [(name, error, code) for name, error, code, _ in seen.ended] == [
        ("connect feed", None, "transient_failure"),
        ("connect feed", None, ""),
        ("handler feed", None, ""),
        ("message feed", None, ""),
        ("message feed", "RuntimeError", ""),
    ]
    assert not any("secret" in str(value) for work in seen.works for value in work.attributes.values())


async def test_the_end_of_an_outbound_connection_is_a_unit_of_work(seen, app):
    @app.ws(url="ws://peer.example/feed", name="feed", reconnect=False)
    async def feed(ws):
        await ws.receive()
        async for _ in ws:
            pass

    async with peer("feed") as remote:
        await remote.send("one")
        await remote.close(1012)
    assert seen.begun == ["connect feed", "handler feed", "message feed", "disconnect feed"]
    assert seen.works[-1].attributes == {"fastws.close.code": 1012}


async def test_where_nobody_observes_sockets_are_what_they_always_are(app):
    kinds = []

    @app.websocket("/x")
    async def kind(ws):
        kinds.append(type(ws))

    for _ in range(2):
        with pytest.raises(Exception, match="403"):
            async with connect("/x"):
                pass
    assert kinds == [InboundWebSocket] * 2
