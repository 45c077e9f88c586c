"""Ledger of frozen objects: how many of those that the garbage collector no longer looks at may be garbage."""

from __future__ import annotations

__all__ = ["FrozenLedger"]

#: No connection is taken to hold more objects than this: what was frozen with it besides is not its own.
MOST_OBJECTS_OF_A_CONNECTION = 1_000
_USUAL_OBJECTS_OF_A_CONNECTION = 200
_PART = 0.25  # of what connections hold, that may be garbage besides: what is found should be worth the pause


class FrozenLedger:
    """What is frozen, and how much of it is accounted for: by connections that are open, or as old.

    Objects that were frozen and are garbage now are freed as any others if nothing but they themselves is left of
    them by reference count. Cycles among them stay, since nobody looks. How many objects are in those can only be
    told by what remains when the connections have closed with which they were frozen.

    Attributes:
        objects: how many are frozen, at most: those that were freed since they were counted are among them.
        freezes: how often some were frozen; a connection that was opened at an earlier number is frozen.
    """

    def __init__(self) -> None:
        self.objects = 0
        self.freezes = 0
        self._old = 0.0  # objects that were in use at the last look, of no connection
        self._of_connections = 0.0
        self._frozen = 0  # connections that are open and were frozen
        self._fresh = 0  # connections that are open and were not

    def opened(self) -> int:
        """A connection was opened; returns what ``closed()`` takes."""
        self._fresh += 1
        return self.freezes

    def closed(self, stamp: int) -> None:
        """A connection was closed, and what it held is taken to be free."""
        if stamp == self.freezes:
            self._fresh = max(0, self._fresh - 1)
        elif self._frozen > 0:
            self._of_connections -= self._of_connections / self._frozen
            self._frozen -= 1

    def frozen(self, objects: int) -> None:
        """So many objects more were frozen, all of them in use."""
        share = min(objects, self._fresh * MOST_OBJECTS_OF_A_CONNECTION)
        self._of_connections += share
        if not self.freezes:
            self._old += objects - share  # with what the program has begun with
        self.objects += objects
        self.freezes += 1
        self._frozen += self._fresh
        self._fresh = 0

    def counted(self, objects: int) -> None:
        """So many are frozen, as was counted."""
        self.objects = objects

    def thawed(self, objects: int) -> None:
        """All were looked at, and these are in use; they are frozen again."""
        each = self._of_connections / self._frozen if self._frozen else _USUAL_OBJECTS_OF_A_CONNECTION
        self._frozen += self._fresh
        self._fresh = 0
        self._of_connections = min(float(objects), each * self._frozen)
        self._old = objects - self._of_connections
        self.objects = objects
        self.freezes += 1

    def may_be_garbage(self, least: int) -> bool:
        """Whether more may be garbage than ``least`` objects and a quarter of what connections hold."""
        in_use = self._old + self._of_connections
        return self.objects - in_use > least + _PART * self._of_connections
