"""Fan-out of one room's broadcasts to its members: batched, and posted in slices."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from .messages import Batch, Payload
from .recipients import Post, Recipients, Sink, sink_of

__all__ = ["BATCH_BYTES", "BATCH_MESSAGES", "MOST_TASKS", "FanOut", "Find", "take_batch"]

logger = logging.getLogger("django_fastws.rooms")

#: How many bytes of messages are batched into one write at most.
BATCH_BYTES = 64 * 1024
#: And how many messages, for they may be empty.
BATCH_MESSAGES = 2048
#: How many tasks a slice may start, about: what they do takes time, too.
MOST_TASKS = 128
# Members, and bytes and messages for them, between two looks at the clock.
_STEP, _STEP_BYTES, _STEP_MESSAGES = 64, 256 * 1024, 4096

Broadcast = tuple[Payload, str | None]
"""A message, and the id of a member that does not get it."""
Find = Callable[[str], Collection[Any]]
"""Finds what has an id."""


def take_batch(waiting: list[Broadcast]) -> tuple[list[Broadcast], int]:
    """Remove a batch from the front: at least one. Returns it, and the bytes of its messages."""
    size = 0
    for count, (payload, _) in enumerate(waiting):
        size += (added := len(payload.raw))
        if (size > BATCH_BYTES and count) or count == BATCH_MESSAGES:
            taken = waiting[:count]
            del waiting[:count]
            return taken, size - added
    taken = waiting[:]
    waiting.clear()
    return taken, size


class FanOut:
    """Broadcasts to one room, on their way to those who were its members when it began.

    Members that are excluded from one of them get the others.

    Args:
        broadcasts: at least one, in order.
        members: of the room, each with an ``id``, and how to send to it.
        find: those that have an id, whether they are members or not; None looks through the members. With it, an id
            that no member has costs next to nothing, however many members there are.
        size: of the messages, in bytes.
        recipients: the members in a list, if there is one already.

    Attributes:
        count: of the broadcasts that are batched in it.
        size: as above.
        deliveries: how many messages it comes to, over all members.
        delivered_bytes: of their frames; what a member is excluded from is counted, too.
        started: how many tasks the last slice has started.
        has_ended: whether all members have it.
    """

    # What is told of it are attributes, so that a room enters this file once for each slice.
    __slots__ = (
        "_batch",
        "_excluded",
        "_members",
        "_position",
        "_sinks",
        "_step",
        "count",
        "delivered_bytes",
        "deliveries",
        "has_ended",
        "size",
        "started",
    )

    def __init__(
        self,
        broadcasts: Sequence[Broadcast],
        members: Mapping[Any, Post],
        find: Find | None = None,
        size: int = 0,
        recipients: Recipients | None = None,
    ) -> None:
        payloads = [payload for payload, _ in broadcasts]
        self._batch: Payload | Batch = payloads[0] if len(payloads) == 1 else Batch(payloads)
        #: By member: the places of the broadcasts that it does not get.
        self._excluded = excluded = _excluded(broadcasts, members, find)
        # Two lists, so that what is read for each member is no more than what is called.
        self._members, self._sinks = recipients or Recipients.of(members)
        self._position = 0
        frame_bytes, self.count = len(self._batch.frame), len(payloads)
        most = min(_STEP_BYTES // max(1, frame_bytes), _STEP_MESSAGES // len(payloads))
        self._step = max(1, min(_STEP, most))
        self.size = size
        self.delivered_bytes = len(members) * frame_bytes
        self.deliveries = len(members) * len(payloads)
        if excluded:
            self.deliveries -= sum([len(places) for places in excluded.values()])
        self.started, self.has_ended = 0, False

    @classmethod
    def start(
        cls,
        arrived: list[Broadcast],
        members: Mapping[Any, Post],
        find: Find | None,
        is_over: Callable[[], bool],
        recipients: Recipients | None = None,
    ) -> FanOut:
        """Make a fan-out of a batch of what has arrived, which is removed there, and post its first slice."""
        broadcasts, size = take_batch(arrived)
        fan_out = cls(broadcasts, members, find, size, recipients)
        fan_out.run(members, is_over)
        return fan_out

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """The messages of the broadcasts."""
        return self._batch.payloads

    def repost(self, member: Any, post: Post) -> None:
        """Send to a member in another way, if it does not have it yet."""
        with suppress(ValueError):
            self._sinks[self._members.index(member, self._position)] = sink_of(post)

    def passed_over(self) -> set[Any]:
        """The members that get nothing of it: they are excluded from all of the broadcasts."""
        return {member for member, places in self._excluded.items() if len(places) == self.count}

    def run(self, present: Collection[Any], is_over: Callable[[], bool]) -> bool:
        """Post to the members, one slice of them; True when all have it.

        Args:
            present: the room's members now: who has left since this began is passed over.
            is_over: asked every so many members whether the slice is over.
        """
        sinks, batch, step = self._sinks, self._batch, self._step
        count, frame = len(sinks), batch.frame
        size, started = len(frame), 0
        is_plain = not self._position and not self._excluded
        while self._position < count:
            position = self._position
            self._position += step
            if is_plain:
                for sink in sinks[position : position + step]:
                    try:
                        if (sent := sink.direct(frame)) != size:
                            started += _post(sink, batch, sent)
                    except OSError:  # the socket is full, or broken, which the server finds out
                        started += _post(sink, batch, 0)
                    except Exception:
                        _log_failure()
            else:
                started += self._post_with_care(position, present)
            if started >= MOST_TASKS or is_over():
                break
        self.started = started
        self.has_ended = has_ended = self._position >= count
        return has_ended

    def _post_with_care(self, position: int, present: Collection[Any]) -> int:
        """One step, after others had their turn, or where somebody is excluded."""
        part, started = slice(position, position + self._step), 0
        for member, sink in zip(self._members[part], self._sinks[part], strict=True):
            if position and member not in present:
                continue
            missed = self._excluded.get(member)
            try:
                batch = self._batch if missed is None else self._batch.without(missed)
            except Exception:
                _log_failure()
                continue
            if batch is not None:
                started += _post(sink, batch, -1)
        return started


def _post(sink: Sink, batch: Payload | Batch, sent: int) -> bool:
    """Post to a member what its socket has not taken directly; whether that is left to a task.

    Args:
        sent: how many bytes the socket has taken; less than 0 if it was not asked.
    """
    try:
        if sent < 0:
            return bool(sink.post(batch))
        sink.write_rest(batch.frame[sent:])
    except Exception:
        _log_failure()
    return False


def _excluded(
    broadcasts: Sequence[Broadcast], members: Mapping[Any, Post], find: Find | None
) -> dict[Any, list[int]]:
    by_id: dict[str, list[int]] = {}
    for place, (_, member_id) in enumerate(broadcasts):
        if member_id is not None:
            by_id.setdefault(member_id, []).append(place)
    if not by_id:
        return {}
    if find is None:
        return {member: by_id[member.id] for member in members if member.id in by_id}
    excluded: dict[Any, list[int]] = {}
    for member_id, missed in by_id.items():
        for member in find(member_id):
            if member in members:
                # Both by its own id and by that of its client, maybe.
                excluded[member] = sorted(excluded[member] + missed) if member in excluded else missed
    return excluded


def _log_failure() -> None:
    logger.exception("Could not deliver a broadcast to one member")  # noqa: LOG004 (callers are handlers)
