"""Exclusions: whom a broadcast leaves out, by an id. That of a client counts together with its owner."""

from __future__ import annotations

__all__ = ["exclusion", "split_exclusion"]

_MARK = "\0"  # which no owner has


def exclusion(client_id: str, owner: str) -> str:
    """What excludes a client, of which anybody may say the id, and nobody else.

    Args:
        owner: its user, else its session, else "".
    """
    return f"{client_id}{_MARK}{owner}"


def split_exclusion(excluded: str) -> tuple[str, str | None]:
    """The id of a client and its owner; of an id of whatever owner, that and None.

    >>> split_exclusion(exclusion("c-1", "auth.user:5"))
    ('c-1', 'auth.user:5')
    >>> split_exclusion("c-1")
    ('c-1', None)
    """
    client_id, mark, owner = excluded.rpartition(_MARK)
    return (client_id, owner) if mark else (excluded, None)
