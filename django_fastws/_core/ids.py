"""Unique ids of objects, by which they are found as long as they live."""

from __future__ import annotations

import uuid
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

__all__ = ["Ids"]

Owner = TypeVar("Owner")


class Ids(Generic[Owner]):
    """Ids that are made when they are asked for; who was never asked for one takes no memory here."""

    def __init__(self) -> None:
        self._owners: WeakValueDictionary[str, Owner] = WeakValueDictionary()

    def make(self, owner: Owner, made: str | None = None) -> str:
        """Id of an object: 32 hexadecimal digits, unique in the whole cluster, and not to be guessed.

        Args:
            made: an id that it has already, unless another object is found by it; None for a new one.
        """
        if made is None or made in self._owners:
            made = uuid.uuid4().hex
        self._owners[made] = owner
        return made

    def find(self, made: str) -> Owner | None:
        """The object that has this id; None if there is none."""
        return self._owners.get(made)

    def __len__(self) -> int:
        return len(self._owners)
