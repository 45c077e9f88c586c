"""How often things happened, and when to tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["Tally"]


class Tally:
    """Counts by kind, each kind told of at most once in so many seconds.

    Args:
        seconds: between two tellings of one kind.
    """

    def __init__(self, seconds: float = 1.0) -> None:
        self._seconds = seconds
        self._counts: dict[str, int] = {}
        self._untold: dict[str, int] = {}
        self._told_at: dict[str, float] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each kind has happened until now; it does not change any more."""
        return MappingProxyType(dict(self._counts))

    def add(self, kind: str) -> None:
        """Count one."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._untold[kind] = self._untold.get(kind, 0) + 1

    def wait(self, kind: str, now: float) -> float:
        """How many seconds it is until a kind may be told of."""
        told_at = self._told_at.get(kind)
        return 0.0 if told_at is None else max(0.0, told_at + self._seconds - now)

    def tell(self, kind: str, now: float) -> int:
        """How many there were since the last telling, to be told now; 0 if there were none, or it is too early."""
        if kind not in self._untold or self.wait(kind, now):
            return 0
        self._told_at[kind] = now
        return self._untold.pop(kind)
