from __future__ import annotations

import gc
import sys

from tests.support.profiling import profiled


class Finalized:
    """Garbage that the collector alone can find, and that calls when it does."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        called_by_a_finalizer()


def called_by_a_finalizer():
    pass


def called():
    pass


def calls_of(block):
    found = []
    with profiled(lambda frame, event, argument: found.append(frame.f_code.co_name) if event == "call" else None):
        block()
    return found


def test_calls_are_told_and_those_of_garbage_are_not():
    Finalized()

    def block():
        called()
        for _ in range(5_000):  # enough for the collector to run
            [[]].append([])

    of_the_end = {"__exit__", "profiled"}
    assert [name for name in calls_of(block) if name not in of_the_end] == ["block", "called"]


def test_afterwards_all_is_as_it_was():
    assert gc.isenabled()
    with profiled(lambda *event: None):
        assert not gc.isenabled()
    assert (gc.isenabled(), sys.getprofile()) == (True, None)
    gc.disable()
    try:
        with profiled(lambda *event: None):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
