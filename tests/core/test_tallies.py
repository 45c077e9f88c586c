"""Tallies of one thread: what they add up to, and that they begin anew in place."""

from __future__ import annotations

from django_fastws._core.instruments import OTHER, HistogramCell
from django_fastws._core.tallies import CallTally, FanOutTally, Traffic


def test_traffic_begins_with_zeros():
    traffic = Traffic()
    traffic.messages_sent += 3
    traffic.reset()
    assert [getattr(traffic, name) for name in Traffic.__slots__] == [0, 0, 0, 0]


def test_fan_outs_are_counted_once_for_all_members():
    cell = HistogramCell((0.1, 1))
    tally = FanOutTally(cell)
    tally.count(0.5, 200, 2600)
    tally.count(0.05, 1, 13)
    assert (tally.deliveries, tally.delivered_bytes, cell.counts) == (201, 2613, [1, 1, 0])
    tally.reset()
    assert (tally.deliveries, tally.delivered_bytes, cell.count) == (0, 0, 2)


def test_calls_are_counted_by_how_they_end():
    cell = HistogramCell((0.1, 1))
    tally = CallTally(cell)
    for code in (None, "forbidden", None, "forbidden", "invalid"):
        tally.count(0.2, code)
    assert (tally.succeeded, tally.codes, cell.count) == (2, {"forbidden": 2, "invalid": 1}, 5)


def test_a_handler_that_makes_up_error_codes_does_not_make_series_without_end():
    tally = CallTally(HistogramCell((1,)))
    for number in range(200):
        tally.count(0.1, f"made-up-{number}")
    tally.count(0.1, "made-up-3")
    assert len(tally.codes) == 51
    assert tally.codes[OTHER] == 150
    assert tally.codes["made-up-3"] == 2
