"""The roll of one room: what processes have reported of it, put together. The scripts of Redis do the same steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from .presence_reports import (
    ChangeKind,
    PresenceChange,
    PresenceConnection,
    PresenceDiff,
    PresenceReport,
    PresenceSnapshot,
    PresentKey,
    Reported,
)

__all__ = ["EMPTY_SECONDS", "MOST_DIFFS", "MOST_KEYS", "PresenceRoll", "chunks", "joined_reports", "put_together"]

#: For how long it is remembered of a room which diffs it had, when nobody is there any more.
EMPTY_SECONDS = 3600.0

#: Keys that one step takes at most, and so one diff has.
MOST_KEYS = 256

#: Diffs whose keys are remembered.
MOST_DIFFS = 256


class _Person(NamedTuple):
    """A key that is present: since when, in microseconds, and the connections that each process has reported."""

    since: int
    entries: dict[str, tuple[PresenceConnection, ...]]


class PresenceRoll:
    """Who is present in one room, by the reports of all processes.

    Attributes:
        v: of the newest diff; 0 as long as there was none.
    """

    __slots__ = ("_keys", "_people", "_recent", "v")

    def __init__(self) -> None:
        self.v = 0
        self._people: dict[str, _Person] = {}
        #: By process, the keys that it has reported. One whose connections have moved away may still be among them.
        self._keys: dict[str, set[str]] = {}
        self._recent: deque[tuple[int, dict[str, ChangeKind]]] = deque(maxlen=MOST_DIFFS)

    @property
    def total(self) -> int:
        """How many keys are present."""
        return len(self._people)

    @property
    def processes(self) -> set[str]:
        """Those with connections here."""
        return set(chain.from_iterable(person.entries for person in self._people.values()))

    def has(self, process: str) -> bool:
        """Whether a process may have something here."""
        return process in self._keys

    def report(self, process: str, reports: Sequence[PresenceReport], now: int, first_v: int) -> Reported:
        """Replace what a process has reported of keys.

        Args:
            reports: of each key one.
            now: microseconds since the epoch.
            first_v: the number of the first diff.
        """
        before = self._shown(report.key for report in reports)
        for key, connections, _ in reports:
            self._replace(process, key, connections, now)
        return Reported(now, self._compare(before, first_v))

    def _replace(self, process: str, key: str, connections: Sequence[PresenceConnection], now: int) -> None:
        person = self._people.get(key)
        entries = person.entries if person is not None else {}
        known = {one.id for one in entries.get(process, ())}
        # All of them are elsewhere, or were, and who reports it does not know: the end of one there is the end.
        have_moved = not known and key in self._keys.get(process, ())
        reported = [one if one.stamp else one._replace(stamp=now) for one in connections]
        new = [one for one in reported if one.id not in known and not (one.is_held and have_moved)]
        here = known | _take(entries, process, new)
        kept = [one for one in reported if one.id in here]
        if kept:
            entries[process] = tuple(kept)
            if not all(one.is_held for one in kept):
                _drop_replaced(entries, process)
            self._keys.setdefault(process, set()).add(key)
        else:
            entries.pop(process, None)
            self._forget_key(process, key)
        if not entries:
            self._people.pop(key, None)
        elif person is None:
            self._people[key] = _Person(min(now, *(one.stamp for one in kept)), entries)

    def keys_of(self, process: str) -> list[str]:
        """Some of the keys that a process has reported, at most ``MOST_KEYS``."""
        keys = iter(self._keys.get(process, ()))
        return [key for key, _ in zip(keys, range(MOST_KEYS), strict=False)]

    def take_back(self, process: str, keys: Sequence[str], first_v: int) -> PresenceDiff:
        """Take back what a process has reported of keys."""
        before = self._shown(keys)
        for key in keys:
            self._replace(process, key, (), 0)
        return self._compare(before, first_v)

    def _forget_key(self, process: str, key: str) -> None:
        keys = self._keys.get(process)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._keys[process]

    def _shown(self, keys: Iterable[str]) -> dict[str, PresentKey | None]:
        return {key: self._present(key) for key in keys}

    def _present(self, key: str, without: Collection[str] = ()) -> PresentKey | None:
        person = self._people.get(key)
        entries = {} if person is None else person.entries
        if without:
            entries = {process: ones for process, ones in entries.items() if process not in without}
        if person is None or not entries:
            return None
        newest, connections = put_together(chain.from_iterable(entries.values()))
        return PresentKey(newest.meta, connections, person.since / 1e6)

    def _compare(self, before: dict[str, PresentKey | None], first_v: int) -> PresenceDiff:
        changes = []
        for key, was in before.items():
            now = self._present(key)
            if now is None:
                if was is not None:
                    changes.append(PresenceChange("left", key, was))
            elif was is None:
                changes.append(PresenceChange("joined", key, now))
            elif was != now:
                changes.append(PresenceChange("changed", key, now))
        if changes:
            self.v = self.v + 1 if self.v else first_v
            if len(changes) > MOST_KEYS:
                self._recent.clear()
            else:
                self._recent.append((self.v, {change.key: change.kind for change in changes}))
        return PresenceDiff(self.v, len(self._people), changes)

    def snapshot(
        self, dead: Sequence[str] = (), *, counts_only: bool = False, without: Collection[str] = ()
    ) -> PresenceSnapshot:
        """Who is present now, or only how many; without what some processes have reported."""
        if counts_only and not without:
            return PresenceSnapshot(self.v, len(self._people), {}, (), dead)
        found = {key: self._present(key, without) for key in self._people}
        keys = {key: present for key, present in found.items() if present is not None}
        return PresenceSnapshot(self.v, len(keys), keys, tuple(self._recent), dead)


def _take(
    entries: dict[str, tuple[PresenceConnection, ...]], process: str, new: Iterable[PresenceConnection]
) -> set[str]:
    """Take connections away from the processes that had them; the ids of all but those whose card is newer there."""
    stamps = {one.id: one.stamp for one in new}
    others = [(other, ones) for other, ones in entries.items() if other != process]
    # They have moved there, which who reports them does not know.
    newer = {had.id for _, ones in others for had in ones if had.stamp > stamps.get(had.id, had.stamp)}
    taken = stamps.keys() - newer
    for other, ones in others:
        left = tuple(had for had in ones if had.id not in taken)
        if not left:
            del entries[other]
        elif len(left) < len(ones):
            entries[other] = left
    return taken


def _drop_replaced(entries: dict[str, tuple[PresenceConnection, ...]], process: str) -> None:
    """Forget those that others hold than a process where some are, if as many are: they are back, by other names."""
    ids: tuple[set[str], set[str]] = set(), set()
    for one in chain.from_iterable(entries.values()):
        ids[one.is_held].add(one.id)
    if not 0 < len(ids[True]) <= len(ids[False]):
        return
    for other, ones in list(entries.items()):
        left = tuple(one for one in ones if not one.is_held)
        if other == process:
            continue
        if left:
            entries[other] = left
        else:
            del entries[other]


def put_together(connections: Iterable[PresenceConnection]) -> tuple[PresenceConnection, int]:
    """The connection whose card counts, and how many there are.

    Args:
        connections: of one key, of all processes; at least one.
    """
    ids: tuple[set[str], set[str]] = set(), set()
    newest: PresenceConnection | None = None
    for one in connections:
        ids[one.is_held].add(one.id)
        if newest is None or (not one.is_held, one.stamp) >= (not newest.is_held, newest.stamp):
            newest = one
    assert newest is not None
    return newest, max(map(len, ids))


def chunks(reports: Sequence[PresenceReport]) -> Iterator[Sequence[PresenceReport]]:
    """Reports in as many parts as steps are needed, one at least; of several for one key, the last counts."""
    reports = list({report.key: report for report in reports}.values())
    for start in range(0, len(reports) or 1, MOST_KEYS):
        yield reports[start : start + MOST_KEYS]


def joined_reports(parts: Sequence[Reported]) -> Reported:
    """What became of a report that was taken in several steps."""
    if len(parts) == 1:
        return parts[0]
    last = parts[-1].diff
    changes = list(chain.from_iterable(part.diff.changes for part in parts))
    return Reported(parts[0].stamp, PresenceDiff(last.v, last.total, changes))
