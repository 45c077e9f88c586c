"""Forks: what a child does not share with its parent is made anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet

__all__ = ["Resettable", "after_fork_in_child", "reset_in_child"]


class Resettable(Protocol):
    """Object with locks, connections or tasks, of which a forked child needs its own."""

    def reset(self) -> None:
        """Begin anew, without a lock or an await: the thread that held a lock may not be in this process."""


def after_fork_in_child(function: Callable[[], None]) -> None:
    """Have a function called in every child that this process forks; where there are no forks, never."""
    register = getattr(os, "register_at_fork", None)
    if register is not None:
        register(after_in_child=function)


_resettable: WeakSet[Resettable] = WeakSet()


def reset_in_child(owner: Resettable) -> None:
    """Have ``owner.reset()`` called in every child that this process forks, as long as the owner exists.

    The owner must be hashable by identity, and must allow weak references.
    """
    _resettable.add(owner)


def _reset_all() -> None:
    for owner in list(_resettable):
        owner.reset()


after_fork_in_child(_reset_all)
