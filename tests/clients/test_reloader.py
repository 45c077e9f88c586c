"""The parent of a command with --reload: when it starts its child again, and whom a signal is for."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from django_fastws.clients import reloader
from tests.support.processes import ROOT


class Child:
    """Stands for the processes that are started, one after the other.

    Args:
        lives: for each, what happens in its life: a function; what it returns is the exit status.
    """

    def __init__(self, *lives):
        self.lives = list(lives)
        self.signals = []
        self.started = 0

    def __call__(self, arguments, env, close_fds):
        assert env["RUN_MAIN"] == "true"
        self.started += 1
        return self

    def wait(self):
        return self.lives.pop(0)()

    def send_signal(self, signum):
        self.signals.append(signum)


@pytest.fixture
def parent(monkeypatch):
    """Run the parent with a child; its watcher of files, which the test may call, is in ``parent.on_change``."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}

    def run(child, *, has_terminal=False):
        monkeypatch.setattr(reloader.subprocess, "Popen", child)
        monkeypatch.setattr(reloader, "_has_terminal", lambda: has_terminal)
        return reloader.run_child()

    monkeypatch.setattr(reloader, "watch", lambda on_change: setattr(run, "on_change", on_change))
    monkeypatch.setattr(reloader, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(sys, "argv", [str(ROOT / "manage.py"), "runws_clients", "--reload"])
    yield run
    for signum, handler in before.items():
        signal.signal(signum, handler)


def ends(status):
    return lambda: status


def test_the_child_is_started_again_when_code_has_changed_and_its_end_is_the_end(parent):
    child = Child(ends(3), ends(3), ends(0))
    assert (parent(child), child.started) == (0, 3)


def test_a_child_that_fails_is_started_again_after_the_next_change(parent, monkeypatch):
    child = Child(ends(1), ends(0))
    monkeypatch.setattr(reloader.time, "sleep", lambda seconds: parent.on_change("feeds/consumers.py"))
    assert (parent(child), child.started) == (0, 2)


@pytest.mark.parametrize(
    ("signum", "has_terminal", "forwarded"),
    [
        (signal.SIGTERM, False, [signal.SIGTERM]),
        (signal.SIGTERM, True, [signal.SIGTERM]),
        (signal.SIGINT, False, [signal.SIGINT]),
        (signal.SIGINT, True, []),  # the terminal has sent it to the child too, and a second one would end it at once
    ],
)
@pytest.mark.parametrize(("status", "exit_status"), [(0, 0), (1, 1), (-15, 143), (3, 0)])
def test_a_signal_is_for_the_child_and_its_end_is_the_end(
    parent, signum, has_terminal, forwarded, status, exit_status
):
    def is_stopped():
        os.kill(os.getpid(), signum)
        return status

    child = Child(is_stopped)
    assert parent(child, has_terminal=has_terminal) == exit_status
    assert (child.signals, child.started) == (forwarded, 1)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_waits_for_a_change_is_the_end(parent, monkeypatch, signum):
    child = Child(ends(1))
    monkeypatch.setattr(reloader.time, "sleep", lambda seconds: os.kill(os.getpid(), signum))
    assert (parent(child), child.started) == (0, 1)
