"""Declarations of keyed rooms, and keys."""

from __future__ import annotations

import pytest

from django_fastws import Latest
from django_fastws._core.latest import check_key


@pytest.mark.parametrize(
    ("rate", "interval"), [(None, 0.0), ("5/s", 0.2), ("1/s", 1.0), ("30/m", 2.0), ("1/h", 3600.0), ("1/d", 86_400.0)]
)
def test_a_rate_is_an_interval_of_each_key(rate, interval):
    assert Latest(rate=rate).interval == pytest.approx(interval)


def test_what_is_written_is_what_is_shown_and_compared():
    assert repr(Latest("5/s")) == "Latest(rate='5/s', seconds=3600)"
    assert Latest("5/s") == Latest(rate="5/s", seconds=3600)
    assert Latest("5/s") != Latest("6/s")
    assert hash(Latest(seconds=1)) == hash(Latest(seconds=1))
    with pytest.raises(AttributeError):
        Latest().seconds = 5


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 10 * 366 * 86_400 + 1])
def test_seconds_that_cannot_be(seconds):
    with pytest.raises(ValueError, match=r"over 0, and at most ten years"):
        Latest(seconds=seconds)


@pytest.mark.parametrize("seconds", [True, "1", None])
def test_seconds_that_are_no_number(seconds):
    with pytest.raises(TypeError, match="no number of seconds"):
        Latest(seconds=seconds)


@pytest.mark.parametrize("rate", ["5", 5, "0/s", "5/x", ""])
def test_rates_that_are_none(rate):
    with pytest.raises((TypeError, ValueError), match="rate"):
        Latest(rate=rate)


def test_a_rate_has_no_burst():
    with pytest.raises(ValueError, match="a burst would be of values that nobody needs"):
        Latest(rate="5/s burst 10")


@pytest.mark.parametrize("key", ["a", "x" * 512, " ", '"', "é", "\0", "k:a", "0"])
def test_keys(key):
    check_key(key, "broadcast()")


@pytest.mark.parametrize(
    ("key", "error", "text"),
    [
        (5, TypeError, "a key is a str, not int"),
        (b"a", TypeError, "not bytes"),
        (None, TypeError, "not NoneType"),
        ("", ValueError, "between 1 and 512 characters"),
        ("x" * 513, ValueError, "between 1 and 512 characters"),
        ("\ud800", ValueError, "no UTF-8"),
    ],
)
def test_what_is_no_key(key, error, text):
    with pytest.raises(error, match=rf"^remove\(\): .*{text}"):
        check_key(key, "remove()")
