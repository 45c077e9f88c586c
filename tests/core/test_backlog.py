"""The backlog of one socket."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from django_fastws._core.backlog import MOST_ITEMS, Backlog
from tests.support.memory import least_peak, memory_of


def backlog(*sizes):
    """A backlog of these sizes; a negative one is droppable. Its items are "0", "1", and so on."""
    made = Backlog()
    for number, size in enumerate(sizes):
        made.push(str(number), abs(size), droppable=size < 0)
    return made


def test_what_was_pushed_first_is_popped_first():
    made = backlog(1, -2, 3)
    assert [made.pop(), made.pop(), made.pop()] == ["0", "1", "2"]


def test_popping_from_an_empty_one_raises():
    with pytest.raises(IndexError):
        Backlog().pop()


def test_the_size_is_that_of_what_waits():
    made = backlog(5, -7)
    assert (made.size, len(made)) == (12, 2)
    made.pop()
    assert (made.size, len(made)) == (7, 1)


def test_an_empty_backlog_is_false():
    assert not Backlog()
    assert backlog(0)


@pytest.mark.parametrize(
    ("sizes", "size", "limit", "fits"),
    [
        ((), 10, 10, True),
        ((), 11, 10, True),  # a single message always fits
        ((4,), 6, 10, True),
        ((4,), 7, 10, False),
        ((0,), 10, 10, True),
        ((0,), 11, 10, False),
        ((11,), 0, 10, False),
    ],
)
def test_what_fits(sizes, size, limit, fits):
    assert backlog(*sizes).fits(size, limit) is fits


@pytest.mark.parametrize(
    ("sizes", "size", "limit", "room", "left", "dropped"),
    [
        ((-4, -4), 4, 8, True, ["1"], 1),
        ((-4, -4), 8, 8, True, [], 2),
        ((-4, -4), 9, 8, True, [], 2),
        ((4, -4, -4), 4, 12, True, ["0", "2"], 1),
        ((-4, 4, -4), 4, 12, True, ["1", "2"], 1),
        ((-4, 4, -4), 8, 12, True, ["1"], 2),
        ((4, -1, 4), 8, 8, False, ["0", "2"], 1),
        ((4, 4), 1, 8, False, ["0", "1"], 0),
        ((-1, -1), 1, 8, True, ["0", "1"], 0),
    ],
)
def test_dropping_the_oldest(sizes, size, limit, room, left, dropped):
    made = backlog(*sizes)
    assert made.drop_oldest(size, limit) is room
    assert made.dropped == dropped
    assert made.size == sum(abs(sizes[int(item)]) for item in left)
    assert made.clear() == left


def test_clearing_returns_what_was_in_it():
    made = backlog(1, -2)
    assert made.clear() == ["0", "1"]
    assert (made.size, len(made), made.dropped) == (0, 0, 0)


def test_clearing_the_droppable_keeps_what_somebody_waits_for():
    made = backlog(-1, 2, -3, 4)
    made.clear_droppable()
    assert (made.size, made.dropped) == (6, 2)
    assert made.clear() == ["1", "3"]
    made.push("x", 1, droppable=True)
    made.clear_droppable()
    assert (len(made), made.size) == (0, 0)


def test_clearing_the_volatile_keeps_all_others():
    made = backlog(1, -2)
    made.push("volatile", 3, droppable=True, volatile=True)
    made.push("last", 4, droppable=True)
    assert (made.volatile, made.clear_volatile(), made.clear_volatile()) == (1, 1, 0)
    assert (made.size, made.dropped, made.volatile) == (7, 1, 0)
    assert made.clear() == ["0", "1", "last"]


def test_dropping_the_oldest_costs_no_more_than_what_is_dropped():
    made = []

    def prepare():
        made.append(backlog(*[-1] * 1000))
        return lambda: made[-1].drop_oldest(3, 1000)

    assert least_peak(prepare) < 997  # the others are left where they are
    assert {(len(one), one.dropped) for one in made} == {(997, 3)}


def test_dropping_from_an_empty_one_makes_room():
    made = Backlog()
    assert made.drop_oldest(10, 5)
    assert (len(made), made.size) == (0, 0)


def test_there_is_a_bound_on_how_many_they_are_however_small():
    made = backlog(*[0] * (MOST_ITEMS - 1))
    assert made.fits(0, 10)
    made.push("last", 0)
    assert not made.fits(0, 10)
    assert made.drop_oldest(0, 10) is False  # somebody waits for each of them
    for _ in range(3):
        made.pop()
    for number in range(3):
        made.push(number, 0, droppable=True)
    assert made.drop_oldest(0, 10)
    assert (made.dropped, len(made)) == (1, MOST_ITEMS - 1)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_that_is_given_up_is_taken_out_wherever_it_stands(number):
    made = Backlog()
    items = [("item", size) for size in (1, 2, 3)]
    for item in items:
        made.push(item, item[1], droppable=item[1] == 2)
    made.discard(items[number])
    made.discard(items[number])
    made.discard(("item", 1))  # one that is only equal
    kept = [item for item in items if item is not items[number]]
    assert (made.size, made.dropped) == (sum(size for _, size in kept), 0)
    assert made.clear() == kept


@pytest.mark.parametrize(
    "empty",
    [Backlog.pop, Backlog.clear, lambda made: made.discard("x")],
    ids=["pop", "clear", "discard"],
)
def test_an_empty_backlog_takes_no_more_memory_than_a_new_one(empty):
    made = Backlog()
    made.push("x", 1, droppable=True)
    empty(made)
    assert (len(made), made.size) == (0, 0)
    assert memory_of(made) == memory_of(Backlog())  # most sockets have nothing to wait for


@given(st.lists(st.integers(-20, 20)), st.integers(0, 30), st.integers(0, 60))
def test_dropping_never_touches_what_is_not_droppable_nor_the_order(sizes, size, limit):
    made = backlog(*sizes)
    room = made.drop_oldest(size, limit)
    left = made.clear()
    assert [item for item in left if sizes[int(item)] >= 0] == [
        str(number) for number, size in enumerate(sizes) if size >= 0
    ]
    assert left == sorted(left, key=int)
    assert made.dropped == len(sizes) - len(left)
    assert room is (not left or sum(abs(sizes[int(item)]) for item in left) + size <= limit)


class Life(RuleBasedStateMachine):
    """The size is always the sum of what waits, and nothing is lost without being counted."""

    def __init__(self):
        super().__init__()
        self.backlog = Backlog()
        self.items = []
        self.taken = 0

    @rule(size=st.integers(0, 10), droppable=st.booleans(), volatile=st.booleans())
    def push(self, size, droppable, volatile):
        self.items.append([size, volatile])
        self.backlog.push(self.items[-1], size, droppable=droppable, volatile=volatile)

    @rule()
    def pop(self):
        if self.backlog:
            self.backlog.pop()
            self.taken += 1

    @rule(size=st.integers(0, 10), limit=st.integers(0, 40))
    def drop_oldest(self, size, limit):
        self.backlog.drop_oldest(size, limit)

    @rule(number=st.integers(0, 10))
    def discard(self, number):
        """One of the last, which may be gone."""
        if number < len(self.items):
            before = len(self.backlog)
            self.backlog.discard(self.items[-1 - number])
            assert before - len(self.backlog) in (0, 1)
            self.taken += before - len(self.backlog)

    @rule()
    def clear_droppable(self):
        self.backlog.clear_droppable()

    @rule()
    def clear_volatile(self):
        volatile = self.backlog.volatile
        assert self.backlog.clear_volatile() == volatile
        assert self.backlog.volatile == 0

    @invariant()
    def it_adds_up(self):
        assert len(self.items) == self.taken + self.backlog.dropped + len(self.backlog)

    @invariant()
    def the_size_is_the_sum(self):
        left = copy.deepcopy(self.backlog).clear()
        assert self.backlog.size == sum(size for size, _ in left)
        assert self.backlog.volatile == sum(volatile for _, volatile in left)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=50, stateful_step_count=20)
