"""Traces of rooms: broadcasts, and their fan-outs in each process, which are linked to them through the envelopes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from .. import tracing
from .._core.envelope import Envelope
from .._core.fanout import FanOut
from .._core.messages import Payload
from .._core.traceparent import is_sampled
from ..tracing import BROADCAST, FAN_OUT, Observed, Work
from .declared import pattern_of

if TYPE_CHECKING:
    from .local_room import LocalRoom

__all__ = ["TracedArrival", "begin_broadcast", "end_fan_out", "note_arrival"]


def begin_broadcast(name: str, envelope: Envelope, *, is_current: bool = True) -> Observed:
    """Begin to observe a broadcast; the envelope tells those who get it, if its span is sampled.

    Args:
        name: of the room.
        is_current: whether what is done until its end is done for it.
    """
    observed = tracing.begin(
        Work(
            BROADCAST,
            pattern_of(name),
            event=envelope.event or "",
            room=name,
            attributes={"messaging.message.body.size": len(envelope.data)},
            is_current=is_current,
        )
    )
    if is_sampled(traceparent := observed.traceparent):
        envelope.trace = traceparent
    return observed


class TracedArrival(NamedTuple):
    """Broadcast that waits for its fan-out, and where it comes from."""

    payload: Payload
    traceparent: str
    arrived_ns: int


def note_arrival(room: LocalRoom, payload: Payload, traceparent: str) -> None:
    """A broadcast that is traced has arrived for the members here."""
    if tracing.observers:
        if room.traced is None:
            room.traced = []
        room.traced.append(TracedArrival(payload, traceparent, time.time_ns()))


def end_fan_out(room: LocalRoom, fan_out: FanOut) -> None:
    """All members have what a fan-out had for them, and some of that may be traced."""
    sent = {id(payload) for payload in fan_out.payloads}
    waiting = {id(payload) for payload, _ in room.arrived}
    noted, room.traced = room.traced or (), None
    if left := [one for one in noted if id(one.payload) in waiting]:
        room.traced = left
    found = [one for one in noted if id(one.payload) in sent]
    if not found:
        return
    first = found[0]
    count = {"messaging.batch.message_count": len(sent)} if len(sent) > 1 else {}
    work = Work(
        FAN_OUT,
        pattern_of(room.name),
        room=room.name,
        attributes={**count, "fastws.deliveries": fan_out.deliveries},
        parent=first.traceparent,
        links=list(dict.fromkeys(one.traceparent for one in found)),
        is_current=False,
        begun_ns=first.arrived_ns,
    )
    tracing.begin(work).end()
