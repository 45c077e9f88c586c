"""Values of keyed rooms in memory, by a clock."""

from __future__ import annotations

import threading

import pytest

from django_fastws import Latest
from django_fastws._core.envelope import Envelope
from django_fastws._core.latest import Keyed
from django_fastws._core.messages import Payload
from django_fastws._core.positions import Position
from django_fastws.layer.memory_latest import MemoryLatest


class Kept:
    """Values whose clock stands."""

    def __init__(self) -> None:
        self.now = 100.0
        self.memory = MemoryLatest(lambda: self.now)
        self.latest = Latest(seconds=10)

    def keep(self, key: str, data: int = 0, *, room: str = "r", removed: bool = False) -> Position:
        keyed = Keyed(key, removed, self.latest)
        envelope = Envelope.broadcast(room, Payload(str(data)), is_json=True, keyed=keyed)
        position = self.memory.keep(envelope, keyed, self.latest)
        assert envelope.position == position
        return position

    def read(self, room: str = "r") -> dict[str, object]:
        return {key: one.data for key, one in self.memory.read(room, self.latest).values.items()}

    def position(self, room: str = "r") -> Position:
        return self.memory.read(room, self.latest).position


@pytest.fixture
def kept():
    return Kept()


def test_the_newest_value_of_each_key_is_kept(kept):
    first = kept.keep("a", 1)
    assert first.offset == 1
    kept.keep("b", 2)
    assert kept.keep("a", 3) == Position(first.epoch, 3)
    assert kept.read() == {"a": "3", "b": "2"}
    assert kept.position() == Position(first.epoch, 3)


def test_a_removal_is_a_change(kept):
    kept.keep("a", 1)
    assert kept.keep("a", removed=True).offset == 2
    assert kept.keep("none", removed=True).offset == 3
    assert kept.read() == {}


def test_rooms_have_nothing_of_each_other(kept):
    one, other = kept.keep("a", 1, room="one"), kept.keep("a", 2, room="other")
    assert one.epoch != other.epoch
    assert (kept.read("one"), kept.read("other")) == ({"a": "1"}, {"a": "2"})


def test_a_room_without_values_has_a_position(kept):
    assert kept.read() == {}
    assert kept.position().offset == 0
    assert kept.keep("a") == Position(kept.position().epoch, 1)


def test_each_value_has_a_time_of_its_own(kept):
    kept.keep("a", 1)
    kept.now += 6
    kept.keep("b", 2)
    kept.now += 4
    assert kept.read() == {"a": "1", "b": "2"}
    kept.now += 0.5
    assert kept.read() == {"b": "2"}


def test_a_room_that_nobody_uses_is_forgotten(kept):
    before = kept.keep("a", 1)
    kept.now += 10
    assert kept.read() == {}
    assert kept.position().epoch != before.epoch


def test_rooms_that_are_over_do_not_stay_in_memory(kept):
    for number in range(1000):
        kept.keep("a", room=f"room {number}")
        kept.now += 1
    assert len(kept.memory._rooms) <= 11


def test_what_is_reset_is_forgotten(kept):
    before = kept.keep("a", 1)
    kept.memory.reset()
    assert kept.read() == {}
    assert kept.position().epoch != before.epoch


def test_threads_keep_at_once():
    kept = Kept()

    def keep(key: str) -> None:
        for number in range(500):
            kept.keep(key, number)

    threads = [threading.Thread(target=keep, args=(key,)) for key in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept.read() == dict.fromkeys("abcd", "499")
    assert kept.position().offset == 2000
