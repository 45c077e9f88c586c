"""Metrics: the table, what its rows add up to, and that real parts count in them."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from django_fastws import metrics
from django_fastws.metrics import Counter, Gauge, Histogram, Traffic, all_metrics, traffic


@pytest.fixture(autouse=True)
def _zero():
    metrics.reset()
    yield
    metrics.reset()


@pytest.fixture
def own_table(monkeypatch):
    """The table, empty for this test."""
    monkeypatch.setattr(metrics, "_metrics", {})


# The table


@pytest.mark.parametrize("metric", all_metrics(), ids=lambda metric: metric.name)
def test_a_row_says_what_it_is_and_is_found_under_its_name(metric):
    assert getattr(metrics, metric.name) is metric
    assert metric.name in metrics.__all__
    assert metric.unit
    assert metric.meaning.endswith(".")
    assert metric.kind in ("counter", "gauge", "histogram")


def test_a_name_is_taken_once(own_table):
    Counter("joins", "joins", (), "Joins.")
    with pytest.raises(ValueError, match="joins"):
        Gauge("joins", "joins", (), "Joins.")


# Counting


def test_a_counter_keeps_labels_apart(own_table):
    counter = Counter("closes", "connections", ("transport", "code"), "Closes.")
    counter.add(1, "daphne", "1000")
    counter.add(1, "uvicorn", "1000")
    counter.add(3, "daphne", "1006")
    assert counter.values == {("daphne", "1000"): 1, ("uvicorn", "1000"): 1, ("daphne", "1006"): 3}
    assert counter.by("code") == {"1000": 2, "1006": 3}
    assert counter.by("transport") == {"daphne": 4, "uvicorn": 1}
    assert counter.total == 5


def test_values_that_were_read_do_not_change(own_table):
    counter, histogram = Counter("a", "1", ("b",), "A."), Histogram("c", "seconds", (), "C.", bounds=(1,))
    counter.add(1, "x")
    histogram.observe(0.5)
    before, by, distribution = counter.values, counter.by("b"), histogram.values[()]
    counter.add(1, "x")
    histogram.observe(0.5)
    assert (before, by, distribution.counts) == ({("x",): 1}, {"x": 1}, [1, 0])
    with pytest.raises(TypeError):
        before[("x",)] = 5


def test_a_histogram_counts_in_buckets_whose_bounds_belong_to_them(own_table):
    histogram = Histogram("fan_out", "seconds", ("room",), "Fan-outs.", bounds=(0.1, 1))
    for value in (0.05, 0.1, 0.5, 1.0, 1.5):
        histogram.observe(value, "lobby")
    found = histogram.values[("lobby",)]
    assert found.counts == [2, 2, 1]
    assert found.count == 5
    assert found.sum == pytest.approx(3.15)


def test_a_gauge_goes_up_and_down_or_is_read(own_table):
    gauge = Gauge("open", "connections", (), "Open.")
    gauge.add(3)
    gauge.add(-1)
    assert (gauge.value, gauge.values) == (2, {(): 2})
    gauge.read_from(lambda: 7)
    assert gauge.value == 7


def test_threads_lose_no_count(own_table):
    counter, threads = Counter("a", "1", ("b",), "A."), 4

    def count():
        for _ in range(20_000):
            counter.add(1, "x")

    running = [threading.Thread(target=count) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert counter.total == threads * 20_000


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that it has threads
def test_a_forked_child_begins_with_zeros_and_with_locks_that_nobody_holds():
    metrics.joins.add(5)
    metrics.fan_out_seconds.observe(1)
    traffic("daphne").messages_sent += 5

    def totals():
        counters = (metrics.joins.total, metrics.messages_sent.total)
        return (*counters, sum(value.count for value in metrics.fan_out_seconds.values.values()))

    holds, is_over = threading.Event(), threading.Event()

    def hold():
        with metrics.joins._lock:
            holds.set()
            is_over.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    holds.wait(10)
    pid = os.fork()
    if not pid:
        was = totals()
        metrics.joins.add()  # would wait without end for the thread, which is not in this process
        os._exit(0 if was == (0, 0, 0) and metrics.joins.total == 1 else 1)
    is_over.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert totals() == (5, 5, 1)


# Real parts


async def test_an_outage_counts_and_so_do_its_seconds():
    from django_fastws.layer.outages import Outage

    server = Outage(object).server("redis")
    server.lost("a", OSError("cut"))
    server.lost("b", OSError("cut"))
    assert (metrics.outages.total, metrics.outage_seconds.total) == (1, 0)
    await asyncio.sleep(0.01)
    server.back("a", "b")
    assert metrics.outages.total == 1
    assert 0.01 <= metrics.outage_seconds.total < 60
