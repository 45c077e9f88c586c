"""Broadcasts on their way to the members of a room: what is joined, who gets it, and for how long it may go on."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.fanout import _STEP, BATCH_BYTES, BATCH_MESSAGES, MOST_TASKS, FanOut, take_batch
from django_fastws._core.messages import Batch, Payload
from tests.support.memory import least_peak


class Member:
    def __init__(self, name, fails_with=None):
        self.id = name
        self.batches = []
        self.fails_with = fails_with

    def post(self, batch):
        if self.fails_with is not None:
            raise self.fails_with
        self.batches.append(batch)

    @property
    def got(self):
        return [payload.text for batch in self.batches for payload in batch.payloads]


def room(*members):
    return {member: member.post for member in members}


def crowd(count):
    return room(*(Member(str(number)) for number in range(count)))


def never():
    return False


def always():
    return True


# What is joined


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ([1], 1),
        ([0, 0, 0], 3),
        ([BATCH_BYTES], 1),
        ([BATCH_BYTES + 1], 1),
        ([BATCH_BYTES * 10, 0], 1),
        ([BATCH_BYTES, 1], 1),
        ([BATCH_BYTES, 0, 1], 2),
        ([1, BATCH_BYTES - 1, 1], 2),
        ([BATCH_BYTES // 2] * 3, 2),
        ([1] * 1000, 1000),
        ([0] * 3000, BATCH_MESSAGES),
    ],
)
def test_what_is_taken_to_be_joined(sizes, taken):
    broadcasts = [(Payload("x" * size), None) for size in sizes]
    waiting = broadcasts[:]
    assert take_batch(waiting) == (broadcasts[:taken], sum(sizes[:taken]))
    assert waiting == broadcasts[taken:]


@given(st.lists(st.integers(0, BATCH_BYTES * 2), min_size=1, max_size=20))
def test_taking_again_and_again_takes_everything_in_order_and_as_little_often_as_it_can(sizes):
    broadcasts = [(Payload(b"x" * size), None) for size in sizes]
    waiting, parts = broadcasts[:], []
    while waiting:
        parts.append(take_batch(waiting)[0])
    assert [broadcast for part in parts for broadcast in part] == broadcasts
    for part in parts:
        assert len(part) == 1 or sum(len(payload) for payload, _ in part) <= BATCH_BYTES
    for part, following in pairwise(parts):
        assert sum(len(payload) for payload, _ in [*part, following[0]]) > BATCH_BYTES


def test_a_fan_out_starts_with_a_batch_of_what_has_arrived_and_tells_what_it_comes_to():
    members = crowd(3)
    arrived = [(Payload("ab"), None), (Payload("c"), "1"), (Payload("x" * BATCH_BYTES), None)]
    fan_out = FanOut.start(arrived, members, None, never)
    assert fan_out.has_ended
    assert [member.got for member in members] == [["ab", "c"], ["ab"], ["ab", "c"]]
    assert [len(payload) for payload, _ in arrived] == [BATCH_BYTES]
    assert (fan_out.count, fan_out.size, fan_out.deliveries) == (2, 3, 5)
    assert fan_out.delivered_bytes == 3 * len(Payload("ab").frame + Payload("c").frame)


# Who gets it


def test_one_broadcast_is_posted_as_it_is():
    members, payload = crowd(3), Payload("hi")
    assert FanOut([(payload, None)], members).run(members, never)
    assert [member.batches for member in members] == [[payload]] * 3


def test_several_broadcasts_are_one_batch_that_all_members_share():
    members = crowd(3)
    assert FanOut([(Payload("one"), None), (Payload("two"), None)], members).run(members, never)
    (batch,) = {id(batch): batch for member in members for batch in member.batches}.values()
    assert isinstance(batch, Batch)
    assert [member.got for member in members] == [["one", "two"]] * 3


def test_a_member_that_is_excluded_gets_the_others():
    one, two, three = Member("one"), Member("two"), Member("three")
    broadcasts = [(Payload("a"), "one"), (Payload("b"), None), (Payload("c"), "two"), (Payload("d"), "one")]
    members = room(one, two, three)
    assert FanOut(broadcasts, members).run(members, never)
    assert (one.got, two.got, three.got) == (["b", "c"], ["a", "b", "d"], ["a", "b", "c", "d"])
    assert [len(member.batches) for member in members] == [1, 1, 1]


def test_a_member_that_is_excluded_from_all_gets_nothing():
    one, two = Member("one"), Member("two")
    members = room(one, two)
    assert FanOut([(Payload("a"), "one")], members).run(members, never)
    assert FanOut([(Payload("b"), "one"), (Payload("c"), "one")], members).run(members, never)
    assert (one.batches, two.got) == ([], ["a", "b", "c"])


def test_an_id_that_nobody_has_excludes_nobody():
    members = crowd(2)
    assert FanOut([(Payload("a"), "stranger")], members).run(members, never)
    assert [member.got for member in members] == [["a"]] * 2


def test_members_that_can_be_found_by_their_id_are_not_asked_for_it():
    one, two = Member("one"), Member("two")
    found = {"one": [one], "stranger": [], "elsewhere": [Member("elsewhere")]}
    del one.id, two.id
    broadcasts = [(Payload("a"), "one"), (Payload("b"), "stranger"), (Payload("c"), "elsewhere")]
    members = room(one, two)
    assert FanOut(broadcasts, members, found.__getitem__).run(members, never)
    assert (one.got, two.got) == (["b", "c"], ["a", "b", "c"])


def test_excluding_many_costs_no_more_memory_than_their_ids():
    members = crowd(1)
    broadcasts = [(Payload("x" * 12), f"stranger {number}") for number in range(2000)]
    peak = least_peak(lambda: lambda: FanOut(broadcasts, members).run(members, never))
    assert peak < 2000 * 600  # a list of all others for each was 32 MB


def test_the_clock_is_looked_at_more_often_where_many_messages_are_joined():
    members, looks = crowd(_STEP), []
    broadcasts = [(Payload(""), None)] * BATCH_MESSAGES
    assert FanOut(broadcasts, members).run(members, lambda: bool(looks.append(1)))
    assert len(looks) >= _STEP // 4


def test_a_room_without_members_is_done_at_once():
    assert FanOut([(Payload("a"), None)], {}).run({}, never)


@pytest.mark.parametrize("excluded", [None, "one"])
def test_a_member_whose_post_raises_does_not_disturb_the_others(excluded, caplog):
    one, broken, two = Member("one"), Member("broken", ValueError("on purpose")), Member("two")
    members = room(one, broken, two)
    assert FanOut([(Payload("a"), None), (Payload("b"), excluded)], members).run(members, never)
    assert (one.got, two.got) == (["a"] if excluded else ["a", "b"], ["a", "b"])
    (record,) = caplog.records
    assert str(record.exc_info[1]) == "on purpose"


# Slices


@pytest.mark.parametrize("excluded", [None, "7"])
def test_a_slice_is_never_longer_than_a_step(excluded):
    members = crowd(10_000)
    order = list(members)
    fan_out, served = FanOut([(Payload("a"), None), (Payload("b"), excluded)], members), 0
    has_ended = False
    while not has_ended:
        has_ended = fan_out.run(members, always)
        now = sum(bool(member.batches) for member in order)
        assert 0 < now - served <= _STEP
        served = now
        assert all(member.batches for member in order[:served])
    assert served == 10_000
    assert all(len(member.batches) == 1 for member in order)


def test_the_clock_is_looked_at_once_for_each_step():
    looks = []
    members = crowd(_STEP * 10)
    assert FanOut([(Payload("a"), None)], members).run(members, lambda: bool(looks.append(1)))
    assert len(looks) == 10


def test_a_slice_goes_on_until_it_is_over():
    members = crowd(_STEP * 10)
    fan_out, looks = FanOut([(Payload("a"), None)], members), iter([False, False, True, False, True])
    assert not fan_out.run(members, lambda: next(looks))
    assert sum(bool(member.batches) for member in members) == 3 * _STEP
    assert not fan_out.run(members, lambda: next(looks))
    assert sum(bool(member.batches) for member in members) == 5 * _STEP
    assert fan_out.run(members, never)
    assert [len(member.batches) for member in members] == [1] * 10 * _STEP


def test_one_who_leaves_in_the_middle_is_passed_over():
    members = crowd(_STEP * 2)
    first, *_, last = members
    fan_out = FanOut([(Payload("a"), None)], members)
    assert not fan_out.run(members, always)
    del members[first], members[last]
    assert fan_out.run(members, never)
    assert (first.got, last.got) == (["a"], [])
    assert all(member.got == ["a"] for member in members)


def test_one_who_comes_in_the_middle_does_not_get_what_was_before():
    members = crowd(_STEP * 2)
    fan_out, newcomer = FanOut([(Payload("a"), None)], members), Member("new")
    assert not fan_out.run(members, always)
    members[newcomer] = newcomer.post
    assert fan_out.run(members, never)
    assert newcomer.got == []


def test_a_member_that_was_excluded_stays_so_in_later_slices():
    members = crowd(_STEP * 3)
    last = list(members)[-1]
    fan_out = FanOut([(Payload("a"), last.id), (Payload("b"), None)], members)
    while not fan_out.run(members, always):
        pass
    assert last.got == ["b"]


@given(
    count=st.integers(0, 3 * _STEP),
    messages=st.lists(st.one_of(st.none(), st.integers(0, 3 * _STEP)), min_size=1, max_size=4),
    slices=st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 3 * _STEP)), max_size=3), max_size=4),
)
def test_whoever_is_there_all_the_time_gets_everything_once(count, messages, slices):
    members = crowd(count)
    everybody = list(members)
    broadcasts = [(Payload(str(number)), None if who is None else str(who)) for number, who in enumerate(messages)]
    fan_out, has_ended, left = FanOut(broadcasts, members), False, set()
    for changes in slices:
        has_ended = has_ended or fan_out.run(members, always)
        for comes, who in changes:
            if comes:
                newcomer = Member(f"new {who}")
                members[newcomer] = newcomer.post
                everybody.append(newcomer)
            elif who < count:
                members.pop(everybody[who], None)
                left.add(everybody[who])
    while not has_ended:
        has_ended = fan_out.run(members, always)
    for number, member in enumerate(everybody):
        wanted = [payload.text for payload, who in broadcasts if who != member.id] if number < count else []
        assert member.got == wanted or (member in left and member.got == [])


# Nothing for each member


def test_a_fan_out_makes_nothing_for_each_member():
    posts = []
    members = {object(): posts.append for _ in range(10_000)}

    def prepare():
        posts.clear()
        fan_out = FanOut([(Payload("a"), None), (Payload("b"), None)], members)
        return lambda: fan_out.run(members, never)

    peak = least_peak(prepare)
    assert len(posts) == 10_000
    assert len(set(map(id, posts))) == 1
    assert peak < 10_000 * 8 * 2 + 5000  # the list of this test, and a step


# How much is done before the next look at the clock


def test_large_messages_are_looked_up_from_more_often():
    members = crowd(64)
    fan_out = FanOut([(Payload("x" * 1024 * 1024), None)], members)
    assert not fan_out.run(members, always)
    assert sum(len(member.batches) for member in members) == 1


@pytest.mark.parametrize("exclude", [None, "5"])
def test_a_slice_ends_when_it_has_started_many_tasks(exclude):
    started = []
    members = {Member(str(number)): lambda batch: started.append(batch) or True for number in range(1000)}
    fan_out = FanOut([(Payload("hi"), exclude)], members)
    slices = 0
    while not fan_out.run(members, never):
        assert MOST_TASKS <= fan_out.started <= MOST_TASKS + _STEP
        slices += 1
    assert slices >= 5
    assert len(started) == (1000 if exclude is None else 999)
