"""The delays between attempts, and what a server asks for instead."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.backoff import delays, is_retryable_status, retry_after

NOW = 1_000_000_000.0  # Sunday, 9 September 2001, 01:46:40 GMT


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"jitter": 0}, [2, 4, 8, 16, 30, 30, 30]),
        ({"jitter": 0, "base": 3}, [3, 9, 27, 30, 30]),
        ({"jitter": 0, "base": 1}, [1, 1, 1]),
        ({"jitter": 0, "base": 0.5}, [0.5, 0.25, 0.125]),
        ({"jitter": 0, "cap": 5}, [2, 4, 5, 5]),
        ({"jitter": 0, "cap": 0.1}, [0.1, 0.1]),
        ({"jitter": 0, "base": 1e300}, [30, 30, 30]),
        ({"fraction": lambda: 0.0}, [2, 4, 8, 16, 30, 30]),
        ({"fraction": lambda: 1.0}, [1, 2, 4, 8, 15, 15]),
        ({"fraction": lambda: 0.5}, [1.5, 3, 6, 12, 22.5]),
        ({"jitter": 1, "fraction": lambda: 0.75}, [0.5, 1, 2, 4, 7.5]),
    ],
)
def test_delays(options, wanted):
    assert list(islice(delays(**options), len(wanted))) == pytest.approx(wanted)


@given(st.integers(1, 40))
def test_a_delay_is_between_half_and_all_of_two_to_the_n_seconds_and_at_most_30(attempt):
    longest = min(2**attempt, 30)
    delay = next(islice(delays(), attempt - 1, None))
    assert longest / 2 <= delay <= longest


def test_two_clients_do_not_wait_alike():
    assert list(islice(delays(), 5)) != list(islice(delays(), 5))


def test_delays_never_end():
    assert next(islice(delays(jitter=0), 5000, None)) == 30


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local time that is not UTC."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, None),
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        # The three forms of a date that RFC 9110 section 5.6.7 has every recipient take; all are in GMT.
        ("Sun, 09 Sep 2001 01:46:50 GMT", 10),
        ("Sunday, 09-Sep-01 01:46:50 GMT", 10),
        ("Sun Sep  9 01:46:50 2001", 10),
        ("Sun, 09 Sep 2001 01:46:30 GMT", 0),  # it is over
        (formatdate(NOW + 3600, usegmt=True), 3600),
        (formatdate(NOW + 86400, usegmt=True), 3600),
        ("3601", 3600),
        ("99999999999999", 3600),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),  # a digit, but no ASCII one
        ("9" * 400, None),  # no finite number
        ("Sun, 09 Sep 99999 01:46:50 GMT", None),
        ("Sun, 39 Sep 2001 01:46:50 GMT", None),
    ],
)
def test_retry_after(value, wanted):
    assert retry_after(value, NOW) == wanted


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 520, 599])
def test_a_retry_may_succeed_after_this_status(status):
    assert is_retryable_status(status)


@pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 401, 402, 403, 404, 405, 410, 418, 426, 451, 600, 999])
def test_no_retry_can_succeed_after_this_status(status):
    assert not is_retryable_status(status)
