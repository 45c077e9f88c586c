"""Counts by kind, told of once in a while."""

import pytest

from django_fastws._core.tally import Tally


def test_the_first_is_told_at_once_and_the_next_with_how_many_there_were():
    tally = Tally(seconds=1)
    told = []
    for time in (10, 10.1, 10.5, 10.999, 11.0, 11.5, 13):
        tally.add("rate")
        told.append(tally.tell("rate", time))
    assert told == [1, 0, 0, 0, 4, 0, 2]
    assert tally.counts == {"rate": 7}


def test_kinds_are_apart():
    tally = Tally()
    tally.add("rate")
    tally.add("idle")
    assert tally.tell("rate", 5) == 1
    assert tally.tell("idle", 5) == 1


def test_nothing_is_told_where_nothing_has_happened():
    tally = Tally()
    assert tally.tell("rate", 5) == 0
    tally.add("rate")
    tally.tell("rate", 5)
    assert tally.tell("rate", 50) == 0


def test_how_long_it_is_until_the_next_may_be_told():
    tally = Tally(seconds=2)
    assert tally.wait("rate", 5) == 0
    tally.add("rate")
    tally.tell("rate", 5)
    assert [tally.wait("rate", time) for time in (5, 6.5, 7, 100)] == [2, 0.5, 0, 0]


def test_the_counts_that_were_asked_for_do_not_change():
    tally = Tally()
    before = tally.counts
    tally.add("rate")
    assert before == {}
    with pytest.raises(TypeError):
        before["rate"] = 5
