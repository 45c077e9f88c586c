"""Broadcasts that are held for a member while it joins a room, and sent behind what it begins with."""

from __future__ import annotations

from .._core.messages import Batch, Payload
from .._core.positions import Position
from .._core.recipients import Post
from ..conf import conf

__all__ = ["HeldBroadcasts", "behind"]


def behind(batch: Payload | Batch, position: Position | None) -> list[Payload | Batch]:
    """What of a batch is behind a position; None is before all."""
    if position is None:
        return [batch]
    payloads = [payload for payload in batch.payloads if _is_behind(payload.position, position)]
    return [batch] if len(payloads) == len(batch.payloads) else list(payloads)


def _is_behind(position: Position | None, begins: Position) -> bool:
    return position is None or position.epoch != begins.epoch or position.offset > begins.offset


class HeldBroadcasts:
    """Broadcasts of a room that are held for a member during its join, up to the bound of what may wait for one.

    Attributes:
        is_over: there were more, and they are dropped.
        is_answered: the state is made, and has none of what is held from now on.
        is_broken: stored broadcasts were lost before what is held.
        position: from which the member goes on in a room with history; what is held up to there is not sent.
        missed: stored broadcasts that are sent before what is held.
    """

    __slots__ = ("_post", "_size", "batches", "is_answered", "is_broken", "is_over", "missed", "position")

    def __init__(self) -> None:
        self.batches: list[Payload | Batch] = []
        self._size = 0
        self.is_over = self.is_answered = self.is_broken = False
        self.position: Position | None = None
        self.missed: list[Payload] = []
        self._post: Post | None = None

    @property
    def is_useless(self) -> bool:
        """Whether nothing can go on with it: something is missing in it, or before it."""
        return self.is_over or self.is_broken

    def to_send(self) -> list[Payload | Batch]:
        """What is sent now: what was missed, and what was held and is behind that."""
        sent: list[Payload | Batch] = [Batch(self.missed)] if self.missed else []
        for batch in self.batches:
            sent += behind(batch, self.position)
        return sent

    def release(self, post: Post) -> None:
        """Send what was held, and whatever still comes here, from fan-outs that have begun."""
        for batch in self.to_send():
            post(batch)
        self.batches, self.missed, self._post = [], [], post

    def fits(self, batch: Payload | Batch) -> bool:
        """Whether there is room for it."""
        return self._size + len(batch.frame) <= conf.send_buffer_bytes

    def add(self, batch: Payload | Batch) -> None:
        """Hold it; what does not fit is dropped, with all that was held."""
        if self._post is not None:
            for one in behind(batch, self.position):
                self._post(one)
            return
        if not self.fits(batch):
            self.is_over = True
            self.batches.clear()
        self._size += len(batch.frame)
        if not self.is_over:
            self.batches.append(batch)
