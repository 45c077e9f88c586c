"""Pauses between the fan-outs of a room, on a clock that the tests turn."""

from __future__ import annotations

import pytest

from django_fastws._core.pacing import Pacing


def waits(pacing, counts, *, took=0.004, gap=0.001):
    """Whether what arrives soon after each fan-out has to wait for the end of a pause, one fan-out after the other.

    Args:
        counts: how many broadcasts each fan-out joins.
        gap: between the end of a fan-out and the next arrival.
    """
    now, seen = 100.0, []
    for count in counts:
        left = pacing.remaining(now)
        seen.append(left > 0)
        now += left + took
        pacing.after(now, took, count)
        now += gap
    return seen


def test_an_idle_room_is_served_at_once():
    pacing = Pacing()
    assert pacing.remaining(0.0) == 0.0  # where its clock begins is nobody's business
    assert waits(pacing, [3, 3, 3], gap=1) == [False, False, False]


def test_a_room_pauses_as_long_as_it_pays():
    assert waits(Pacing(), [1, 9, 9, 9, 9, 9]) == [False, False, True, True, True, True]


def test_what_there_is_time_for_one_by_one_is_not_delayed():
    assert waits(Pacing(), [1] * 200) == [False] * 200


def test_pauses_that_bring_nothing_come_less_and_less_often():
    # Two at once, each of which is an answer to one of the two before: a pause makes them no more.
    seen = waits(Pacing(), [2] * 200)
    pauses = [number for number, waited in enumerate(seen) if waited]
    assert len(pauses) < 20
    assert [after - before for before, after in zip(pauses[-4:], pauses[-3:], strict=False)] == [17] * 3


def test_a_burst_after_that_is_joined_again():
    pacing = Pacing()
    waits(pacing, [1] * 40)
    seen = waits(pacing, [1] * 16 + [9] * 5)
    assert seen[-4:] == [True] * 4
    assert waits(pacing, [1] * 4)[-1] is False


def test_several_that_came_in_one_turn_are_a_burst():
    pacing = Pacing()
    waits(pacing, [1] * 30)
    assert waits(pacing, [3, 9, 9, 9])[-2:] == [True, True]


def test_a_pause_that_is_short_beside_the_fan_outs_pays_with_two():
    assert waits(Pacing(), [2] * 6, took=0.05)[-3:] == [True, True, True]
    assert waits(Pacing(), [1] * 5, took=0.05) == [False] * 5


def arrivals(every, took, seconds=5.0, hop=0.0002):
    """Broadcasts that come in a rhythm, to a room whose fan-outs take so long: how long each takes until all have it.

    Args:
        hop: until what came during a fan-out has gone through the layer.
    Returns:
        The median, the longest, the share of the time in which the loop was busy, and how many were batched on the
        average.
    """
    pacing, latencies, batches = Pacing(), [], []
    due = [number * every for number in range(round(seconds / every))]
    now, place = 0.0, 0
    while place < len(due):
        now = max(now, due[place]) + hop
        now += pacing.remaining(now)
        end = place
        while end < len(due) and due[end] + hop <= now:
            end += 1
        pacing.after(now + took, took, end - place)
        now += took
        latencies += [now - moment for moment in due[place:end]]
        batches.append(end - place)
        place = end
    return sorted(latencies)[len(latencies) // 2], max(latencies), len(batches) * took / now, len(due) / len(batches)


@pytest.mark.parametrize("took", [0.002, 0.0042, 0.0046, 0.0048])
def test_a_room_with_time_for_each_broadcast_takes_it(took):
    median, worst, busy, batched = arrivals(every=0.005, took=took)
    assert median == pytest.approx(took + 0.0002)
    assert worst == pytest.approx(took + 0.0002)
    assert busy == pytest.approx(took / 0.005, rel=0.01)
    assert batched == 1


def test_a_room_that_has_no_time_for_each_leaves_half_of_it_to_others():
    for every in (0.0015, 0.0005, 0.0001):
        _, _, busy, batched = arrivals(every, took=0.0042)
        assert busy < 0.55
        assert batched >= 0.0084 / every * 0.9


@pytest.mark.parametrize(("took", "paused"), [(0.0001, 0.0), (0.0002, 0.0002), (0.004, 0.004), (0.5, 0.01)])
def test_a_pause_is_as_long_as_the_fan_out_within_bounds(took, paused):
    pacing = Pacing()
    pacing.after(100.0, took, 9)
    assert pacing.remaining(100.0) == pytest.approx(paused)
    assert pacing.remaining(100.0 + paused) == 0.0
