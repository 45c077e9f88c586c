"""What tests that share a process would find of each other."""

from __future__ import annotations

from ..layer import forget_histories

__all__ = ["clear_histories"]


def clear_histories() -> None:
    """Forget what rooms keep in the memory of this process, as between two tests: histories, and values of keyed rooms.

    In a test of Django it is called in ``setUp()``, in pytest by a fixture that is used everywhere. What is kept in a
    Redis stays; ``Room.clear()`` forgets one room anywhere.
    """
    forget_histories()
