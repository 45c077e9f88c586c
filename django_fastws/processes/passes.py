"""Passes: one-time tokens by which a handshake is known to be the doctor's.

Whoever may publish through the layer may have passes granted, and nobody else: a process knows only the hashes that
it was told over the layer, for a short time, and forgets each when it is used. Without one, nothing answers.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from .responder import Responder, topics

__all__ = ["PASSES_TOPIC", "PASS_HEADER", "Passes", "hash_of_pass", "passes"]

PASSES_TOPIC = "passes"

#: Name of the header of a handshake that has a pass, in lower case.
PASS_HEADER = b"x-fastws-doctor"

_MOST = 100  # that a process knows at a time; the oldest are forgotten
_LONGEST_SECONDS = 120.0
_LENGTH = 43  # characters of a pass: secrets.token_urlsafe(32)


class Passes:
    """The passes that this process knows, by their hashes.

    Args:
        clock: seconds, which only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def grant(self, hashes: Iterable[Any], seconds: float) -> None:
        """Let each of these be used once, within so many seconds.

        Raises:
            TypeError, ValueError: that is no list of hashes, or no time.
        """
        until = self._clock() + min(float(seconds), _LONGEST_SECONDS)
        for value in hashes:
            if not (isinstance(value, str) and len(value) == 64):
                raise ValueError("a pass is granted by its SHA-256, in hexadecimal digits")
            self._until.pop(value, None)
            self._until[value] = until
        while len(self._until) > _MOST:
            del self._until[next(iter(self._until))]

    def take(self, value: str) -> bool:
        """Use a pass: whether it was granted, is not over, and was not used here before."""
        if not self._until or len(value) != _LENGTH:
            return False
        # Of a hash that somebody has guessed in part, no time tells: what is looked up is the hash of what was sent.
        until = self._until.pop(hash_of_pass(value), None)
        return until is not None and self._clock() <= until


def hash_of_pass(value: str) -> str:
    """The hash by which a pass is granted."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


passes = Passes()


def _grant(responder: Responder, arguments: Any) -> dict[str, int]:
    hashes = list(arguments["hashes"])
    passes.grant(hashes, arguments["seconds"])
    return {"granted": len(hashes)}


topics[PASSES_TOPIC] = _grant
