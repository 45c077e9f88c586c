"""What a forked child makes anew."""

import gc
import os
import threading

import pytest

from django_fastws._core.forks import reset_in_child

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),  # that it has threads
]


class Locked:
    """An owner of a lock."""

    def __init__(self):
        self.reset()
        reset_in_child(self)

    def reset(self):
        self.lock = threading.Lock()


def status_of_child(check):
    """Fork, and return what the child's check returns."""
    pid = os.fork()
    if not pid:
        os._exit(int(check()))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_has_its_own_lock_and_the_parent_keeps_its():
    owner = Locked()
    with owner.lock:
        assert status_of_child(owner.lock.locked) == 1  # bound before the fork: it is the parent's
        assert status_of_child(lambda: owner.lock.locked()) == 0
        assert owner.lock.locked()


def test_an_owner_that_is_gone_is_not_kept():
    calls = []

    class Gone(Locked):
        def reset(self):
            super().reset()
            calls.append(self)

    Gone()
    calls.clear()
    gc.collect()
    assert status_of_child(lambda: len(calls)) == 0
