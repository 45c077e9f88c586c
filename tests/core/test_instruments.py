"""Counters, gauges and histograms: what they add up to, and that threads may share them."""

from __future__ import annotations

import threading

import pytest

from django_fastws._core.instruments import MOST_SERIES, OTHER, Counter, Gauge, Histogram


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


def test_a_gauge_without_labels_has_a_value_from_the_beginning():
    assert Gauge("open", "connections", (), "Open.").values == {(): 0}
    assert Gauge("open", "connections", ("route",), "Open.").values == {}


def test_a_gauge_keeps_labels_apart_or_reads_several():
    gauge = Gauge("open", "connections", ("route",), "Open.")
    gauge.add(2, "/a")
    gauge.add(1, "/b")
    gauge.add(-2, "/a")
    assert (gauge.values, gauge.value) == ({("/a",): 0, ("/b",): 1}, 1)
    gauge.read_from(lambda: {("/c",): 4})
    assert gauge.values == {("/c",): 4}


def test_a_counter_reads_what_is_counted_elsewhere():
    counter = Counter("a", "1", ("b",), "A.")
    counter.add(1, "x")
    counter.read_also(lambda: [(("x",), 2), (("y",), 3), (("z",), 0)])
    assert counter.values == {("x",): 3, ("y",): 3}


def test_counting_under_other_labels_than_the_table_has_is_a_mistake():
    with pytest.raises(TypeError, match="closes"):
        Counter("closes", "1", ("code", "by"), "A.").add(1, "1000")
    with pytest.raises(TypeError, match="took"):
        Histogram("took", "1", (), "A.", bounds=(1,)).observe(1, "x")


def test_there_is_a_limit_to_what_labels_keep_apart():
    counter, histogram = Counter("a", "1", ("b",), "A."), Histogram("c", "1", ("b",), "C.", bounds=(1,))
    for number in range(MOST_SERIES + 20):
        counter.add(1, str(number))
        histogram.observe(1, str(number))
    counter.add(1, "0")
    assert len(counter.values) == len(histogram.values) == MOST_SERIES + 1
    assert counter.values[(OTHER,)] == histogram.values[(OTHER,)].count == 20
    assert counter.values[("0",)] == 2


def test_a_cell_of_a_histogram_is_its_own_and_begins_anew_with_it():
    histogram = Histogram("c", "seconds", ("b",), "C.", bounds=(1, 2))
    cell = histogram.cell("x")
    assert histogram.cell("x") is cell
    cell.observe(1.5)
    histogram.observe(1.5, "x")
    assert histogram.values[("x",)].counts == [0, 2, 0]
    histogram.reset()
    assert histogram.values == {}
    cell.observe(3)
    assert histogram.values[("x",)].counts == [0, 0, 1]


def test_histograms_of_several_threads_are_one():
    histogram = Histogram("c", "seconds", (), "C.", bounds=(1,))
    other = threading.Thread(target=histogram.observe, args=(0.5,))
    histogram.observe(3)
    other.start()
    other.join()
    found = histogram.values[()]
    assert (found.counts, found.sum) == ([1, 1], 3.5)


def test_prometheus_names_have_a_prefix_and_counters_an_ending():
    names = [kind("a", "1", (), "A.").exposed for kind in (Counter, Gauge)]
    assert names == ["fastws_a_total", "fastws_a"]


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
