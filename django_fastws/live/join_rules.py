"""Rules and limits of a join: who may be in a room, and how many at a time."""

from __future__ import annotations

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

__all__ = ["check_access", "count_join"]

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


def count_join(membership: Membership) -> tuple[tuple[Counts, str], ...]:
    """Count a membership for the limits of its kind of room, which are of this process.

    Returns:
        What it is counted for, to be given back.
    Raises:
        LiveError: it is over a limit; it is counted for nothing.
    """
    room = membership.live_room
    held: list[tuple[Counts, str]] = []
    for limit in CONNECTION_LIMITS:
        most = room.limits.own(limit)
        key = None if most is None else _key(limit, membership.session)  # which most joins need not have
        if most is None or key is None:
            continue
        counts = _counts.setdefault(room, {}).setdefault(limit, Counts())
        if not counts.take(key, most):
            for taken, of in held:
                taken.give(of)
            raise LiveError("unavailable", limit.reason.format(limit=most))
        held.append((counts, key))
    return tuple(held)


def _key(limit: Limit[int | None], session: LiveSession) -> str | None:
    """Key under which the memberships of a session are counted for a limit; None for what is not counted."""
    if limit is MAX_CONNECTIONS_PER_ADDRESS:
        return counted_address(session.ws.scope)
    return session.user_key or None if limit is MAX_CONNECTIONS_PER_USER else ""
