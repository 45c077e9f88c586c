"""Asserts of the tests, rewritten once for all processes that run them.

Else each process rewrites them all, which is half of its start: pytest keeps the result only where Python may write
its bytecode, which containers often forbid, and in a new checkout all processes begin at once.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from pathlib import Path

import pytest
from _pytest.assertion import rewrite


def rewrite_asserts(config: pytest.Config, directory: Path) -> None:
    """Put beside each file of tests what pytest imports in its place, unless it is there and of this text."""
    files = [path for pattern in ("test_*.py", "conftest.py") for path in directory.rglob(pattern)]
    missing = [path for path in files if rewrite._read_pyc(path, _rewritten(path)) is None]
    count = min(os.cpu_count() or 1, len(missing))
    processes = [
        multiprocessing.get_context("fork").Process(target=_rewrite, args=(config, missing[number::count]))
        for number in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def rewrite_nothing_else(config: pytest.Config) -> None:
    """Leave the asserts of plugins alone: of Hypothesis, 70 modules would be rewritten by each process."""
    hook = config.pluginmanager.rewrite_hook
    if isinstance(hook, rewrite.AssertionRewritingHook):  # not with --assert=plain
        hook._must_rewrite.clear()


def _rewritten(path: Path) -> Path:
    return rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"


def _rewrite(config: pytest.Config, paths: list[Path]) -> None:
    with contextlib.suppress(OSError, SyntaxError):  # then each process does it for itself, and says what is wrong
        for path in paths:
            source_hash, code = rewrite._rewrite_test(path, config)
            _rewritten(path).parent.mkdir(exist_ok=True)
            rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, source_hash, _rewritten(path))
