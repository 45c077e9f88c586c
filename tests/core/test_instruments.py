"""Counters, gauges and histograms: what they add up to, and that threads may share them."""

from __future__ import annotations

import threading

import pytest

from django_fastws._core.instruments import Counter, Gauge, Histogram


def test_a_counter_keeps_labels_apart():
    counter = Counter("closes", "connections", ("transport", "code"), "Closes.")
    counter.add(1, "daphne", "1000")
    counter.add(1, "uvicorn", "1000")
    counter.add(3, "daphne", "1006")
    assert counter.values == {("daphne", "1000"): 1, ("uvicorn", "1000"): 1, ("daphne", "1006"): 3}
    assert counter.by("code") == {"1000": 2, "1006": 3}
    assert counter.by("transport") == {"daphne": 4, "uvicorn": 1}
    assert counter.total == 5


def test_values_that_were_read_do_not_change():
    counter, histogram = Counter("a", "1", ("b",), "A."), Histogram("c", "seconds", (), "C.", bounds=(1,))
    counter.add(1, "x")
    histogram.observe(0.5)
    before, by, distribution = counter.values, counter.by("b"), histogram.values[()]
    counter.add(1, "x")
    histogram.observe(0.5)
    assert (before, by, distribution.counts) == ({("x",): 1}, {"x": 1}, [1, 0])
    with pytest.raises(TypeError):
        before[("x",)] = 5


def test_a_histogram_counts_in_buckets_whose_bounds_belong_to_them():
    histogram = Histogram("fan_out", "seconds", ("room",), "Fan-outs.", bounds=(0.1, 1))
    for value in (0.05, 0.1, 0.5, 1.0, 1.5):
        histogram.observe(value, "lobby")
    found = histogram.values[("lobby",)]
    assert found.counts == [2, 2, 1]
    assert found.count == 5
    assert found.sum == pytest.approx(3.15)


def test_a_gauge_goes_up_and_down_or_is_read():
    gauge = Gauge("open", "connections", (), "Open.")
    gauge.add(3)
    gauge.add(-1)
    assert (gauge.value, gauge.values) == (2, {(): 2})
    gauge.read_from(lambda: 7)
    assert gauge.value == 7


def test_threads_lose_no_count():
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
