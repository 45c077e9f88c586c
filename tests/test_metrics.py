"""Metrics: the table, what its rows add up to, and that real parts count in them."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest
from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from django_fastws import FastWS, LiveError, Room, WebSocketDisconnect, metrics
from django_fastws._core.envelope import Envelope
from django_fastws._core.messages import Payload
from django_fastws.layer import outages
from django_fastws.layer.outages import Outage, outage_of
from django_fastws.limits import statistics
from django_fastws.metrics import Traffic, all_metrics, count_fan_out, traffic
from django_fastws.rooms.hub import Hub
from django_fastws.testing import HandshakeDenied, connect, live
from django_fastws.threads import Threads
from tests.conftest import layer_config
from tests.site import asgi  # noqa: F401 (sets Django up again)


@pytest.fixture(autouse=True)
def _zero():
    metrics.reset()
    yield
    metrics.reset()


# The table


@pytest.mark.parametrize("metric", all_metrics(), ids=lambda metric: metric.name)
def test_a_row_says_what_it_is_and_is_found_under_its_name(metric):
    assert getattr(metrics, metric.name) is metric
    assert metric.name in metrics.__all__
    assert metric.unit
    assert metric.meaning.endswith(".")
    assert metric.kind in ("counter", "gauge", "histogram")


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="joins"):
        metrics.row(metrics.Gauge("joins", "joins", (), "Joins."))


# Counted by each thread for itself


def test_traffic_belongs_to_a_thread_and_is_summed_over_all():
    def count():
        mine = traffic()
        assert mine is traffic()
        found.append(mine)
        mine.messages_received += 2
        mine.bytes_received += 10
        both_run.wait(5)  # so that they are two threads at once: one that has ended gives its traffic to the next

    found: list[Traffic] = []
    both_run = threading.Barrier(2)
    running = [threading.Thread(target=count) for _ in range(2)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    traffic().messages_received += 1
    assert found[0] is not found[1]
    assert metrics.received_messages.total == 5
    assert metrics.received_bytes.total == 20
    assert metrics.sent_messages.values == {}


def test_a_routes_own_traffic_is_part_of_the_whole_while_it_runs_and_afterwards():
    mine, other = Traffic(), Traffic()
    for one, count in ((mine, 3), (other, 2)):
        metrics.add_traffic(one)
        one.messages_received += count
    traffic().messages_received += 1
    assert metrics.received_messages.total == 6
    metrics.end_traffic(mine)
    assert metrics.received_messages.total == 6
    metrics.reset()
    other.messages_received += 1
    assert metrics.received_messages.total == 1
    metrics.end_traffic(other)
    assert (mine.messages_received, metrics.received_messages.total) == (3, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that it has threads
def test_a_forked_child_begins_with_zeros_and_with_locks_that_nobody_holds():
    metrics.history_reads.add(5)
    count_fan_out(1, 10, 100)
    traffic().messages_sent += 5

    def totals():
        counters = (metrics.history_reads.total, metrics.sent_messages.total)
        return (*counters, sum(value.count for value in metrics.fanout_seconds.values.values()))

    holds, is_over = threading.Event(), threading.Event()

    def hold():
        with metrics._lock:
            holds.set()
            is_over.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    holds.wait(10)
    pid = os.fork()
    if not pid:
        was = totals()
        mine = Traffic()
        metrics.add_traffic(mine)  # would wait without end for the thread, which is not in this process
        mine.messages_sent += 1
        os._exit(0 if was == (0, 0, 0) and metrics.sent_messages.total == 1 else 1)
    is_over.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert totals() == (5, 5, 1)


def test_fan_outs_of_all_threads_are_one():
    count_fan_out(0.0002, 30, 300)
    other = threading.Thread(target=count_fan_out, args=(0.0002, 1, 10))
    other.start()
    other.join()
    count_fan_out(100, 5, 50)
    assert (metrics.deliveries.total, metrics.delivered_bytes.total) == (36, 360)
    found = metrics.fanout_seconds.values[()]
    assert (found.count, found.counts[1], found.counts[-1]) == (3, 2, 1)
    assert found.sum == pytest.approx(100.0004)


# Real parts


@pytest.fixture
def no_outages(monkeypatch):
    """Of those that other tests have left there is nothing."""
    monkeypatch.setattr(outages, "_outages", outages._Outages())


@pytest.mark.usefixtures("no_outages")
async def test_an_outage_counts_and_so_do_its_seconds():
    server = Outage(object).server("redis")
    server.report_lost("a", OSError("cut"))
    server.report_lost("b", OSError("cut"))
    assert (metrics.layer_outages.total, metrics.layer_outage_seconds.total) == (1, 0)
    await asyncio.sleep(0.01)
    server.report_restored("a", "b")
    assert metrics.layer_outages.total == 1
    assert 0.01 <= metrics.layer_outage_seconds.total < 60


@pytest.mark.usefixtures("no_outages")
async def test_the_seconds_of_an_outage_grow_while_it_lasts():
    class Layer:
        pass

    layer = Layer()
    server = outage_of(layer).server("redis")
    server.report_lost("a", OSError("cut"))
    await asyncio.sleep(0.01)
    first = metrics.layer_outage_seconds.total
    assert first >= 0.01
    await asyncio.sleep(0.01)
    assert metrics.layer_outage_seconds.total > first
    server.report_restored("a")
    ended = metrics.layer_outage_seconds.total
    await asyncio.sleep(0.01)
    assert metrics.layer_outage_seconds.total == ended


def test_threads_are_busy_while_they_have_something_to_do():
    goes_on, begun, pool = threading.Event(), threading.Event(), Threads(2)

    def work():
        begun.set()
        assert goes_on.wait(10)

    async def run():
        with pool.assigned():
            working = asyncio.ensure_future(sync_to_async(work)())
            await asyncio.to_thread(begun.wait, 10)
            busy = metrics.threads_busy.value
            goes_on.set()
            await working
        await pool.close()
        return busy, metrics.threads_busy.value

    assert asyncio.run(run()) == (1, 0)


async def test_a_room_counts_joins_broadcasts_and_deliveries(routes):
    async def handler(ws):
        await ws.accept()
        await ws.join("lobby")
        await ws.join("lobby")
        await ws.send("joined")
        async for message in ws:
            await ws.broadcast("lobby", message.data, exclude_self=True)

    FastWS().websocket("/x")(handler)
    async with connect("/x") as one, connect("/x") as two, connect("/x") as three:
        for ws in (one, two, three):
            assert await ws.receive_text() == "joined"
        await one.send("hello")
        for ws in (two, three):
            assert await ws.receive_text() == "hello"
    assert metrics.joins.values == {("", "false"): 3}
    assert metrics.broadcasts.values == {("",): 1}
    assert metrics.layer_lag_seconds.values[()].count == 1
    assert metrics.deliveries.total == 2
    assert metrics.delivered_bytes.total >= 2 * len("hello")
    assert metrics.fanout_seconds.values[()].count == 1


@pytest.mark.redis
@pytest.mark.parametrize("name", ["ours", "pubsub", "core"])
async def test_the_lag_of_every_layer_is_measured_from_the_loop_and_from_threads(
    name, redis_server, routes, settings
):
    async def handler(ws):
        await ws.accept()
        await ws.join("lagging")
        await ws.send("joined")
        await ws.receive()

    settings.CHANNEL_LAYERS = {"default": layer_config(name, redis_server, "lag")}
    FastWS().websocket("/x")(handler)
    async with connect("/x") as ws:
        assert await ws.receive_text() == "joined"
        await Room("lagging").abroadcast("from the loop")
        assert await ws.receive_text() == "from the loop"
        await asyncio.to_thread(Room("lagging").broadcast, "from a thread")
        assert await ws.receive_text() == "from a thread"
    found = metrics.layer_lag_seconds.values[()]
    assert found.count == 2
    assert 0 < found.sum < 60


async def test_the_lag_between_clocks_that_disagree_is_none(monkeypatch):
    hub, envelope = Hub(), Envelope.broadcast("group", Payload("x"))
    envelope.published = time.time() + 1000
    hub.deliver(envelope)
    assert metrics.layer_lag_seconds.values[()].sum == 0
    hub.deliver(Envelope.broadcast("group", Payload("x")))  # of another version, which says nothing
    assert metrics.layer_lag_seconds.values[()].count == 1


async def test_connections_and_denials_are_counted(routes):
    async def handler(ws):
        await ws.accept()
        await ws.receive()

    FastWS().websocket("/x", max_connections=1)(handler)
    async with connect("/x"):
        assert metrics.connections.values == {("/x", "asgi"): 1}
        with pytest.raises(HandshakeDenied):
            async with connect("/x"):
                pass
    assert metrics.connections.value == 0
    assert metrics.denials.by("reason") == {"max_connections": 1}
    assert metrics.handshakes.values == {("/x",): 2}


class Consumer(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data, bytes_data)


async def handler(ws):
    await ws.accept()
    async for message in ws:
        await ws.send(message.data)


async def denying(ws):
    pass


async def failing(ws):
    raise RuntimeError("on purpose")


@pytest.mark.parametrize("echoing", [handler, Consumer.as_asgi()], ids=["function", "consumer"])
@pytest.mark.usefixtures("db")  # consumers look after old connections, and other tests may have left some
async def test_messages_and_closes_are_counted_of_handlers_and_of_consumers(routes, echoing):
    FastWS().websocket("/x")(echoing)
    async with connect("/x") as ws:
        for data in ("hellö", b"1"):
            await ws.send(data)
            assert (await ws.receive()).data == data
        await ws.close(4000)
    for counter in (metrics.received_messages, metrics.sent_messages):
        assert counter.values == {(): 2}
    for counter in (metrics.received_bytes, metrics.sent_bytes):
        assert counter.values == {(): 7}
    assert metrics.closes.values == {("4000", "client"): 1}
    assert metrics.handshakes.values == {("/x",): 1}
    assert metrics.connection_seconds.values[()].count == 1


async def test_a_handshake_that_was_denied_is_a_denial_and_no_close(routes):
    app = FastWS()
    app.websocket("/denying")(denying)
    app.websocket("/failing")(failing)
    app.websocket("/x")(handler)
    wrong = (("/denying", None), ("/failing", None), ("/x", "https://evil.example"), ("/nowhere", None))
    for path, origin in wrong:
        with pytest.raises(HandshakeDenied):
            async with connect(path, origin=origin):
                pass
    assert metrics.denials.by("reason") == {"not_accepted": 1, "error": 1, "origin": 1, "not_found": 1}
    assert metrics.closes.values == {}
    assert statistics().denied == {}


async def refusing(ws):
    await ws.close(4003)


class Refusing(AsyncWebsocketConsumer):
    async def connect(self):
        await self.close()


@pytest.mark.parametrize("denied", [refusing, Refusing.as_asgi()], ids=["function", "consumer"])
@pytest.mark.usefixtures("db")
async def test_a_handshake_that_its_handler_denies_by_itself_is_one_denial(routes, denied):
    FastWS().websocket("/x")(denied)
    with pytest.raises(HandshakeDenied):
        async with connect("/x"):
            pass
    assert metrics.denials.values == {("handler",): 1}
    assert metrics.closes.values == {}


async def closing(ws):
    await ws.accept()
    await ws.close(4001)


async def test_who_has_closed_is_told_apart(routes):
    app = FastWS()
    app.websocket("/closing")(closing)
    app.websocket("/x", idle_timeout=0.05)(handler)
    for path in ("/closing", "/x"):
        async with connect(path) as ws:
            with pytest.raises(WebSocketDisconnect):
                await ws.receive()
    async with connect("/x"):
        pass
    found = dict(metrics.closes.values)
    assert found.pop(("1000", "client")) == 1
    assert {by for _, by in found} == {"server"}
    assert found[("4001", "server")] == 1
    assert metrics.forced_closes.total == 1


def test_a_client_that_makes_up_close_codes_does_not_make_series_without_end():
    for code in range(3000, 3200):
        metrics.count_close(metrics.closes, code, "client")
    metrics.count_close(metrics.closes, 4400, "server")
    assert len(metrics.closes.values) == 66
    assert metrics.closes.values[("other", "client")] == 136
    assert metrics.closes.values[("4400", "server")] == 1


# Live rooms


def live_app():
    app = FastWS()
    room = app.room("orders/{pk:int}", presence=True)

    @room.on("add")
    async def add(ws, pk: int, number: int) -> int:
        if number < 0:
            raise LiveError("negative", "no")
        return number + 1

    return room


@pytest.mark.usefixtures("routes")
async def test_calls_and_joins_are_counted_by_pattern():
    orders = live_app()
    async with live() as client:
        room = await client.join("orders/5")
        assert await room.call("add", {"number": 1}) == 2
        with pytest.raises(LiveError):
            await room.call("add", {"number": -1})
        for event in ("made up", "of the client"):
            with pytest.raises(LiveError):
                await room.call(event, {})
        await orders(pk=5).abroadcast({}, "said")
        assert await room.next("said") is not None
        assert metrics.presence_keys.values == {("orders/{pk:int}",): 1}
    pattern = "orders/{pk:int}"
    assert metrics.calls.values == {
        (pattern, "add", "ok"): 1,
        (pattern, "add", "negative"): 1,
        (pattern, "", "unknown_event"): 2,
    }
    assert metrics.call_seconds.values[(pattern, "add")].count == 2
    assert metrics.joins.values == {(pattern, "false"): 1}
    assert metrics.broadcasts.values == {(pattern,): 1}
    assert metrics.connections.values == {("/ws/live", "asgi"): 0}


@pytest.mark.long
@pytest.mark.usefixtures("routes")
async def test_a_thousand_rooms_are_one_series():
    def series():
        return {(metric.name, labels) for metric in all_metrics() for labels in metric.values}

    async def visit(number: int) -> None:
        async with live() as client:
            room = await client.join(f"orders/{number}")
            assert await room.call("add", {"number": number}) == number + 1
            await orders(pk=number).abroadcast({}, "said")
            await Room(f"undeclared/{number}").abroadcast({})
            assert await room.next("said") is not None

    orders = live_app()
    await visit(0)
    before = series()
    for number in range(1, 1000):
        await visit(number)
    assert series() == before
    assert metrics.joins.total == metrics.calls.total == 1000
    assert metrics.broadcasts.values == {("orders/{pk:int}",): 1000, ("",): 1000}
