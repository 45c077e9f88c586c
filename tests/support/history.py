"""Recorded history of members, rooms and broadcasts, and the checker that decides whether it may have happened.

Times are ticks of one counter, which threads may share: of two events, the one with the smaller tick came first.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["NEVER", "Broadcast", "Call", "Cut", "Heard", "History"]

NEVER = float("inf")


@dataclass
class Call:
    """One ``join()`` or ``leave()`` of a member.

    Attributes:
        returned: when it returned; NEVER if it goes on, was cancelled or has raised.
        failed: when it was cancelled or has raised.
    """

    member: str
    room: str
    called: float
    returned: float = NEVER
    failed: float = NEVER


@dataclass
class Broadcast:
    """One broadcast. The numbers of a sender grow."""

    sender: str
    room: str
    number: int
    called: float
    acknowledged: float = NEVER


@dataclass
class Cut:
    """A time in which what was published may be lost."""

    began: float
    over: float = NEVER


class Heard(NamedTuple):
    """A broadcast that came to a member."""

    member: str
    sender: str
    room: str
    number: int
    at: float


@dataclass
class History:
    """What happened, in ticks."""

    joins: list[Call] = field(default_factory=list)
    leaves: list[Call] = field(default_factory=list)
    broadcasts: list[Broadcast] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    _ticks: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def tick(self) -> int:
        return next(self._ticks)

    def outside(self) -> list[Heard]:
        """What was heard by whom cannot have been in the room.

        A member may be in a room from the call of a join that has not failed, until a ``leave()`` that was called
        later has returned.
        """
        joins, leaves = _by_place(self.joins), _by_place(self.leaves)

        def may_be_in(heard: Heard) -> bool:
            place = heard.member, heard.room
            return any(
                join.called < heard.at < join.failed
                and not any(join.called < leave.called and leave.returned < heard.at for leave in leaves[place])
                for join in joins[place]
            )

        return [heard for heard in self.heard if not may_be_in(heard)]

    def disordered(self) -> list[tuple[Heard, Heard]]:
        """What came twice, or after a later broadcast of its sender to its room: with the one that came before."""
        last: dict[tuple[str, str, str], Heard] = {}
        found = []
        for heard in self.heard:
            key = heard.member, heard.room, heard.sender
            if key in last and last[key].number >= heard.number:
                found.append((last[key], heard))
            last[key] = heard
        return found

    def owed(self, now: float) -> list[tuple[Broadcast, Call]]:
        """Each broadcast that a member must have heard by now, with the join by which it was in.

        The join had returned before the broadcast was made. The broadcast was acknowledged, and then came the proof
        that it should have arrived: the member heard a later one of the same sender in that room; or now, when
        everything has had its time. Until then the member has not begun to leave, and there was no cut.
        """
        leaves, broadcasts = _by_place(self.leaves), defaultdict(list)
        for broadcast in self.broadcasts:
            broadcasts[broadcast.room].append(broadcast)
        heard = defaultdict(list)
        for one in self.heard:
            heard[one.member, one.room, one.sender].append(one)
        found = []
        for join in self.joins:
            left = min(
                [call.called for call in leaves[join.member, join.room] if call.called > join.called] + [NEVER]
            )
            for broadcast in broadcasts[join.room]:
                if not join.returned < broadcast.called < broadcast.acknowledged < min(left, now):
                    continue
                later = heard[join.member, join.room, broadcast.sender]
                proof = min([one.at for one in later if one.number > broadcast.number] + [now])
                if proof < left and not self._is_cut(broadcast.called, proof):
                    found.append((broadcast, join))
        return found

    def missing(self, now: float) -> list[tuple[Broadcast, Call]]:
        """What was owed, and did not come."""
        came = {(heard.member, heard.sender, heard.number) for heard in self.heard}
        owed = self.owed(now)
        return [(cast, join) for cast, join in owed if (join.member, cast.sender, cast.number) not in came]

    def _is_cut(self, begin: float, end: float) -> bool:
        return any(cut.began <= end and begin <= cut.over for cut in self.cuts)


def _by_place(calls: list[Call]) -> defaultdict[tuple[str, str], list[Call]]:
    places = defaultdict(list)
    for call in calls:
        places[call.member, call.room].append(call)
    return places
