"""Which leases are over: after silence, outages and burials."""

from __future__ import annotations

import pytest

from django_fastws._core.presence_leases import BURIED, RESTING, PresenceLeases

SECOND = 1000
LEASE = 30 * SECOND
T0 = 1_700_000_000 * SECOND


def test_the_first_lease_begins_and_is_renewed():
    leases = PresenceLeases()
    assert leases.beat("a", LEASE, T0) == (False, [], None)
    assert leases.beat("a", LEASE, T0 + 10 * SECOND) == (True, [], None)
    assert leases.leases["a"].end == T0 + 40 * SECOND
    was_known, dead, next_end = leases.beat("b", LEASE, T0 + 12 * SECOND)
    assert (was_known, dead) == (False, [])
    assert next_end == pytest.approx(28, abs=0.1)


def test_a_lease_is_over_after_its_end_and_not_at_it():
    leases = PresenceLeases()
    leases.beat("a", LEASE, T0)
    for seconds in range(0, 31, 10):
        leases.beat("b", LEASE, T0 + seconds * SECOND)
    assert leases.beat("b", LEASE, T0 + LEASE).dead == []
    assert leases.beat("b", LEASE, T0 + LEASE).next_end == 0.001
    assert leases.beat("b", LEASE, T0 + LEASE + 1) == (True, ["a"], None)
    assert leases.over("ab", T0 + LEASE + 1) == ["a"]


def test_a_new_process_looks_for_dead_ones_soon():
    leases = PresenceLeases()
    for name in "ab":
        leases.beat(name, LEASE, T0)
    for seconds in range(0, 31, 10):
        leases.beat("b", LEASE, T0 + seconds * SECOND)
    assert leases.beat("new", LEASE, T0 + LEASE + 1) == (False, [], 1.0)
    assert leases.beat("new", LEASE, T0 + LEASE + SECOND).dead == ["a"]


def test_where_nobody_could_beat_all_have_half_a_lease_to_come_back():
    leases = PresenceLeases()
    for name in "abc":
        leases.beat(name, LEASE, T0)
    back = T0 + 40 * SECOND
    assert leases.over("abc", back) == []  # who reads does not know whether anybody could beat
    was_known, dead, next_end = leases.beat("a", LEASE, back)
    assert (was_known, dead, next_end) == (True, [], 15.001)
    for seconds in range(5, 16, 5):
        assert leases.beat("b", LEASE, back + seconds * SECOND).dead == []
    assert leases.beat("b", LEASE, back + LEASE // 2 + 1).dead == ["c"]
    assert leases.beat("b", LEASE, back + LEASE + 1).dead == ["a", "c"]


def test_who_reads_after_silence_waits_for_another_lease():
    leases = PresenceLeases()
    leases.beat("a", LEASE, T0)
    assert not leases.is_over("a", T0 + 2 * LEASE)
    assert leases.is_over("a", T0 + 2 * LEASE + 1)
    # It may be that nobody could: until somebody can, nobody is buried.
    assert leases.begin_burial("a", T0 + 2 * LEASE + 1) is None
    assert leases.begin_burial("nobody", T0 + 2 * LEASE + 1) is None
    leases.beat("b", LEASE, T0 + 2 * LEASE + 1)
    assert leases.begin_burial("a", T0 + 3 * LEASE + 1) is None
    leases.beat("b", LEASE, T0 + 3 * LEASE + 2)
    leases.amnesty = 0
    assert leases.begin_burial("a", T0 + 3 * LEASE + 3) == T0
    assert leases.begin_burial("a", T0 + 9 * LEASE) == T0


def test_a_resting_process_is_not_renewed():
    leases = PresenceLeases()
    leases.beat("a", LEASE, T0)
    leases.beat("b", LEASE, T0)
    leases.rest("a", 20 * SECOND, T0)
    leases.beat("b", LEASE, T0 + 10 * SECOND)
    assert leases.beat("a", LEASE, T0 + 15 * SECOND).was_known
    assert leases.leases["a"] == (T0 + 20 * SECOND, T0, RESTING)
    leases.rest("a", 60 * SECOND, T0 + 15 * SECOND)  # sent again, it comes later
    assert leases.leases["a"].end == T0 + 20 * SECOND
    leases.rest("a", 1 * SECOND, T0 + 15 * SECOND)
    assert leases.leases["a"].end == T0 + 16 * SECOND
    assert leases.beat("b", LEASE, T0 + 16 * SECOND + 1).dead == ["a"]
    leases.rest("unknown", 0, T0)
    assert leases.leases["unknown"] == (T0, T0, RESTING)


def test_a_burial_begins_once_the_lease_is_over_and_cannot_be_undone():
    leases = PresenceLeases()
    leases.beat("a", LEASE, T0)
    assert leases.begin_burial("a", T0 + LEASE) is None
    leases.beat("b", LEASE, T0 + LEASE)
    leases.amnesty = 0
    now = T0 + LEASE + 1
    assert leases.begin_burial("a", now) == T0
    assert leases.begin_burial("a", now) == T0
    was_known, dead, _ = leases.beat("a", LEASE, now)
    assert not was_known
    assert dead == []
    assert leases.leases["a"].mark == BURIED
    leases.amnesty = now + LEASE
    assert leases.is_over("a", now)
    leases.rest("a", 60 * SECOND, now)
    assert leases.is_over("a", now)
    leases.end_burial("a")
    leases.end_burial("a")
    leases.end_burial("b")
    assert set(leases.leases) == {"b"}


def test_a_process_without_a_lease_is_dead_once_all_had_time_to_begin_theirs():
    leases = PresenceLeases()
    assert not leases.is_over("lost", T0)  # the layer has lost all leases
    for seconds in range(0, 31, 10):
        leases.beat("a", LEASE, T0 + seconds * SECOND)
    assert not leases.is_over("lost", T0 + LEASE)
    assert leases.is_over("lost", T0 + LEASE + 1)
    assert leases.begin_burial("lost", T0 + LEASE + 1) == 0
    leases.expect_burial("late", T0)
    leases.expect_burial("a", T0)
    assert leases.is_over("late", T0)
    assert not leases.is_over("a", T0)


def test_when_a_user_was_seen_last():
    leases, now = PresenceLeases(), T0 / 1000
    leases.beat("a", LEASE, T0)
    assert leases.last_seen({"a": now}, None, now) == now
    assert leases.last_seen({}, now - 5, now) == now - 5
    assert leases.last_seen({"gone": now - 50}, now - 70, now) == now - 50
    assert leases.last_seen({}, None, now) is None
    assert leases.last_seen({}, now - 91 * 86_400, now) is None
    assert leases.last_seen({"a": now - 9}, None, now + 61) == now  # it was renewed then
    assert leases.is_alive("a", T0)
    assert not leases.is_alive("nobody", T0)
