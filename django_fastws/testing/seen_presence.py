"""SeenPresence: who is present in a room, as one client of a test is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .mailbox import Mailbox

__all__ = ["PresentOne", "ReceivedPresence", "SeenPresence"]


class PresentOne(NamedTuple):
    """One who is present, as a client is told.

    Attributes:
        meta: its card; None without one.
        connections: how many it has in the room.
    """

    meta: Any
    connections: int


@dataclass(frozen=True)
class ReceivedPresence:
    """Change of who is present, as a client of a test has received it.

    Attributes:
        joined: who has come, by key. What a client has known already is no change.
        left: who has gone, as they were.
        changed: whose card or number of connections is another.
        count: how many are present behind it; all that is known in a room that only counts.
    """

    joined: Mapping[str, PresentOne] = field(default_factory=dict)
    left: Mapping[str, PresentOne] = field(default_factory=dict)
    changed: Mapping[str, PresentOne] = field(default_factory=dict)
    count: int = 0

    def __repr__(self) -> str:
        kinds = (("joined", self.joined), ("left", self.left), ("changed", self.changed))
        return " ".join(["presence", *(f"{name} {dict(keys)!r}" for name, keys in kinds if keys), f"of {self.count}"])


class SeenPresence:
    """Who is present in a room, kept up to date by what a client receives.

    Attributes:
        people: by key.
        count: how many; None in a room without presence.
        version: of the newest change; None where there is none.
        changes: those that were not taken yet.
    """

    def __init__(self) -> None:
        self.people: dict[str, PresentOne] = {}
        self.count: int | None = None
        self.version: int | None = None
        self.changes: Mailbox[ReceivedPresence] = Mailbox()

    def joined(self, ok: Mapping[str, Any]) -> None:
        """Take the answer to a join: that is no change."""
        people = self._people_of(ok)
        if people is None:
            self.count = ok.get("count")
        else:
            self.people, self.count = people, len(people)

    def receive(self, frame: Mapping[str, Any]) -> bool:
        """Take a frame; returns whether it is one of presence."""
        if "count" in frame:
            self.count = frame["count"]
            self.changes.put(ReceivedPresence(count=frame["count"]))
            return True
        before, people = self.people, self._people_of(frame)
        if people is None:
            return False
        self.people, self.count = people, len(people)
        joined = {key: one for key, one in people.items() if key not in before}
        left = {key: one for key, one in before.items() if key not in people}
        changed = {key: one for key, one in people.items() if before.get(key, one) != one}
        if joined or left or changed:
            self.changes.put(ReceivedPresence(joined, left, changed, len(people)))
        return True

    def _people_of(self, told: Mapping[str, Any]) -> dict[str, PresentOne] | None:
        """Who is present after this; None if it tells nothing of that."""
        if "present" in told:
            self.version = told["v"]
            return _decoded(told["present"])
        if "presence" not in told:
            return None
        if self.version is not None and told["v"] <= self.version:
            return self.people  # it is known
        self.version, changes = told["v"], told["presence"]
        people = {key: one for key, one in self.people.items() if key not in changes["left"]}
        return people | _decoded(changes["joined"]) | _decoded(changes["changed"])


def _decoded(people: Mapping[str, Any]) -> dict[str, PresentOne]:
    return {key: PresentOne(one["meta"], one["connections"]) for key, one in people.items()}
