"""Numbered messages: what arrives twice is noticed."""

from __future__ import annotations

from django_fastws._core.sequences import Numbered, Sequences


def take(sequences, messages):
    return [message["x"] for message in messages if sequences.is_next(message.get("by"), message.get("nr"))]


def test_what_is_sent_again_is_passed_over():
    sender, other, sequences = Numbered(), Numbered(), Sequences()
    sent = [sender.add({"x": str(number)}) for number in range(12)]
    assert take(sequences, sent[:10]) == [str(number) for number in range(10)]
    assert take(sequences, sent[8:] + sent) == ["10", "11"]
    assert take(sequences, [other.add({"x": "other"})]) == ["other"]


def test_what_has_no_number_passes():
    sequences = Sequences()
    for message in ({}, {"by": "ada"}, {"nr": "1"}, {"by": 1, "nr": 1}):
        assert sequences.is_next(message.get("by"), message.get("nr"))
        assert sequences.is_next(message.get("by"), message.get("nr"))


def test_a_message_is_not_changed_but_copied():
    message = {"x": "1"}
    assert Numbered().add(message).keys() == {"x", "by", "nr"}
    assert message == {"x": "1"}


def test_of_too_many_senders_the_first_are_forgotten():
    sequences = Sequences(most=10)
    for sender in range(100):
        assert sequences.is_next(str(sender), "1")
    assert not sequences.is_next("99", "1")
    assert sequences.is_next("0", "1")
    assert len(sequences._highest) <= 10
