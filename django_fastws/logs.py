"""Log format of the commands, on a project whose LOGGING says nothing of it."""

from __future__ import annotations

import logging

__all__ = ["LOG_FORMAT", "log_to_stderr"]

LOG_FORMAT = "%(levelname)-7s | %(name)s | %(message)s"


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
