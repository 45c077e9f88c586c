"""How much memory an object takes with all that it holds, for tests of what is forgotten."""

from __future__ import annotations

import gc
import sys
from types import FunctionType, ModuleType

__all__ = ["memory_of"]


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
