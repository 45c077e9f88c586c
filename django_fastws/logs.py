"""Log of the commands and of the server: its format, and Python's warnings, which Twisted hides."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any, TextIO

__all__ = ["LOG_FORMAT", "log_to_stderr", "reveal_warnings"]

LOG_FORMAT = "%(levelname)-7s | %(name)s | %(message)s"

#: Where ``logging.captureWarnings()`` puts them, too.
_warnings = logging.getLogger("py.warnings")


def log_to_stderr() -> None:
    """Show what the package logs at INFO, unless the project's LOGGING says where it goes."""
    package = logging.getLogger("django_fastws")
    if package.hasHandlers():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    package.addHandler(handler)
    if package.level == logging.NOTSET:
        package.setLevel(logging.INFO)


def reveal_warnings() -> None:
    """Take the warnings back from Twisted's log, which daphne sends nowhere; and what daphne prints goes out at once.

    Python itself says a warning once for each place. Nothing happens on other servers.
    """
    owner: Any = getattr(warnings.showwarning, "__self__", None)
    if owner is None or not type(owner).__module__.startswith("twisted."):
        return
    former = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is None:
            _warnings.warning("%s", warnings.formatwarning(message, category, filename, lineno, line).rstrip())
        else:
            former(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    # daphne's access log: in a pipe, what is printed waits for 8 kB more.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)
