"""Broadcasts that are held for a member while it joins a room, and sent behind what it begins with."""

from __future__ import annotations

from .._core.messages import Batch, Payload
from .._core.positions import Position
from ..conf import conf

__all__ = ["HeldBroadcasts"]


class HeldBroadcasts:
    """Broadcasts of a room that are held for a member during its join, up to the bound of what may wait for one.

    Attributes:
        is_over: there were more, and they are dropped.
        is_answered: the state is made, and has none of what is held from now on.
        is_broken: stored broadcasts were lost before what is held.
        position: from which the member goes on in a room with history; what is held up to there is not sent.
        missed: stored broadcasts that are sent before what is held.
    """

    __slots__ = ("_size", "batches", "is_answered", "is_broken", "is_over", "missed", "position")

    def __init__(self) -> None:
        self.batches: list[Payload | Batch] = []
        self._size = 0
        self.is_over = self.is_answered = self.is_broken = False
        self.position: Position | None = None
        self.missed: list[Payload] = []

    @property
    def is_useless(self) -> bool:
        """Whether nothing can go on with it: something is missing in it, or before it."""
        return self.is_over or self.is_broken

    def to_send(self) -> list[Payload | Batch]:
        """What is sent now: what was missed, and what was held and is behind that."""
        if self.position is None:
            return self.batches
        sent: list[Payload | Batch] = []
        if self.missed:
            sent.append(Batch(self.missed))
        for batch in self.batches:
            payloads = [payload for payload in batch.payloads if self._is_behind(payload.position)]
            sent.extend([batch] if len(payloads) == len(batch.payloads) else payloads)
        return sent

    def _is_behind(self, position: Position | None) -> bool:
        begins = self.position
        assert begins is not None
        return position is None or position.epoch != begins.epoch or position.offset > begins.offset

    def fits(self, batch: Payload | Batch) -> bool:
        """Whether there is room for it."""
        return self._size + len(batch.frame) <= conf.send_buffer_bytes

    def add(self, batch: Payload | Batch) -> None:
        """Hold it; what does not fit is dropped, with all that was held."""
        if not self.fits(batch):
            self.is_over = True
            self.batches.clear()
        self._size += len(batch.frame)
        if not self.is_over:
            self.batches.append(batch)
