"""Sequence numbers: what arrives twice is noticed."""

from __future__ import annotations

import pytest

from django_fastws._core.sequences import Sender, Sequences
from tests.support.memory import memory_of


def take(sequences, messages):
    """The places of those that are no duplicates."""
    return [place for place, (sender, number) in enumerate(messages) if sequences.is_next(sender, number)]


def test_what_is_sent_again_is_passed_over():
    sequences = Sequences()
    sent = [("ada", str(number)) for number in range(1, 13)]
    assert take(sequences, sent[:10]) == list(range(10))
    assert take(sequences, sent[8:] + sent) == [2, 3]
    assert take(sequences, [("bob", "1")]) == [0]


def test_no_two_senders_have_one_name():
    assert len({Sender().name for _ in range(100)}) == 100


def test_what_has_no_number_passes():
    sequences = Sequences()
    for message in ({}, {"by": "ada"}, {"nr": "1"}, {"by": 1, "nr": 1}):
        assert sequences.is_next(message.get("by"), message.get("nr"))
        assert sequences.is_next(message.get("by"), message.get("nr"))


def test_who_goes_on_is_not_forgotten_however_many_others_come():
    sequences = Sequences(most=10)
    assert sequences.is_next("regular", "1")
    for number in range(100):
        assert sequences.is_next(f"newcomer {number}", "1")
        # A repetition keeps it, too.
        assert sequences.is_next("regular", str(number // 2 + 2)) is (number % 2 == 0)
    assert not sequences.is_next("regular", "1")


@pytest.mark.parametrize("number", ["", "x", "1.5", "-1", "+1", " 1", "1_0", "٣", "9" * 20, "9" * 10_000])
def test_what_is_no_number_is_refused(number):
    sequences = Sequences()
    with pytest.raises(ValueError, match="not the number of a message"):
        sequences.is_next("ada", number)
    assert sequences.is_next("ada", "1")


def test_a_name_that_is_longer_than_any_senders_is_refused_and_not_kept():
    sequences = Sequences()
    assert sequences.is_next("x" * 64, "1")
    for number in ("1", "2"):
        with pytest.raises(ValueError, match="a sender's name of 100000 characters"):
            sequences.is_next("x" * 100_000, number)
    assert not sequences.is_next("x" * 64, "1")
    assert memory_of(sequences) < 10_000


def test_of_too_many_senders_those_that_are_idle_for_longest_are_forgotten():
    sequences = Sequences(most=10)
    for sender in range(1000):
        assert sequences.is_next(f"{sender:04}", "1")
        if sender == 19:
            full = memory_of(sequences)
    assert not sequences.is_next("0999", "1")
    assert sequences.is_next("0000", "1")
    assert memory_of(sequences) <= 2 * full


def test_as_many_senders_as_there_is_room_for_are_remembered():
    for before in range(12):  # who were heard before, so that the ten begin anywhere
        sequences = Sequences(most=10)
        for sender in range(before):
            sequences.is_next(f"before {sender}", "1")
        for sender in range(10):
            assert sequences.is_next(str(sender), "1")
        assert not any(sequences.is_next(str(sender), "1") for sender in range(10))
