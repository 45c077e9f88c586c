"""Values that a process keeps under keys: claimed once, until they expire, and no more than so many."""

import pytest

from django_fastws.layer import values as values_module
from django_fastws.layer.values import ProcessValues


class Clock:
    now = 1000.0


@pytest.fixture
def clock():
    return Clock()


def test_a_key_has_the_first_value_that_claims_it_until_it_expires(clock):
    values = ProcessValues(lambda: clock.now)
    assert values.claim("a", b"1", 10) is None
    clock.now += 9
    assert values.claim("a", b"2", 10) == b"1"
    assert values.claim("b", b"2", 10) is None
    clock.now += 1
    assert values.claim("a", b"3", 10) is None
    assert values.claim("a", b"4", 10) == b"3"


def test_what_is_stored_takes_the_place_and_the_time_of_the_claim(clock):
    values = ProcessValues(lambda: clock.now)
    values.claim("a", b"1", 10)
    values.store("a", b"2", 60)
    clock.now += 59
    assert values.claim("a", b"3", 10) == b"2"
    clock.now += 1
    assert values.claim("a", b"3", 10) is None


def test_there_are_no_more_than_so_many_and_the_oldest_goes_first(monkeypatch):
    monkeypatch.setattr(values_module, "_MOST", 3)
    values = ProcessValues()
    for name in "abcd":
        values.claim(name, name.encode(), 60)
    assert [values.claim(name, b"new", 60) for name in "dcb"] == [b"d", b"c", b"b"]
    assert values.claim("a", b"new", 60) is None
