"""Counts with a limit."""

import threading

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import sampled_from

from django_fastws._core.counts import Counts


def test_what_is_over_the_limit_is_not_counted():
    counts = Counts()
    assert [counts.take("ada", 2) for _ in range(4)] == [True, True, False, False]
    assert counts["ada"] == 2
    counts.give("ada")
    assert counts.take("ada", 2)


def test_without_a_limit_everything_is_counted():
    counts = Counts()
    assert all(counts.take("ada") for _ in range(1000))
    assert counts["ada"] == 1000


def test_a_limit_that_was_lowered_holds_for_whoever_comes():
    counts = Counts()
    for _ in range(5):
        counts.take("ada", 5)
    assert not counts.take("ada", 3)
    assert counts["ada"] == 5


def test_keys_are_counted_apart_and_what_is_at_zero_is_forgotten():
    counts = Counts()
    counts.take("ada", 1)
    assert counts.take("bob", 1)
    assert len(counts) == 2
    counts.give("ada")
    assert (len(counts), counts["ada"], counts["never seen"]) == (1, 0, 0)


def test_giving_back_what_was_not_taken_is_a_mistake():
    with pytest.raises(KeyError):
        Counts().give("ada")


def test_threads_may_share_them():
    counts = Counts()

    def work():
        for _ in range(2000):
            if counts.take("ada", 3):
                counts.give("ada")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == 0


class Model(RuleBasedStateMachine):
    """Against a list of what was taken."""

    def __init__(self):
        super().__init__()
        self.counts = Counts()
        self.taken = []

    @rule(key=sampled_from("abc"), limit=sampled_from([None, 1, 2, 5]))
    def take(self, key, limit):
        fits = limit is None or self.taken.count(key) < limit
        assert self.counts.take(key, limit) == fits
        if fits:
            self.taken.append(key)

    @rule(key=sampled_from("abc"))
    def give(self, key):
        if key in self.taken:
            self.taken.remove(key)
            self.counts.give(key)

    @invariant()
    def same(self):
        assert [self.counts[key] for key in "abc"] == [self.taken.count(key) for key in "abc"]
        assert len(self.counts) == len(set(self.taken))


TestModel = Model.TestCase
