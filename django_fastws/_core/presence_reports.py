"""What processes report of who is present in their rooms, and what a layer makes of all reports together.

A process reports each key that is present in a room here with all of its connections, and a key that is not any more
with none. A layer keeps the newest report of each process, and puts them together: that a key has joined, has left or
has changed follows from the reports before and after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

__all__ = [
    "ChangeKind",
    "PresenceBeat",
    "PresenceChange",
    "PresenceConnection",
    "PresenceDiff",
    "PresenceReport",
    "PresenceSnapshot",
    "PresentKey",
    "Reported",
]

ChangeKind = Literal["joined", "left", "changed"]


class PresenceConnection(NamedTuple):
    """One connection of a key, in one process.

    Attributes:
        id: of the client, which is the same over a reconnect, else of the socket. Where another process reports the
            same id newly, the connection has moved there, and is forgotten here.
        stamp: when its card was shown, in microseconds by the layer's clock; 0 is now. The newest card counts.
        meta: the card, as JSON.
        is_held: it is gone, and expected back: it keeps the key present, but is not counted beside others: a key has
            as many connections as are not held, or as many as are held, whichever is more. Where as many are not
            held, those that are have been replaced, and are forgotten.
    """

    id: str
    stamp: int
    meta: bytes
    is_held: bool = False


class PresenceReport(NamedTuple):
    """What a process reports of one key in one room, in place of what it has reported before.

    Attributes:
        connections: none where the key is not present here any more.
        is_user: it is the key of a user, and not of an anonymous client.
    """

    key: str
    connections: tuple[PresenceConnection, ...]
    is_user: bool


class PresentKey(NamedTuple):
    """A key that is present in a room, by the reports of all processes.

    Attributes:
        meta: the newest card, as JSON.
        connections: how many, at least 1; the same id counts once.
        since: when it came, in seconds since the epoch by the layer's clock.
    """

    meta: bytes
    connections: int
    since: float


class PresenceChange(NamedTuple):
    """Change of one key in a room.

    Attributes:
        kind: "joined": it was not present before; "left": it is not any more; "changed": its card or its number of
            connections is another.
        present: as it is now; of one that has left, as it was.
    """

    kind: ChangeKind
    key: str
    present: PresentKey


class PresenceDiff(NamedTuple):
    """Changes of one room that were made in one step, as every process that is subscribed to the room gets them.

    Attributes:
        v: number of the diff: one more than that of the diff before. Where a layer has lost the room it goes on with
            a number that is greater than any before.
        total: how many keys are present behind it.
    """

    v: int
    total: int
    changes: Sequence[PresenceChange]


class Reported(NamedTuple):
    """What became of a report.

    Attributes:
        stamp: that of the connections that were reported with stamp 0.
        diff: what has changed by it, and was published; ``v`` is that of the room also where there is no change.
    """

    stamp: int
    diff: PresenceDiff


class PresenceSnapshot(NamedTuple):
    """Who is present in a room, at one moment.

    Attributes:
        v: number of the newest diff that it has.
        total: how many keys are present.
        keys: by key; empty where only the total was asked for.
        recent: how the newest diffs have changed which keys, by their numbers, oldest first and without a hole up to
            ``v``; the first of them may be any. Empty where there was none.
        dead: processes whose lease is over, and that are in it all the same until somebody buries them.
    """

    v: int
    total: int
    keys: Mapping[str, PresentKey]
    recent: Sequence[tuple[int, Mapping[str, ChangeKind]]]
    dead: Sequence[str] = ()


class PresenceBeat(NamedTuple):
    """What a process learns when it renews its lease.

    Attributes:
        was_known: the lease was there. If not, the layer is new to the process, or has lost it, or has buried it: all
            that it has reported may be forgotten, and has to be reported again, under another name.
        dead: other processes whose lease is over, to be buried.
        next_end: seconds until the next lease of another process ends, if that does not renew it; None without one.
    """

    was_known: bool
    dead: Sequence[str]
    next_end: float | None
