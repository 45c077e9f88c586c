"""Rules and limits of a join: who may be in a room, and how many at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .._core.counts import Counts
from ..exceptions import LiveError
from ..limits import (
    CONNECTION_LIMITS,
    MAX_CONNECTIONS_PER_ADDRESS,
    MAX_CONNECTIONS_PER_USER,
    Denial,
    Limit,
    counted_address,
)
from .live_room import LiveRoom

if TYPE_CHECKING:
    from .membership import Membership
    from .session import LiveSession

__all__ = ["Counted", "check_access", "count_join", "count_user", "give_back"]

#: What a membership is counted for: where, and under which key.
Counted = tuple[Counts, str]

#: Memberships of each kind of room, by what limits them.
_counts: WeakKeyDictionary[LiveRoom, dict[Limit[Any], Counts]] = WeakKeyDictionary()

_CODES = {401: "unauthenticated", 403: "forbidden", 404: "not_found"}


async def check_access(membership: Membership) -> None:
    """Check a join against the access rules of the room.

    Raises:
        LiveError: it is refused.
    """
    access = membership.live_room.access
    denial = await access.denial(membership.session.socket, membership.params)
    if denial is not None:
        raise LiveError(_CODES.get(denial.status, "failed"), _text(denial))


def _text(denial: Denial) -> str:
    return denial.text if denial.status in _CODES else "the server failed"


def count_join(membership: Membership) -> tuple[Counted, ...]:
    """Count a membership for the limits of its kind of room, which are of this process.

    Returns:
        What it is counted for, to be given back.
    Raises:
        LiveError: it is over a limit; it is counted for nothing.
    """
    room = membership.live_room
    held: list[Counted] = []
    try:
        for limit in CONNECTION_LIMITS:
            if room.limits.own(limit) is None:
                continue
            key = _key(limit, membership.session)  # which most joins need not have
            if key is not None:
                held.append(_take(room, limit, key))
    except LiveError:
        give_back(held)
        raise
    return tuple(held)


def count_user(memberships: Iterable[Membership], key: str) -> list[tuple[Membership, Counted]]:
    """Count memberships for a user who is known only now.

    Returns:
        What each is counted for besides.
    Raises:
        LiveError: one is over the limit of its kind of room; none is counted.
    """
    held: list[tuple[Membership, Counted]] = []
    try:
        for membership in memberships:
            room = membership.live_room
            if membership.is_member and room.limits.own(MAX_CONNECTIONS_PER_USER) is not None:
                held.append((membership, _take(room, MAX_CONNECTIONS_PER_USER, key)))
    except LiveError:
        give_back(counted for _, counted in held)
        raise
    return held


def give_back(counted: Iterable[Counted]) -> None:
    """It counts no more."""
    for counts, key in counted:
        counts.give(key)


def _take(room: LiveRoom, limit: Limit[int | None], key: str) -> Counted:
    most = room.limits.own(limit)
    assert most is not None
    counts = _counts.setdefault(room, {}).setdefault(limit, Counts())
    if not counts.take(key, most):
        raise LiveError("unavailable", limit.reason.format(limit=most))
    return counts, key


def _key(limit: Limit[int | None], session: LiveSession) -> str | None:
    """Key under which the memberships of a session are counted for a limit; None for what is not counted."""
    if limit is MAX_CONNECTIONS_PER_ADDRESS:
        return counted_address(session.ws.scope)
    return session.user_key or None if limit is MAX_CONNECTIONS_PER_USER else ""
