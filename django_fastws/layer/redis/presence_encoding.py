"""Presence in Redis: reports as its scripts take them, and what they answer and publish.

Cards are opaque for the scripts: they are encoded, and encrypted, as what the layer publishes. As that may be another
text for the same card each time, a digest beside it says whether it is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import Any

import msgpack

from ..._core.presence_leases import PresenceLeases, ProcessLease
from ..._core.presence_reports import (
    ChangeKind,
    PresenceChange,
    PresenceConnection,
    PresenceDiff,
    PresenceReport,
    PresentKey,
    Reported,
)
from ..._core.presence_roll import put_together
from .presence_scripts import PRESENCE_MARK

__all__ = [
    "PresenceCards",
    "decode_diff",
    "decode_key",
    "decode_leases",
    "decode_people",
    "decode_recent",
    "decode_reported",
    "encode_key",
]

_KINDS: dict[int, ChangeKind] = {1: "joined", 2: "left", 3: "changed"}
_NO_CARD = b"null"


def encode_key(text: str) -> bytes:
    """Any text as Redis has it."""
    return text.encode("utf-8", "surrogatepass")


def decode_key(data: bytes) -> str:
    """The text that ``encode_key`` was given."""
    return data.decode("utf-8", "surrogatepass")


class PresenceCards:
    """How cards are encoded.

    Args:
        serialize, deserialize: the layer's.
        secrets: the keys with which the layer encrypts, if it does.
        failed: called with what is raised for a card that cannot be decoded; it is as none, then.
    """

    def __init__(
        self,
        serialize: Callable[[Any], bytes],
        deserialize: Callable[[bytes], Any],
        failed: Callable[[Exception], None],
        secrets: Sequence[str | bytes] = (),
    ) -> None:
        self._serialize, self._deserialize, self._failed = serialize, deserialize, failed
        first = secrets[0] if secrets else b""
        # Whoever can read Redis and not what is encrypted there cannot guess cards by it.
        self._digest_key = hashlib.sha256(first.encode() if isinstance(first, str) else first).digest()

    def encode_reports(self, reports: Sequence[PresenceReport]) -> bytes:
        """Reports as the script takes them."""
        packed = [
            (encode_key(report.key), report.is_user, [self._connection(one) for one in report.connections])
            for report in reports
        ]
        return bytes(msgpack.packb(packed, use_bin_type=False))

    def _connection(self, one: PresenceConnection) -> tuple[Any, ...]:
        digest = hashlib.blake2b(one.meta, key=self._digest_key, digest_size=8).digest()
        return encode_key(one.id), one.stamp, digest, self._serialize({"card": one.meta.decode()}), one.is_held

    def decode(self, data: bytes) -> bytes:
        """A card, as JSON."""
        try:
            card = self._deserialize(data)["card"]
            return bytes(card.encode())
        except Exception as error:  # with other keys, or in another format
            self._failed(error)
            return _NO_CARD


def decode_reported(reply: bytes, cards: PresenceCards) -> tuple[Reported, int]:
    """What the scripts answer that change a room, and how many keys of the process are left there."""
    stamp, v, total, left, changes = msgpack.unpackb(reply, raw=True)
    return Reported(stamp, _diff(v, total, changes or [], cards)), left


def decode_diff(data: bytes, cards: PresenceCards) -> PresenceDiff:
    """What the scripts publish.

    Raises:
        ValueError: it is none; anybody who may publish can send anything.
    """
    try:
        v, total, changes, *_ = msgpack.unpackb(data[len(PRESENCE_MARK) :], raw=True)  # another release may say more
        return _diff(v, total, changes, cards)
    except Exception as error:
        raise ValueError(f"a diff of presence that is none: {type(error).__name__}") from error


def _diff(v: int, total: int, changes: list[Any], cards: PresenceCards) -> PresenceDiff:
    made = []
    for kind, key, card, connections, since, *_ in changes:
        if not (type(connections) is int and connections > 0 and type(since) is int and type(card) is bytes):
            raise TypeError("a change")
        present = PresentKey(cards.decode(card), connections, since / 1e6)
        made.append(PresenceChange(_KINDS[kind], decode_key(key), present))
    if not (type(v) is int and v >= 0 and type(total) is int and total >= 0):
        raise TypeError("numbers")
    return PresenceDiff(v, total, made)


def decode_people(
    people: list[bytes],
    cards: PresenceCards,
    keys: dict[str, PresentKey],
    processes: set[bytes],
    without: Collection[bytes] = (),
) -> None:
    """Decode some of those who are present in a room.

    Args:
        people: names and values by turns.
        keys: gets who is present.
        processes: gets those that say so.
        without: processes that are left out.
    """
    for name, raw in zip(people[::2], people[1::2], strict=True):
        since, entries = msgpack.unpackb(raw, raw=True)
        if without:
            entries = [entry for entry in entries if entry[0] not in without]
            if not entries:
                continue
        if len(entries) == 1 and len(entries[0][1]) == 1:  # as most are
            process, ((_, _, _, card, _),) = entries[0]
            processes.add(process)
            connections = 1
        else:
            processes.update(process for process, _ in entries)
            newest, connections = put_together(
                PresenceConnection(id, stamp, card, held)
                for id, stamp, _, card, held in chain.from_iterable(ones for _, ones in entries)
            )
            card = newest.meta
        keys[decode_key(name)] = PresentKey(cards.decode(card), connections, since / 1e6)


def decode_recent(v: int, packed: list[bytes]) -> tuple[tuple[int, dict[str, ChangeKind]], ...]:
    """How the newest diffs have changed which keys, without a hole up to the newest.

    Args:
        v: of that.
        packed: what is remembered, in any order.
    """
    by_v = dict(msgpack.unpackb(one, raw=True) for one in packed)
    recent: list[tuple[int, dict[str, ChangeKind]]] = []
    while v in by_v:
        recent.append((v, {decode_key(key): _KINDS[kind] for kind, key in by_v[v]}))
        v -= 1
    return tuple(reversed(recent))


def decode_leases(reply: list[Any]) -> tuple[PresenceLeases, int]:
    """All leases, and what time it is, in milliseconds."""
    fields = {decode_key(name): value for name, value in zip(reply[1][::2], reply[1][1::2], strict=True)}
    leases = {}
    for name in [name for name in fields if name.startswith("p:")]:
        end, renewed, _, _, mark = fields.pop(name).decode().split(" ")
        leases[name[2:]] = ProcessLease(int(end), int(renewed), mark)
    times = {name: int(fields.get(name, 0)) for name in ("beat", "amnesty", "lease", "began")}
    found = PresenceLeases(
        leases,
        beat_at=times["beat"],
        amnesty=times["amnesty"],
        seconds_ms=times["lease"],
        began=times["began"],
    )
    return found, int(reply[0])
