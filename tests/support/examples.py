"""How many examples Hypothesis makes, and whether they are others in each run."""

from __future__ import annotations

import os

__all__ = ["AT_RANDOM", "examples"]

#: Whether each run tries something else: `make test-random`.
AT_RANDOM = bool(os.environ.get("FASTWS_TESTS_RANDOM"))


def examples(at_random: int) -> int:
    """For ``max_examples`` of a test that needs more than the usual: a third of it in runs that all try the same.

    More of what was tried before finds nothing; it is at random that a greater number is another chance.
    """
    return at_random if AT_RANDOM else at_random // 3
