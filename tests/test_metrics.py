"""Metrics: the table, what its rows add up to, and that real parts count in them."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer

from django_fastws import FastWS, metrics
from django_fastws.limits import statistics
from django_fastws.metrics import Traffic, all_metrics, count_fan_out, traffic
from django_fastws.testing import HandshakeDenied, connect
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
        mine = traffic("daphne")
        assert mine is traffic("daphne")
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
    traffic("uvicorn").messages_received += 1
    assert found[0] is not found[1]
    assert metrics.messages_received.values == {("daphne",): 4, ("uvicorn",): 1}
    assert metrics.bytes_received.by("transport") == {"daphne": 20}
    assert metrics.messages_sent.values == {}


def test_a_routes_own_traffic_is_part_of_the_whole_while_it_runs_and_afterwards():
    mine, other = Traffic(), Traffic()
    for one, count in ((mine, 3), (other, 2)):
        metrics.add_route(one, "outbound")
        one.messages_received += count
    traffic("outbound").messages_received += 1
    assert metrics.messages_received.values == {("outbound",): 6}
    metrics.end_route(mine)
    assert metrics.messages_received.values == {("outbound",): 6}
    metrics.reset()
    other.messages_received += 1
    assert metrics.messages_received.values == {("outbound",): 1}
    metrics.end_route(other)
    assert (mine.messages_received, metrics.messages_received.total) == (3, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that it has threads
def test_a_forked_child_begins_with_zeros_and_with_locks_that_nobody_holds():
    metrics.joins.add(5)
    count_fan_out(1, 10, 100)
    traffic("daphne").messages_sent += 5

    def totals():
        counters = (metrics.joins.total, metrics.messages_sent.total)
        return (*counters, sum(value.count for value in metrics.fan_out_seconds.values.values()))

    holds, is_over = threading.Event(), threading.Event()

    def hold():
        with metrics.outbound_connections._lock, metrics._lock:
            holds.set()
            is_over.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    holds.wait(10)
    pid = os.fork()
    if not pid:
        was = totals()
        metrics.outbound_connections.add(1)  # would wait without end for the thread, which is not in this process
        os._exit(0 if was == (0, 0, 0) and metrics.outbound_connections.value == 1 else 1)
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
    found = metrics.fan_out_seconds.values[()]
    assert (found.count, found.counts[1], found.counts[-1]) == (3, 2, 1)
    assert found.sum == pytest.approx(100.0004)


# Real parts


async def test_an_outage_counts_and_so_do_its_seconds():
    from django_fastws.layer.outages import Outage

    server = Outage(object).server("redis")
    server.report_lost("a", OSError("cut"))
    server.report_lost("b", OSError("cut"))
    assert (metrics.outages.total, metrics.outage_seconds.total) == (1, 0)
    await asyncio.sleep(0.01)
    server.report_restored("a", "b")
    assert metrics.outages.total == 1
    assert 0.01 <= metrics.outage_seconds.total < 60


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
    assert metrics.joins.total == 3
    assert metrics.broadcasts.total == 1
    assert metrics.deliveries.total == 2
    assert metrics.delivered_bytes.total >= 2 * len("hello")
    assert metrics.fan_out_seconds.values[()].count == 1


async def test_connections_and_denials_are_counted(routes):
    async def handler(ws):
        await ws.accept()
        await ws.receive()

    FastWS().websocket("/x", max_connections=1)(handler)
    async with connect("/x"):
        assert metrics.connections.value == 1
        with pytest.raises(HandshakeDenied):
            async with connect("/x"):
                pass
    assert metrics.connections.value == 0
    assert metrics.denials.by("reason") == {"max_connections": 1}


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
        for data in ("hello", b"12"):
            await ws.send(data)
            assert (await ws.receive()).data == data
        await ws.close(4000)
    for counter in (metrics.messages_received, metrics.messages_sent):
        assert counter.values == {("asgi",): 2}
    for counter in (metrics.bytes_received, metrics.bytes_sent):
        assert counter.values == {("asgi",): 7}
    assert metrics.closes.values == {("asgi", "4000"): 1}


async def test_a_handshake_that_was_denied_is_a_denial_and_no_close(routes):
    app = FastWS()
    app.websocket("/denying")(denying)
    app.websocket("/failing")(failing)
    app.websocket("/x")(handler)
    for path, origin in (("/denying", None), ("/failing", None), ("/x", "https://evil.example")):
        with pytest.raises(HandshakeDenied):
            async with connect(path, origin=origin):
                pass
    assert metrics.denials.by("reason") == {"not_accepted": 1, "error": 1, "origin": 1}
    assert metrics.closes.values == {}
    assert statistics().denied == {}
