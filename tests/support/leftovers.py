"""What a test changes in its process, which every test after it would find."""

from __future__ import annotations

import gc
import locale
import logging
import os
import signal
import socket
import sys
import time
from typing import Any

from django.utils import timezone, translation

__all__ = ["LoggerStates", "changed", "logger_states", "process_state", "restore_loggers"]

LoggerStates = dict[logging.Logger, tuple[int, list[logging.Handler], bool, bool]]
"""Of each logger that says anything of its own: its level, its handlers, whether it hands on, whether it is off."""

_OF_PYTEST = {"PYTEST_CURRENT_TEST", "PYTEST_VERSION"}
_SAYS_NOTHING = (logging.NOTSET, list[logging.Handler](), True, False)


def process_state() -> dict[str, Any]:
    """What belongs to the whole process, and is not looked after by pytest, by its name."""
    return {
        "environment": {name: value for name, value in os.environ.items() if name not in _OF_PYTEST},
        "current directory": os.getcwd(),
        "sys.path": list(sys.path),
        "excepthook": sys.excepthook,
        "switch interval": sys.getswitchinterval(),
        "signals": {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)},
        "garbage collector": (gc.isenabled(), gc.get_threshold()),
        "disabled log levels": logging.root.manager.disable,
        "language": translation.get_language(),
        "time zone": (timezone.get_current_timezone_name(), time.tzname),
        "locale": locale.setlocale(locale.LC_ALL),
        "socket timeout": socket.getdefaulttimeout(),
    }


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is not as it was: ``{name: (before, after)}``; of dictionaries, what differs in them."""
    found = {}
    for name, old in before.items():
        new = after[name]
        if old == new:
            continue
        if isinstance(old, dict):
            keys = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
            old, new = ({key: each.get(key) for key in keys} for each in (old, new))
        found[name] = old, new
    return found


def logger_states() -> LoggerStates:
    """How the loggers are configured just now."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    return {
        logger: (logger.level, list(logger.handlers), logger.propagate, logger.disabled)
        for logger in loggers
        if isinstance(logger, logging.Logger)
        and (logger.level or logger.handlers or not logger.propagate or logger.disabled)
    }


def restore_loggers(before: LoggerStates) -> None:
    """Configure the loggers as they were, with those that have come since: they say nothing of their own."""
    after = logger_states()
    for logger in before.keys() | after.keys():
        level, handlers, propagate, disabled = wanted = before.get(logger, _SAYS_NOTHING)
        if after.get(logger, _SAYS_NOTHING) != wanted:
            logger.setLevel(level)
            logger.handlers[:] = handlers
            logger.propagate, logger.disabled = propagate, disabled
