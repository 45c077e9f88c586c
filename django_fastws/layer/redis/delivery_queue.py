"""Bounded queue between the subscriptions of a Redis and one broker client, which drops duplicates."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ... import metrics
from ..._core.channel_queue import ChannelQueue
from ..._core.envelope import CONTROL, Envelope, decode
from ..._core.sequences import Sequences
from ..broker import Deliver
from ..decoding_errors import DecodingErrors
from .history_commands import split_position
from .presence_encoding import PresenceCards, decode_diff
from .presence_scripts import PRESENCE_MARK

__all__ = ["DeliveryQueue"]

logger = logging.getLogger("django_fastws.layer")

#: Bytes that wait for a client that is held.
_MOST_BYTES = 16 * 1024 * 1024
_SLICE = 0.005  # seconds for which what has waited may hold the loop
_IDLE_SECONDS = 1.0  # seconds without a drop, once all that waited was sent, after which it is said to be over


class DeliveryQueue:
    """Bounded queue of one broker client: messages are decoded, duplicates passed over, and the others delivered.

    They are delivered at once, but while the client is held, they wait as they came. Over the bound, the oldest of
    the rooms that have most are dropped, counted, and said once until all that waited has been delivered. So Redis
    is read all the time, and need not close the connection of a process that is too slow.

    Args:
        deliver: the client's; must not raise.
        deserialize: the layer's, which turns bytes into what was published.
        cards: how the cards are encoded of those who are present.
        restored: called when subscriptions that were lost are made again, or messages were dropped; must not raise.
    """

    def __init__(
        self,
        deliver: Deliver,
        deserialize: Callable[[bytes], Any],
        cards: PresenceCards,
        restored: Callable[[], None] = lambda: None,
    ) -> None:
        self._deliver, self._cards = deliver, cards
        self.restored = restored
        self._deserialize = deserialize
        self._loop = asyncio.get_running_loop()
        self._queue = ChannelQueue(_MOST_BYTES)
        self._groups: dict[bytes, str] = {}
        self._sequences = Sequences()
        self._errors = DecodingErrors()
        self._is_held = self._is_draining = False
        #: Whether what comes has to wait: the client is held, or others wait. It is asked for every message.
        self._must_wait = False
        #: How many broadcasts were dropped since when, until nothing more was for a while; and when that is said.
        self._dropped, self._since = 0, 0.0
        self._telling: asyncio.TimerHandle | None = None

    def open(self, channel: bytes, group: str) -> None:
        """Take messages of a channel from now on, for a group."""
        self._groups[channel] = group

    def close(self, channel: bytes) -> None:
        """Take messages of a channel no more, and drop those that wait."""
        self._groups.pop(channel, None)
        self._queue.discard(channel)

    def receive(self, channel: bytes, data: bytes) -> None:
        """Take a message. Never raises."""
        if not self._must_wait:
            self._open_envelope(channel, data)
        elif dropped := self._queue.push(channel, data):
            self._count(dropped, channel)

    def hold(self) -> None:
        """Deliver nothing more for now."""
        self._is_held = self._must_wait = True

    def resume(self) -> None:
        """Deliver again: what has waited first, in slices."""
        self._is_held, self._must_wait = False, bool(self._queue)
        if not self._is_draining and (self._queue or self._dropped):
            self._is_draining = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        ends = self._loop.time() + _SLICE
        while self._queue and not self._is_held:
            self._open_envelope(*self._queue.pop())
            if self._loop.time() >= ends:
                self._loop.call_soon(self._drain)
                return
        self._is_draining = False
        self._must_wait = self._is_held or bool(self._queue)
        if self._dropped and not self._queue and self._telling is None:
            self._telling = self._loop.call_later(_IDLE_SECONDS, self._tell)

    def _tell(self) -> None:
        logger.warning(
            "This process can send as fast as broadcasts come again: %d were dropped in %.1f seconds",
            self._dropped,
            self._loop.time() - self._since - _IDLE_SECONDS,
        )
        self._dropped, self._telling = 0, None
        self.restored()

    def _count(self, dropped: int, channel: bytes) -> None:
        metrics.dropped_broadcasts.add(dropped)
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if not self._dropped:
            self._since = self._loop.time()
            logger.warning(
                "Broadcasts come faster than this process can send them, at last for %s: the oldest that wait are "
                "dropped, and members miss them",
                self._groups.get(channel, channel),
            )
        self._dropped += dropped

    def _open_envelope(self, channel: bytes, data: bytes) -> None:
        try:
            if data.startswith(PRESENCE_MARK):
                diff = decode_diff(data, self._cards)
                self._deliver(Envelope(CONTROL, self._groups[channel], presence=diff))
                return
            position, data = split_position(data)
            envelope = decode(self._deserialize(data), position)
            if envelope is None:
                return
            room = envelope.room
            if room and room != self._groups.get(channel, room):
                self._errors.log_stranger(self._groups[channel], room)
            # By a position, receivers know whether it comes again.
            elif position is not None or self._sequences.is_next(envelope.sender, envelope.number):
                self._deliver(envelope)
        except Exception as error:
            # Somebody else publishes here, or with other keys or another format.
            self._errors.log(error)
