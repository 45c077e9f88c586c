"""What tests that share a process would find of each other."""

from __future__ import annotations

from ..layer import forget_histories
from ..rooms import forget_presence

__all__ = ["clear_histories"]


def clear_histories() -> None:
    """Forget what this process keeps in its memory: histories, values of keyed rooms, and who is present.

    The tests of a run share that. In a test of Django it is called in ``setUp()``, in pytest by a fixture that is
    used everywhere. What is kept in a Redis stays; ``Room.clear()`` forgets a history anywhere.
    """
    forget_presence()
    forget_histories()
