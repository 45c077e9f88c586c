"""How much memory an object takes with all that it holds, and a call while it runs."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from types import FunctionType, ModuleType

__all__ = ["least_peak", "memory_of"]


def memory_of(thing: object) -> int:
    """Bytes of an object and of all that can be reached from it, but classes, modules and functions."""
    seen: dict[int, object] = {}
    rest = [thing]
    while rest:
        found = rest.pop()
        if id(found) not in seen and not isinstance(found, type | ModuleType | FunctionType):
            seen[id(found)] = found
            rest += gc.get_referents(found)
    return sum(map(sys.getsizeof, seen.values()))


def least_peak(prepare: Callable[[], Callable[[], object]], times: int = 5) -> int:
    """The most bytes that a call allocates at once: the least of several runs, for other threads allocate meanwhile.

    Args:
        prepare: makes what is called, anew for each run; that is not counted.
    """
    peaks = []
    for _ in range(times):
        call = prepare()
        gc.collect()
        tracemalloc.start()
        try:
            call()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(peaks)
