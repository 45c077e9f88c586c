"""Histories in memory: which rooms are forgotten, and when."""

from __future__ import annotations

import pytest

from django_fastws import History
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws._core.history_page import PageQuery
from django_fastws.layer.memory_history import MemoryHistories

SHORT, LONG = History(seconds=60), History(seconds=86_400 * 366)
TOP = PageQuery(limit=0)


class Histories(MemoryHistories):
    """Histories, with a clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1e9
        super().__init__(lambda: self.now)

    def say(self, group: str, history: History) -> None:
        self.store(Envelope(BROADCAST, group, "text", history=history), history)

    def epoch(self, group: str, history: History = SHORT) -> str:
        return self.read(group, history, TOP).epoch


@pytest.fixture
def histories() -> Histories:
    return Histories()


def test_a_room_that_somebody_only_asks_for_is_soon_forgotten(histories):
    before, used = histories.epoch("asked"), histories.epoch("used")
    histories.say("used", SHORT)
    histories.now += 599
    assert histories.epoch("asked") == before
    histories.now += 601
    assert histories.epoch("asked") != before
    assert histories.epoch("used") == used


def test_rooms_that_are_kept_for_long_keep_none_of_the_others(histories):
    for number in range(10):
        histories.say(f"long {number}", LONG)
    for number in range(200):
        histories.say(f"short {number}", SHORT)
    histories.now += 2 * SHORT.position_seconds
    for _ in range(60):
        histories.say("long 0", LONG)
    assert len(histories._rooms) == 10
