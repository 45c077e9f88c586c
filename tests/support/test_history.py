"""The checker of recorded histories: it passes what may happen, and finds each kind of fault."""

from __future__ import annotations

import pytest

from tests.support.history import Broadcast, Call, Cut, Heard, History

JOIN = Call("ada", "r", 10, 20)
LEAVE = Call("ada", "r", 60, 70)


def cast(number: int, called: float) -> Broadcast:
    return Broadcast("s", "r", number, called, called + 1)


def hear(number: int, at: float) -> Heard:
    return Heard("ada", "s", "r", number, at)


@pytest.mark.parametrize(
    ("joins", "leaves", "at", "is_outside"),
    [
        ([JOIN], [], 9, True),
        ([JOIN], [], 11, False),
        ([JOIN], [LEAVE], 65, False),
        ([JOIN], [LEAVE], 71, True),
        ([JOIN], [Call("ada", "r", 60)], 71, False),  # a leave that was cancelled promises nothing
        ([JOIN], [Call("ada", "r", 5, 15)], 30, False),  # another task's, called before
        ([JOIN], [Call("ada", "x", 60, 70), Call("bob", "r", 60, 70)], 71, False),
        ([JOIN, Call("ada", "r", 72)], [LEAVE], 73, False),
        ([Call("ada", "r", 10, failed=20)], [], 15, False),
        ([Call("ada", "r", 10, failed=20)], [], 21, True),
        ([Call("ada", "r", 10, failed=20), Call("ada", "r", 12, 19)], [], 21, False),
        ([Call("ada", "x", 10, 20)], [], 21, True),
    ],
)
def test_who_hears_is_in_the_room(joins, leaves, at, is_outside):
    history = History(joins=joins, leaves=leaves, heard=[hear(1, at)])
    assert history.outside() == ([hear(1, at)] if is_outside else [])


@pytest.mark.parametrize(
    ("heard", "count"),
    [
        ([hear(1, 30), hear(2, 31), hear(4, 32)], 0),
        ([hear(1, 30), hear(1, 31)], 1),
        ([hear(2, 30), hear(1, 31)], 1),
        ([hear(2, 30), Heard("ada", "other", "r", 1, 31), Heard("ada", "s", "x", 1, 32)], 0),
    ],
)
def test_nothing_is_heard_twice_or_out_of_order(heard, count):
    assert len(History(heard=heard).disordered()) == count


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"heard": [hear(1, 33), hear(2, 43)]}, []),
        ({"heard": [hear(2, 43)]}, [1]),
        ({"heard": [hear(1, 33)]}, [2]),
        ({}, [1, 2]),
        ({"joins": [Call("ada", "r", 10, 30.5)], "heard": [hear(2, 43)]}, []),  # it may have come before
        ({"joins": [Call("ada", "r", 10, failed=20)]}, []),
        ({"leaves": [Call("ada", "r", 36, 50)], "heard": []}, []),  # it may have been on its way
        ({"leaves": [LEAVE], "heard": [hear(2, 43)]}, [1]),  # a later one of the same sender had come before
        ({"leaves": [LEAVE], "heard": []}, []),
        ({"leaves": [Call("ada", "r", 15, 16)], "heard": []}, []),  # before the join had returned
        ({"leaves": [Call("ada", "r", 5, 25)], "heard": []}, [1, 2]),  # called before the join was
        ({"cuts": [Cut(29, 31)], "heard": [hear(2, 43)]}, []),
        ({"cuts": [Cut(32, 35)], "heard": [hear(2, 43)]}, []),  # it was on its way
        ({"cuts": [Cut(44, 50)], "heard": [hear(2, 43)]}, [1]),  # what came after it was here before
        ({"cuts": [Cut(5, 25)], "heard": []}, [1, 2]),
        ({"cuts": [Cut(5)], "heard": []}, []),
        ({"broadcasts": [Broadcast("s", "r", 1, 30), cast(2, 40)], "heard": [hear(2, 43)]}, []),  # not acknowledged
    ],
)
def test_what_was_owed_and_did_not_come_is_missing(changes, missing):
    history = History(**{"joins": [JOIN], "broadcasts": [cast(1, 30), cast(2, 40)], **changes})
    assert [broadcast.number for broadcast, _ in history.missing(now=100)] == missing
