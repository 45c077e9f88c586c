"""Registry of the sockets that are open: who is in it, in which order, what each counts for itself, and its cost."""

import tracemalloc

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer

from django_fastws import FastWS, metrics
from django_fastws.testing import connect, live
from django_fastws.websocket import current_sockets
from django_fastws.websocket.open_sockets import OpenSockets

MOST_BYTES = 400  # of memory for each socket, at most


class Stand:
    """As much of a socket as the registry touches, but for the socket itself."""

    __slots__ = ("route", "traffic")


@pytest.mark.usefixtures("routes")
async def test_a_socket_is_there_while_its_handler_runs_and_counts_for_itself():
    app = FastWS()

    @app.websocket("/echo/{word}")
    async def echo(ws, word):
        await ws.accept()
        async for message in ws:
            await ws.send_text(message.text * 2)

    before = metrics.sent_bytes.total
    async with connect("/echo/a") as one, connect("/echo/b") as other:
        await one.send_text("abc")
        assert await one.receive_text() == "abcabc"
        first, second = current_sockets().all()
        assert (first.route, first.scope["path"], second.scope["path"]) == ("/echo/{word}", "/echo/a", "/echo/b")
        assert (first.traffic.messages_received, first.traffic.bytes_received) == (1, 3)
        assert (first.traffic.messages_sent, first.traffic.bytes_sent) == (1, 6)
        assert second.traffic.messages_received == 0
        assert current_sockets().find(first.id) is first
        assert metrics.sent_bytes.total - before == 6
        await other.close()
    assert current_sockets().all() == []
    assert current_sockets().find(first.id) is None
    assert current_sockets().opened(first) is None
    assert metrics.sent_bytes.total - before == 6


@pytest.mark.usefixtures("routes", "db")
async def test_a_consumer_is_there_too():
    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            await self.send(text_data)

    FastWS().websocket("/echo")(Echo)
    async with connect("/echo") as ws:
        await ws.send_text("abcd")
        assert await ws.receive_text() == "abcd"
        (there,) = current_sockets().all()
        assert (there.route, there.traffic.bytes_received, there.traffic.bytes_sent) == ("/echo", 4, 4)
        there.close_from_outside("console", 4000, "enough")
        assert await ws.wait_closed() == 4000
    assert current_sockets().all() == []


@pytest.mark.usefixtures("routes")
async def test_the_rooms_of_a_live_socket_are_known():
    app = FastWS()
    app.room("tickets/{pk:int}")
    async with live() as client:
        room = await client.join("tickets/5")
        (there,) = current_sockets().all()
        assert there.live is not None
        assert there.every_room == {"tickets/5"}
        await room.leave()
        assert there.every_room == frozenset()
    assert there.live is None


async def test_no_two_are_opened_at_the_same_time(monkeypatch):
    monkeypatch.setattr("django_fastws.websocket.open_sockets.time.monotonic", lambda: 1000.0)
    sockets = OpenSockets()
    opened = [Stand() for _ in range(5)]
    for ws in opened:
        sockets.add(ws, "/")
    times = [sockets.opened(ws) for ws in opened]
    assert times == sorted(set(times))
    for ws in opened:
        sockets.discard(ws)
    assert len(sockets) == 0


async def test_a_socket_costs_little():
    sockets = OpenSockets()
    opened = [Stand() for _ in range(10_000)]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for ws in opened:
        sockets.add(ws, "/")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for ws in opened:
        sockets.discard(ws)
    print((after - before) / len(opened))
    assert (after - before) / len(opened) < MOST_BYTES
