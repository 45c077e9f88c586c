"""What tests that share a process would find of each other."""

from __future__ import annotations

from ..layer import forget_histories

__all__ = ["clear_histories"]


def clear_histories() -> None:
    """Forget the histories, and the values of keyed rooms, that are kept in the memory of this process.

    The tests of a run share that. In a test of Django it is called in ``setUp()``, in pytest by a fixture that is
    used everywhere. What is kept in a Redis stays; ``Room.clear()`` forgets a history anywhere.
    """
    forget_histories()
