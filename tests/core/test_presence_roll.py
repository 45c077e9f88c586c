"""What follows from reports: who has joined, has left, has changed."""

from __future__ import annotations

from typing import Any

import pytest

from django_fastws._core.presence_reports import PresenceConnection, PresenceDiff, PresenceReport, Reported
from django_fastws._core.presence_roll import MOST_DIFFS, MOST_KEYS, PresenceRoll, chunks, joined_reports

T0 = 1_700_000_000_000_000


class Roll(PresenceRoll):
    """A roll with reports in one line: ``ID``, ``ID=CARD``, ``ID@STAMP``, ``-ID`` for one that is held."""

    def __init__(self) -> None:
        super().__init__()
        self.now = T0

    def say(self, process: str, key: str, *connections: str) -> Reported:
        self.now += 1
        return self.report(process, [PresenceReport(key, tuple(map(connection, connections)), True)], self.now, 100)


def connection(text: str) -> PresenceConnection:
    text, _, stamp = text.partition("@")
    text, _, card = text.partition("=")
    return PresenceConnection(text.lstrip("-"), int(stamp or 0), card.encode() or b"{}", text.startswith("-"))


def told(reported: Reported) -> list[tuple[Any, ...]]:
    return [(one.kind, one.key, one.present.meta.decode(), one.present.connections) for one in reported.diff.changes]


def test_the_first_joins_and_the_last_leaves():
    roll = Roll()
    assert told(roll.say("a", "ada", "1=x")) == [("joined", "ada", "x", 1)]
    assert told(roll.say("b", "ada", "2=x")) == [("changed", "ada", "x", 2)]
    assert told(roll.say("a", "ada")) == [("changed", "ada", "x", 1)]
    assert roll.snapshot().keys["ada"].since == (T0 + 1) / 1e6  # it has been here without a break
    assert told(roll.say("a", "ada")) == []
    last = roll.say("b", "ada")
    assert told(last) == [("left", "ada", "x", 1)]
    assert (last.diff.v, last.diff.total, roll.v) == (103, 0, 103)
    assert roll.say("b", "ada", "2").diff.v == 104
    assert roll.snapshot().keys["ada"].since == roll.now / 1e6


def test_a_report_that_comes_again_changes_nothing():
    roll = Roll()
    stamp = roll.say("a", "ada", "1=x", "2=y").stamp
    assert told(roll.say("a", "ada", f"1=x@{stamp}", f"2=y@{stamp}")) == []
    assert roll.v == 100
    assert len(roll.snapshot().recent) == 1


def test_the_newest_card_counts_and_of_those_that_are_held_only_where_there_is_no_other():
    roll = Roll()
    assert told(roll.say("a", "ada", "1=old@5", "2=new@7")) == [("joined", "ada", "new", 2)]
    assert told(roll.say("b", "ada", "-3=held@9")) == []
    assert told(roll.say("a", "ada", "-1=old@5", "-2=new@7")) == [("changed", "ada", "held", 3)]
    assert told(roll.say("b", "ada")) == [("changed", "ada", "new", 2)]
    assert told(roll.say("a", "ada", "-1=old@5", "-2=new@7", "4=live@1")) == [("changed", "ada", "live", 2)]
    assert told(roll.say("a", "ada", "1=one@5", "2=two@5")) == [("changed", "ada", "two", 2)]


def test_a_connection_that_moves_makes_no_change():
    roll = Roll()
    roll.say("a", "ada", "1=x")
    assert told(roll.say("a", "ada", "-1=x")) == []
    assert told(roll.say("b", "ada", "1=x")) == []
    assert roll.processes == {"b"}
    assert roll.has("a")  # until it has reported again
    assert told(roll.say("a", "ada")) == []
    assert not roll.has("a")
    assert roll.snapshot().keys["ada"].since == (T0 + 1) / 1e6


def test_who_reports_a_connection_that_has_moved_away_does_not_take_it_back():
    roll = Roll()
    stamp = roll.say("a", "ada", "1=old", "2=other").stamp
    roll.say("b", "ada", "1=new")
    assert told(roll.say("a", "ada", f"-1=old@{stamp}", f"2=other@{stamp}")) == []
    assert roll.processes == {"a", "b"}
    assert told(roll.say("a", "ada", f"-1=old@{stamp}")) == [("changed", "ada", "new", 1)]
    assert roll.processes == {"b"}
    assert told(roll.say("a", "ada", "1=newest")) == [("changed", "ada", "newest", 1)]
    assert roll.processes == {"a"}


def test_what_a_layer_had_lost_is_as_old_as_its_cards():
    roll = Roll()
    roll.say("a", "ada", f"1=x@{T0 - 9_000_000}", f"2=x@{T0 - 5}")
    roll.say("a", "bob", f"3=x@{T0 + 10**12}")
    keys = roll.snapshot().keys
    assert keys["ada"].since == (T0 - 9_000_000) / 1e6
    assert keys["bob"].since == roll.now / 1e6


def test_of_several_reports_of_a_key_the_last_counts():
    one, two, three = (
        PresenceReport(key, (), is_user) for key, is_user in (("ada", True), ("bob", True), ("ada", False))
    )
    assert list(chunks([one, two, three])) == [[three, two]]


def test_what_a_process_has_reported_is_taken_back():
    roll = Roll()
    for number in range(MOST_KEYS + 2):
        roll.say("a", f"k{number}", "1")
    roll.say("b", "k0", "2")
    left = 0
    while keys := roll.keys_of("a"):
        assert len(keys) <= MOST_KEYS
        left += sum(change.kind == "left" for change in roll.take_back("a", keys, 1).changes)
    assert left == MOST_KEYS + 1
    assert roll.total == 1
    assert roll.snapshot(["a"], counts_only=True) == (roll.v, 1, {}, (), ["a"])
    assert roll.keys_of("nobody") == []


def test_the_newest_diffs_are_remembered():
    roll = Roll()
    assert roll.snapshot() == (0, 0, {}, (), ())
    for number in range(MOST_DIFFS + 10):
        roll.say("a", f"k{number % 2}", *("1", "2")[: 1 + number // 2 % 2])
    recent = roll.snapshot().recent
    assert len(recent) == MOST_DIFFS
    assert [v for v, _ in recent] == list(range(roll.v - MOST_DIFFS + 1, roll.v + 1))
    assert list(recent[-1][1]) == ["k1"]


@pytest.mark.parametrize(("count", "parts"), [(0, 1), (1, 1), (MOST_KEYS, 1), (MOST_KEYS + 1, 2)])
def test_large_reports_are_taken_in_several_steps(count, parts):
    reports = [PresenceReport(str(number), (), True) for number in range(count)]
    made = list(chunks(reports))
    assert len(made) == parts
    assert [one for chunk in made for one in chunk] == reports


def test_what_became_of_several_steps():
    roll = Roll()
    one, other = roll.say("a", "ada", "1"), roll.say("a", "bob", "1")
    assert joined_reports([one]) is one
    joined = joined_reports([one, other])
    assert joined == (one.stamp, PresenceDiff(101, 2, [*one.diff.changes, *other.diff.changes]))
