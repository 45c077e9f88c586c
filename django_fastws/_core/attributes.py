"""Whether an object has all that is relied on: looked at for each connection, so in one step."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any

__all__ = ["has_all"]


def has_all(found: object, names: tuple[str, ...]) -> bool:
    """Whether an object has all attributes of these names.

    >>> has_all([], ("append", "pop")), has_all([], ("append", "push"))
    (True, False)
    """
    try:
        _getter(names)(found)
    except AttributeError:
        return False
    return True


@lru_cache(maxsize=64)
def _getter(names: tuple[str, ...]) -> Callable[[object], Any]:
    return attrgetter(*names)
