"""Counting calls: what a piece of code costs, whatever ran before it in the process."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["profiled"]


@contextlib.contextmanager
def profiled(profile: Callable[[Any, str, Any], object]) -> Iterator[None]:
    """Tell ``profile`` of every call in the block, as ``sys.setprofile`` does; the garbage collector makes none.

    What tests before this one have left is collected first: whatever calls a finalizer of it would be counted.
    """
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
        if was_enabled:
            gc.enable()
