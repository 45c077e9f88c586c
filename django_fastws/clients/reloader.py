"""Reloader: runs the command in a child process, and restarts it when code changes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.utils import autoreload

__all__ = ["CHANGED", "is_child", "run_child", "watch"]

logger = logging.getLogger("django_fastws.clients")

_PAUSE_SECONDS = 0.2

#: The exit status of a child that ended because code has changed.
CHANGED = 3


def is_child() -> bool:
    """Whether this process is the child."""
    return os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true"


def watch(on_change: Callable[[Path], None]) -> None:
    """Call a function, from a thread, with every file of code that changes."""

    def changed(sender: Any, file_path: Path, **kwargs: Any) -> bool:
        on_change(file_path)
        return True  # or Django would end the process at once

    autoreload.file_changed.connect(changed, weak=False)
    reloader = autoreload.get_reloader()
    thread = threading.Thread(target=reloader.run, args=[threading.main_thread()], daemon=True, name="reloader")
    thread.start()


def run_child() -> int:
    """Run this command in a child process, and again whenever code has changed.

    A child that fails, as one whose code has a mistake does, is started again after the next change. SIGINT and
    SIGTERM are for the child, which ends in order.

    Returns:
        The exit status for this process.
    """
    environment = {**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"}
    changed: list[Path] = []
    stopped: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def stop(signum: int, frame: Any) -> None:
        stopped.append(signum)
        if child is not None and not (signum == signal.SIGINT and _has_terminal()):
            child.send_signal(signum)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, stop)
    watch(changed.append)
    while not stopped:
        changed.clear()
        child = subprocess.Popen(autoreload.get_child_arguments(), env=environment, close_fds=False)
        status = child.wait()
        if status == CHANGED:
            continue
        if status == 0 or stopped:
            return status if status >= 0 else 128 - status
        logger.info("Waiting for a change of the code")
        # No lock that a signal handler might need too, so it looks now and then.
        while not (changed or stopped):
            time.sleep(_PAUSE_SECONDS)
    return 0


def _has_terminal() -> bool:
    """Whether Ctrl+C reaches the child by itself, as it does in the foreground of a terminal."""
    try:
        terminal = os.open(os.ctermid(), os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
