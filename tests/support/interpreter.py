"""Python in processes of its own: forked from one that has imported most of what it needs, where that is the same."""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.support.forkserver import ForkServer

__all__ = ["ROOT", "run", "start"]

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def fork_server() -> ForkServer:
    """The one of this process, which starts it when it is needed."""
    server = ForkServer({**os.environ, "PYTHONUNBUFFERED": "1"}, str(ROOT))
    atexit.register(server.close)
    return server


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    output: IO[bytes],
    errors: IO[bytes] | None = None,
    *,
    directory: Path = ROOT,
    new_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start Python, with nothing to read.

    Args:
        arguments: a path, ``-m`` and a module, or ``-c`` and code, with what follows; ``-W`` and an action before it.
        environment: all of it.
        output: a file or a pipe.
        errors: another one; without it, ``output`` has both.
        directory: where it runs.
        new_session: whether it leads a group of processes, which can be killed together.
    """
    errors = errors or output
    if sys.platform == "linux" and fork_server().can_fork(environment):
        return fork_server().fork(arguments, environment, str(directory), output, errors, new_session=new_session)
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=new_session,
    )


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    directory: Path = ROOT,
    is_merged: bool = False,
    timeout_seconds: float = 180,
) -> subprocess.CompletedProcess[str]:
    """Run Python to its end, as ``start`` does, and return what it has written, in one if that is asked."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = start(arguments, environment, output, None if is_merged else errors, directory=directory)
        try:
            status = process.wait(timeout_seconds)
        finally:
            process.kill()
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(process.args, status, *texts)
