"""Python's warnings in the log where Twisted takes them, above all that of a coroutine that was never awaited."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any, TextIO

__all__ = ["reveal_warnings"]

#: Where ``logging.captureWarnings()`` puts them, too.
logger = logging.getLogger("py.warnings")


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
            logger.warning("%s", warnings.formatwarning(message, category, filename, lineno, line).rstrip())
        else:
            former(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    # daphne's access log: in a pipe, what is printed waits for 8 kB more.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)
