"""Resumption: which stored broadcasts a member gets that comes back to a room, before it is live again."""

from __future__ import annotations

from typing import NamedTuple

from .. import metrics
from .._core.messages import Payload
from .._core.positions import Position
from ..conf import conf
from .declared import pattern_of
from .held_broadcasts import HeldBroadcasts
from .hub import Hub, current_hub
from .local_room import Member
from .recent_events import RecentEvent

__all__ = ["Joined", "count_joined", "join_since", "resume"]


class Joined(NamedTuple):
    """What a socket knows of a room that it has joined.

    Attributes:
        position: in the room's history, up to which it has everything or needs it from elsewhere; what comes follows
            it. None in a room without history.
        recovered: whether it was sent what it had missed since its position.
    """

    position: Position | None
    recovered: bool


async def resume(
    hub: Hub, member: Member, name: str, since: Position, held: HeldBroadcasts
) -> list[RecentEvent] | None:
    """The events that a member has missed, whose broadcasts are held meanwhile.

    Args:
        since: the last position that the member had.
        held: with the position from which the member was held; it is the member's own from now on.
    Returns:
        None if it cannot go on from there: not all of them are kept, or can be sent at once.
    Raises:
        WebSocketConnectionError: the layer cannot be reached.
    """
    now = held.position
    if now is None:
        return None
    if since.epoch == now.epoch and since.offset > now.offset:
        # It had more from another process than has come here.
        if not await hub.caught_up(member, name, since):
            return None
        missed: list[RecentEvent] | None = []
        held.position = since
    else:
        missed = await hub.missed(name, since, now)
    return None if held.is_useless else missed


async def join_since(member: Member, name: str, since: Position | str | None) -> Joined:
    """Join a room, and send what was missed since a position before what comes, if all of that is kept.

    Raises:
        WebSocketConnectionError: the layer cannot be reached; the member is not in the room.
    """
    is_new = not current_hub().has(member, name)
    if not isinstance(since, Position):  # clients say it: what is none is one that nobody knows
        since = Position.parse(since) if isinstance(since, str) else None
    joined = await _joined_since(member, name, since)
    if is_new:
        count_joined(pattern_of(name), recovered=joined.recovered)
    return joined


def count_joined(pattern: str, *, recovered: bool) -> None:
    """Count the join of a socket that was not in the room before."""
    metrics.joins.add(1, pattern, "true" if recovered else "false")


async def _joined_since(member: Member, name: str, position: Position | None) -> Joined:
    hub = current_hub()
    if position is None or hub.has(member, name):
        await hub.join(member, name)
        return Joined(hub.position(member, name), recovered=False)
    held = HeldBroadcasts()
    try:
        await hub.join(member, name, held)
        held.position = hub.position(member, name)
        missed = await resume(hub, member, name, position, held)
        payloads = [_payload(event) for event in missed or () if event.envelope.exclude != member.id]
        if missed is None or sum([len(payload) for payload in payloads]) > conf.send_buffer_bytes:
            if held.is_over:  # what was dropped is needed from elsewhere, too
                held.position = hub.position(member, name)
            return Joined(held.position, recovered=False)
        held.missed = payloads
        return Joined(held.position, recovered=True)
    finally:
        if hub.has(member, name):  # maybe by another join, where this one has failed
            held.release(member.post)
            hub.repost(member, name)


def _payload(event: RecentEvent) -> Payload:
    return Payload(event.envelope.data)
