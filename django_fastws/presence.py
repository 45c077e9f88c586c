"""Who is online: users who are present in some room with presence, in any process.

A user is online from the first join of a room that has presence, until the grace after the last of all connections
is over. Somebody who is connected and in no such room is not.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from datetime import UTC, datetime
from typing import Any

from .rooms import check_no_loop, presence_store
from .user_keys import key_of

__all__ = ["ais_online", "alast_seen", "aonline", "is_online", "last_seen", "online"]


def is_online(user: Any) -> bool:
    """Whether a user is online, from sync code.

    Args:
        user: a user, or a primary key.
    Raises:
        TypeError, ValueError: it is no user, and no primary key of one.
        PresenceUnavailable: the channel layer keeps nothing of that.
        WebSocketStateError: this thread runs an event loop, which would be blocked; await the twin there.
        WebSocketConnectionError: the channel layer cannot be reached.
    """
    check_no_loop("is_online()", "ais_online(...)")
    return bool(presence_store().online([_key(user, "is_online")]))


async def ais_online(user: Any) -> bool:
    """Whether a user is online; see ``is_online``."""
    return bool(await presence_store().aonline([_key(user, "ais_online")]))


def online(users: Iterable[Any]) -> set[Any]:
    """Which of these users are online, from sync code: one round trip for all of them.

    Args:
        users: users, a queryset of them, or primary keys.
    Returns:
        The primary keys.
    Raises:
        TypeError, ValueError: they are not several, or one of them is as it must not be for ``is_online``.
        Exception: as ``is_online``.
    """
    check_no_loop("online()", "aonline(...)")
    keys = _keys(users, "online")
    return {keys[key] for key in presence_store().online(list(keys))} if keys else set()


async def aonline(users: Iterable[Any] | AsyncIterable[Any]) -> set[Any]:
    """Which of these users are online; see ``online``. A queryset is read with ``async for``."""
    several: Any = [user async for user in users] if isinstance(users, AsyncIterable) else users
    keys = _keys(several, "aonline")
    return {keys[key] for key in await presence_store().aonline(list(keys))} if keys else set()


def last_seen(user: Any) -> datetime | None:
    """When a user was online last, in UTC, from sync code; now for one who is; None if that is not known.

    It is known for 90 days.

    Raises:
        Exception: as ``is_online``.
    """
    check_no_loop("last_seen()", "alast_seen(...)")
    return _time(presence_store().last_seen(_key(user, "last_seen")))


async def alast_seen(user: Any) -> datetime | None:
    """When a user was online last; see ``last_seen``."""
    return _time(await presence_store().alast_seen(_key(user, "alast_seen")))


def _key(user: Any, call: str) -> str:
    return key_of(user, call).partition(":")[2]


def _keys(users: Iterable[Any], call: str) -> dict[str, Any]:
    """The primary keys of users, by their keys in presence."""
    if isinstance(users, str | bytes) or not isinstance(users, Iterable):
        one = call.replace("online", "is_online")
        raise TypeError(f"{call}() takes several users, or a queryset, not {users!r}: of one user, ask {one}()")
    return {_key(user, call): getattr(user, "pk", user) for user in users}


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
