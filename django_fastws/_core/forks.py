"""Forks: what a child does not share with its parent is made anew."""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["after_fork_in_child"]


def after_fork_in_child(function: Callable[[], None]) -> None:
    """Have a function called in every child that this process forks; where there are no forks, never."""
    register = getattr(os, "register_at_fork", None)
    if register is not None:
        register(after_in_child=function)
