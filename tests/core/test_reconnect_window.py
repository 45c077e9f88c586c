"""Reconnect window: how long for how many sockets, and how the close frame says it."""

from __future__ import annotations

import pytest

from django_fastws._core.rates import parse_rate
from django_fastws._core.reconnect_window import reconnect_window, restart_status


@pytest.mark.parametrize(
    ("sockets", "rate", "seconds"),
    [
        (0, "125/s", 1.0),
        (1, "125/s", 1.0),
        (125, "125/s", 1.0),
        (500, "125/s", 4.0),
        (1_000, "125/s", 8.0),
        (3_750, "125/s", 30.0),
        (1_000_000, "125/s", 30.0),
        (1_000, "6000/m", 10.0),
        (1_000, "100/s burst 5000", 10.0),
        (1, "1/d", 30.0),
    ],
)
def test_the_window_grows_with_the_sockets_within_bounds(sockets, rate, seconds):
    assert reconnect_window(sockets, parse_rate(rate)) == seconds


def test_without_a_rate_there_is_no_window():
    assert reconnect_window(1_000, None) is None


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        (None, "service restart"),
        (1.0, "service restart;1000"),
        (8.0, "service restart;8000"),
        (1.0001, "service restart;1001"),
    ],
)
def test_the_reason_is_in_milliseconds(window, reason):
    assert restart_status(window) == (1012, reason)
