"""Presence in Redis: what its calls send, step by step, and what they make of the replies; without any I/O.

Each call is a generator of steps. A step is several commands, each with the name by which its Redis is found; they
are sent at once, and what is sent back into the generator are their replies, or the errors instead of them. One
without commands lets others have a turn. So one description does for event loops and for threads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from itertools import chain, count
from typing import Any, TypeVar

import msgpack

from ..._core.groups import group_name
from ..._core.presence_reports import (
    PresenceBeat,
    PresenceDiff,
    PresenceReport,
    PresenceSnapshot,
    PresentKey,
    Reported,
)
from ..._core.presence_roll import MOST_KEYS, chunks, joined_reports
from ..._core.resp import command
from ...exceptions import WebSocketConnectionError
from ..errors import done_instead
from ..presence_store import TRIAL
from .history_commands import milliseconds
from .presence_encoding import (
    PresenceCards,
    decode_key,
    decode_leases,
    decode_people,
    decode_recent,
    decode_reported,
    encode_key,
)
from .presence_lease_scripts import (
    BEAT,
    BEGIN_BURIAL,
    END_BURIAL,
    EXPECT_BURIAL,
    FORGET,
    LOSE_USER,
    READ_LEASES,
    REPORT_USER,
    REST,
)
from .presence_scripts import READ_ROOM, REPORT, TAKE_BACK
from .scripts import Script

__all__ = ["PresenceCommands", "Step", "Steps"]

Step = Sequence[tuple[str, bytes]]
"""Commands, each with the name by which its Redis is found."""

T = TypeVar("T")
Steps = Generator[Step, list[Any], T]

_ROOMS_AT_ONCE = 16  # that a burial looks at
_SLICE = 500  # names and values that are decoded without giving others a turn
_LEASES = "leases"  # the hash tag of the key of all leases


class PresenceCommands:
    """Commands of presence for one layer, and what has to be remembered between them; any thread may use it.

    Args:
        prefix: of the layer.
        channel_of: the channel of a group, which is also the name by which the Redis of its room is found.
        cards: how cards are encoded.
    """

    def __init__(self, prefix: str, channel_of: Callable[[str], str], cards: PresenceCards) -> None:
        self._prefix, self._channel_of, self._cards = prefix, channel_of, cards
        # Greater than any that this process may have used for another layer.
        self._numbers = count(time.time_ns() // 1000)
        #: Of the renewals that were not answered: the next one knows by it what it has done.
        self._tokens: dict[str, bytes] = {}
        #: Keys with what scripts have answered in trials, which are to leave nothing behind.
        self._done_in_trials: dict[str, list[bytes]] = {}
        #: Until when the lease of a process cannot be over, by two clocks: one of them stops while a machine sleeps.
        self._safe: dict[str, tuple[float, float]] = {}

    def _key(self, *parts: str) -> bytes:
        return encode_key(":".join((self._prefix, "presence", *parts)))

    def _of_process(self, process: str) -> tuple[str, bytes]:
        tag = group_name(process)
        return tag, self._key("process", f"{{{tag}}}")

    def _of_user(self, user: str) -> tuple[str, bytes]:
        tag = group_name(user)
        return tag, self._key("user", f"{{{tag}}}")

    def _of_leases(self, script: Script, *arguments: bytes) -> tuple[str, bytes]:
        key = self._key(f"{{{_LEASES}}}")
        return _LEASES, command(b"EVALSHA", script.sha1, b"1", key, *arguments)

    def _of_room(self, script: Script, room: str, process: str, *arguments: bytes) -> tuple[str, bytes]:
        """A script that changes a room."""
        group = group_name(room)
        channel, tag = self._channel_of(group), f"{{{group}}}"
        keys = [self._key(tag, name) for name in ("people", "diffs", f"of:{process}", f"done:{os.urandom(8).hex()}")]
        if process.startswith(TRIAL):
            self._done_in_trials.setdefault(process, []).append(keys[-1])
        arguments = (encode_key(channel), encode_key(process), *arguments)
        return channel, command(b"EVALSHA", script.sha1, b"4", *keys, *arguments)

    # Rooms

    def forget(self, room: str, process: str) -> Steps[None]:
        """See ``PresenceStore.aforget``."""
        group = group_name(room)
        names = [self._key(f"{{{group}}}", name) for name in ("people", "diffs", f"of:{process}")]
        names += self._done_in_trials.pop(process, [])
        tag, rooms = self._of_process(process)
        _checked(
            (
                yield [
                    (self._channel_of(group), command(b"DEL", *names)),
                    (tag, command(b"DEL", rooms)),
                    self._of_leases(FORGET, encode_key(process)),
                ]
            )
        )

    def report(self, room: str, process: str, reports: Sequence[PresenceReport]) -> Steps[Reported]:
        """See ``PresenceStore.areport``."""
        tag, rooms = self._of_process(process)
        note = (tag, command(b"SADD", rooms, encode_key(room)))
        _checked((yield [note]))
        parts, stamp, left = [], b"", 1
        for chunk in chunks(reports):
            arguments = (b"%d" % next(self._numbers), stamp, self._cards.encode_reports(chunk))
            (reply,) = _checked((yield [self._of_room(REPORT, room, process, *arguments)]))
            part, left = decode_reported(reply, self._cards)
            parts.append(part)
            stamp = b"%d" % part.stamp
        if not self._is_safe(process):
            # Others may have buried it meanwhile. Then they have to do so again, and find the room.
            _checked((yield [note]))
            _checked((yield [self._of_leases(EXPECT_BURIAL, encode_key(process))]))
        elif not left:
            _checked((yield [(tag, command(b"SREM", rooms, encode_key(room)))]))
        return joined_reports(parts)

    def read(self, room: str, *, counts_only: bool, without: Collection[str] = ()) -> Steps[PresenceSnapshot]:
        """See ``PresenceStore.aread``."""
        counts_only, left_out = counts_only and not without, frozenset(map(encode_key, without))
        group = group_name(room)
        names = [self._key(f"{{{group}}}", name) for name in ("people", "diffs")]
        reading = command(b"EVALSHA", READ_ROOM.sha1, b"2", *names, b"1" if counts_only else b"")
        found, leases_reply = _checked((yield [(self._channel_of(group), reading), self._of_leases(READ_LEASES)]))
        v, total, people, packed = found
        keys: dict[str, PresentKey] = {}
        processes: set[bytes] = set()
        for start in range(0, len(people), _SLICE):
            decode_people(people[start : start + _SLICE], self._cards, keys, processes, left_out)
            yield []
        leases, now = decode_leases(leases_reply)
        dead = leases.over(leases.leases if counts_only else map(decode_key, processes), now)
        total = len(keys) if without else total
        return PresenceSnapshot(int(v), total, keys, decode_recent(int(v), packed), dead)

    # Leases

    def _is_safe(self, process: str) -> bool:
        until = self._safe.get(process)
        return until is not None and time.monotonic() < until[0] and time.time() < until[1]

    def beat(self, process: str, seconds: float) -> Steps[PresenceBeat]:
        """See ``PresenceStore.abeat``."""
        token = self._tokens.setdefault(process, os.urandom(8).hex().encode())
        safe = time.monotonic() + seconds, time.time() + seconds
        arguments = (encode_key(process), milliseconds(seconds), token)
        ((was_known, is_renewed, next_end, dead),) = _checked((yield [self._of_leases(BEAT, *arguments)]))
        self._tokens.pop(process, None)
        for other in [name for name in list(self._safe) if not self._is_safe(name)]:
            self._safe.pop(other, None)  # it was given up: a process that has nobody there begins anew
        if is_renewed:
            self._safe[process] = safe
        else:
            self._safe.pop(process, None)
        return PresenceBeat(
            bool(was_known), sorted(map(decode_key, dead)), int(next_end) / 1000 if next_end else None
        )

    def rest(self, process: str, seconds: float) -> Steps[None]:
        """See ``PresenceStore.arest``."""
        self._safe.pop(process, None)
        delay = b"%d" % max(0, round(seconds * 1000))
        _checked((yield [self._of_leases(REST, encode_key(process), delay)]))

    # Burials

    def begin_burial(self, process: str) -> Steps[int | None]:
        """Mark a dead process as one that is buried.

        Returns:
            When it had renewed its lease last, in milliseconds; None where it is not dead.
        """
        (renewed,) = _checked((yield [self._of_leases(BEGIN_BURIAL, encode_key(process))]))
        return None if renewed is None else int(renewed)

    def find_reported(self, process: str, renewed: int) -> Steps[list[tuple[str, list[bytes]]] | None]:
        """Find some of what a dead process has reported, and forget that its users are present there.

        Users come first: whoever takes over from one that has stopped in between finds them by what is left in rooms.

        Args:
            renewed: as ``begin_burial`` has it.
        Returns:
            Names of rooms, with what has to be given to ``take_back``; None where nothing is left, and the lease is
            forgotten.
        """
        tag, key = self._of_process(process)
        some = (tag, command(b"SRANDMEMBER", key, b"%d" % _ROOMS_AT_ONCE))
        (names,) = _checked((yield [some]))
        if not names:
            _checked((yield [self._of_leases(END_BURIAL, encode_key(process))]))
            # Who has noted a room before that is found here; after it, the process has a lease again, which is over.
            (names,) = _checked((yield [some]))
            if not names:
                return None
        rooms = [decode_key(name) for name in names]
        sets = _checked((yield [self._members(room, process) for room in rooms]))
        if users := {member[1:] for member in chain.from_iterable(sets) if member.startswith(b"u")}:
            _checked((yield [self._lose(decode_key(user), process, renewed) for user in users]))
        if empty := [name for name, members in zip(names, sets, strict=True) if not members]:
            _checked((yield [(tag, command(b"SREM", key, *empty))]))
        return [(room, members) for room, members in zip(rooms, sets, strict=True) if members]

    def _members(self, room: str, process: str) -> tuple[str, bytes]:
        group = group_name(room)
        key = self._key(f"{{{group}}}", f"of:{process}")
        return self._channel_of(group), command(b"SRANDMEMBER", key, b"%d" % MOST_KEYS)

    def _lose(self, user: str, process: str, renewed: int) -> tuple[str, bytes]:
        tag, key = self._of_user(user)
        return tag, command(b"EVALSHA", LOSE_USER.sha1, b"1", key, encode_key(process), b"%d" % renewed)

    def take_back(self, room: str, process: str, members: list[bytes]) -> Steps[PresenceDiff]:
        """Take back some of what a process has reported in a room, and publish what changes."""
        packed = msgpack.packb(members, use_bin_type=False)
        (reply,) = _checked((yield [self._of_room(TAKE_BACK, room, process, packed)]))
        return decode_reported(reply, self._cards)[0].diff

    # Users

    def report_users(self, process: str, users: Mapping[str, float | None]) -> Steps[None]:
        """See ``PresenceStore.areport_users``."""
        step = []
        for user, ago in users.items():
            tag, key = self._of_user(user)
            since = b"" if ago is None else b"%d" % max(0, round(ago * 1000))
            step.append((tag, command(b"EVALSHA", REPORT_USER.sha1, b"1", key, encode_key(process), since)))
        if step:
            _checked((yield step))

    def online(self, users: Sequence[str]) -> Steps[set[str]]:
        """See ``PresenceStore.aonline``."""
        users = list(dict.fromkeys(users))
        if not users:
            return set()
        step = [self._of_leases(READ_LEASES)]
        for user in users:
            tag, key = self._of_user(user)
            step.append((tag, command(b"HKEYS", key)))
        reply, *found = _checked((yield step))
        leases, now = decode_leases(reply)
        alive = {b"p:" + encode_key(process) for process in leases.leases if leases.is_alive(process, now)}
        return {user for user, fields in zip(users, found, strict=True) if not alive.isdisjoint(fields)}

    def last_seen(self, user: str) -> Steps[float | None]:
        """See ``PresenceStore.alast_seen``."""
        tag, key = self._of_user(user)
        reply, fields = _checked((yield [self._of_leases(READ_LEASES), (tag, command(b"HGETALL", key))]))
        leases, now = decode_leases(reply)
        if fields and not isinstance(fields[0], tuple):  # RESP 3 has pairs
            fields = list(zip(fields[::2], fields[1::2], strict=True))
        times = {decode_key(name): int(value) / 1000 for name, value in fields}
        last = times.pop("last", None)
        return leases.last_seen({name[2:]: at for name, at in times.items()}, last, now / 1000)


def _checked(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, WebSocketConnectionError):
            raise done_instead(reply, "keep or tell who is present") from reply
    return replies
