from __future__ import annotations

import logging
import signal
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests import conftest
from tests.support.leftovers import changed, logger_states, process_state, restore_loggers

NAME = f"{__name__}.logger"


def test_loggers_are_configured_as_they_were():
    logger, handler = logging.getLogger(NAME), logging.NullHandler()
    logger.setLevel(logging.ERROR)
    before = logger_states()
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    logger.propagate, logger.disabled = False, True
    assert not logger.isEnabledFor(logging.ERROR)
    restore_loggers(before)
    assert (logger.level, logger.handlers, logger.propagate, logger.disabled) == (logging.ERROR, [], True, False)
    assert (logger.isEnabledFor(logging.ERROR), logger.isEnabledFor(logging.INFO)) == (True, False)


def test_a_logger_that_came_says_nothing_of_its_own():
    before = logger_states()
    logger = logging.getLogger(f"{NAME}.new")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(logging.NullHandler())
    restore_loggers(before)
    assert (logger.level, logger.handlers) == (logging.NOTSET, [])


def test_one_that_was_configured_and_no_longer_is_gets_it_back():
    logger = logging.getLogger(f"{NAME}.once")
    logger.setLevel(logging.CRITICAL)
    before = logger_states()
    logger.setLevel(logging.NOTSET)
    restore_loggers(before)
    assert logger.level == logging.CRITICAL


def test_what_is_as_it_was_is_not_named():
    assert changed(process_state(), process_state()) == {}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("environment", lambda patch, path: patch.setenv("FASTWS_LEFT", "1")),
        ("current directory", lambda patch, path: patch.chdir(path)),
        ("sys.path", lambda patch, path: patch.syspath_prepend(str(path))),
        ("excepthook", lambda patch, path: patch.setattr(sys, "excepthook", print)),
    ],
)
def test_what_has_changed_is_named(name, change, monkeypatch, tmp_path):
    before = process_state()
    change(monkeypatch, tmp_path)
    assert changed(before, process_state()).keys() == {name}


def test_of_the_environment_only_what_differs_is_named(monkeypatch):
    before = process_state()
    monkeypatch.setenv("FASTWS_LEFT", "1")
    assert changed(before, process_state()) == {"environment": ({"FASTWS_LEFT": None}, {"FASTWS_LEFT": "1"})}


def test_a_handler_of_a_signal_is_named():
    before = process_state()
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert changed(before, process_state())["signals"][1] == {signal.SIGTERM: signal.SIG_IGN}
    finally:
        signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize("is_left", [True, False])
def test_the_test_that_leaves_something_fails(is_left, monkeypatch):
    item: Any = SimpleNamespace(stash=pytest.Stash())
    for _ in conftest.pytest_runtest_setup(item):
        if is_left:
            monkeypatch.setenv("FASTWS_LEFT", "1")
    ending = conftest.pytest_runtest_teardown(item)
    next(ending)
    with pytest.raises(pytest.fail.Exception if is_left else StopIteration, match="FASTWS_LEFT" if is_left else None):
        next(ending)
