"""Rows of histories in the database: stored in the caller's transaction, read, trimmed and pruned.

The counter of a room is changed first in each transaction that stores something, which locks its row until the end
of the transaction: so offsets are in the order of commits, and whatever is rolled back gives its offset back. On
SQLite, that change takes the lock of the whole database.

Reading writes nothing, and waits for no transaction. So the epoch of a room that has no row yet can be told before
there is one: it is made of a seed, one row of the table, which is another one as soon as rows of rooms are removed.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from django.db import Error as DatabaseError
from django.db import connections, router, transaction
from django.db.models import F

from .._core.envelope import Envelope, decode
from .._core.history import History
from .._core.history_page import HistoryPage, PageQuery, StoredEnvelope
from .._core.positions import Position
from ..clock import process_clock

if TYPE_CHECKING:
    from ..models import HistoryEvent, HistoryKey, HistoryRoom

__all__ = [
    "Pruned",
    "alias_of_histories",
    "begin_anew",
    "clear",
    "forget",
    "missing_tables",
    "prune",
    "read",
    "rooms_with_rows",
    "store",
    "tops",
]

_EVERY = 16  # offsets, after which a writer looks for what is over a bound
_AT_ONCE = 64  # rows that a writer removes at most, which is done under the lock of the room
_PRUNED_AT_ONCE = 1000
_SEED = "seed"  # the group of its row; those of rooms begin with another word
_MOST_GROUPS = 10_000  # that one query asks for
_ESCAPED = "json:"  # before the name of a room that no column takes as it is


def _models() -> tuple[type[HistoryRoom], type[HistoryEvent], type[HistoryKey]]:
    # Not before apps are loaded: whoever imports the package imports this.
    from ..models import HistoryEvent, HistoryKey, HistoryRoom

    return HistoryRoom, HistoryEvent, HistoryKey


def _rooms(alias: str) -> Any:
    return _models()[0].objects.using(alias)


def _events(alias: str) -> Any:
    return _models()[1].objects.using(alias)


def _keys(alias: str) -> Any:
    return _models()[2].objects.using(alias)


def alias_of_histories() -> str:
    """The database of histories, which routers name; also for reading, for a replica is behind."""
    return str(router.db_for_write(_models()[0]))


def _now_ms() -> int:
    return round(process_clock.time() * 1000)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _new_epoch() -> str:
    return uuid.uuid4().hex[:12]


def _first_epoch(seed: str, group: str) -> str:
    """The epoch of a room that has no row."""
    return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()[:12]


def _seed(alias: str) -> str:
    """Of the epochs of rooms that have no row; a migration makes it, or else whoever needs it first."""
    while (room := _row(alias, _SEED)) is None:
        _insert(alias, _SEED, _SEED, _new_epoch(), 0)
    return room.epoch


# Storing


def store(alias: str, name: str, history: History, envelope: Envelope) -> tuple[Position, bool]:
    """Store an envelope, in a transaction that is open.

    Returns:
        Its position, and whether it is new: False where its idempotency key was used before.
    """
    group, key, now = envelope.room, envelope.idempotency_key, _now_ms()
    data = orjson.dumps(envelope.encode())
    room = _counted(alias, group, name, 1, len(data), now)
    position = Position(room.epoch, room.offset)
    if key is not None:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        former = _keys(alias).filter(room_id=room.id, digest=digest)
        found = former.filter(expires_ms__gt=now).values_list("position", flat=True).first()
        had = None if found is None else Position.parse(found)
        if had is not None:
            _rooms(alias).filter(id=room.id).update(offset=F("offset") - 1, size=F("size") - len(data))
            return had, False
        former.delete()
        expires = now + _milliseconds(history.key_seconds)
        _keys(alias).create(room_id=room.id, digest=digest, position=str(position), expires_ms=expires)
    _events(alias).create(room_id=room.id, offset=room.offset, stored_ms=now, size=len(data), data=data)
    if room.size > history.bytes or room.offset % _EVERY == 0:
        _trim(alias, room, history, now)
    return position, True


class _Row(NamedTuple):
    """Row of a room."""

    id: int
    epoch: str
    offset: int
    size: int


def _row(alias: str, group: str) -> _Row | None:
    found = _rooms(alias).filter(group=group).values_list("id", "epoch", "offset", "size").first()
    return None if found is None else _Row(*found)


def _counted(alias: str, group: str, name: str, count: int, size: int, now: int) -> _Row:
    """Add to the counter of a room, which locks it; the row is made where there is none."""
    while True:
        changed = _rooms(alias).filter(group=group)
        if changed.update(offset=F("offset") + count, size=F("size") + size, changed_ms=now):
            room = _row(alias, group)
            assert room is not None
            return room
        _insert(alias, group, name, _first_epoch(_seed(alias), group), now)


def _name_text(name: str) -> str:
    """A room's name as a column takes it: databases refuse NUL, and half of a surrogate pair."""
    is_plain = name.isprintable() and not name.startswith(_ESCAPED)
    return name if is_plain else _ESCAPED + json.dumps(name)


def _name_of(text: str) -> str:
    """The name that ``_name_text`` has made a text of."""
    return str(json.loads(text.removeprefix(_ESCAPED))) if text.startswith(_ESCAPED) else text


def _insert(alias: str, group: str, name: str, epoch: str, now: int) -> None:
    about = {"name": _name_text(name), "epoch": epoch, "offset": 0, "size": 0, "changed_ms": now}
    # Who comes second waits for the first, and then does nothing.
    if connections[alias].features.supports_ignore_conflicts:
        _rooms(alias).bulk_create([_models()[0](group=group, **about)], ignore_conflicts=True)
    else:
        _rooms(alias).get_or_create(group=group, defaults=about)


def _trim(alias: str, room: _Row, history: History, now: int) -> None:
    """Remove the oldest that is over a bound, a bounded number of rows; the event that was just stored stays."""
    events = _events(alias).filter(room_id=room.id)
    oldest = list(events.order_by("offset").values_list("offset", "size", "stored_ms")[:_AT_ONCE])
    cut, size = _cut(oldest, room.offset, room.size, history, now)
    if cut:
        events.filter(offset__lte=cut).delete()
        _rooms(alias).filter(id=room.id).update(size=F("size") - size)
    over = _keys(alias).filter(room_id=room.id, expires_ms__lte=now).order_by("expires_ms")
    if ids := list(over.values_list("id", flat=True)[:_AT_ONCE]):
        _keys(alias).filter(id__in=ids).delete()


def _cut(oldest: Sequence[tuple[int, int, int]], top: int, size: int, history: History, now: int) -> tuple[int, int]:
    """Up to which offset events are over a bound, and their bytes. The newest may be as big as it is."""
    least, expired = top - history.messages, now - _milliseconds(history.seconds)
    cut = removed = 0
    for offset, bytes_, stored_ms in oldest:
        is_over = offset <= least or size - removed > history.bytes or stored_ms < expired
        if not is_over or (offset == top and stored_ms >= expired):
            break
        cut, removed = offset, removed + bytes_
    return cut, removed


# Reading


def read(
    alias: str, group: str, history: History, query: PageQuery, failed: Callable[[Exception], None]
) -> HistoryPage:
    """Read a part of a room's history, as it is at one moment.

    Args:
        failed: called with what is raised for an event that cannot be decoded; it is left out.
    """
    while True:
        room = _row(alias, group)
        if room is None:
            return HistoryPage(_first_epoch(_seed(alias), group), 0, [])
        if query.limit == 0 or (query.after is not None and query.after >= room.offset):
            return HistoryPage(room.epoch, room.offset, [])
        rows = _read_rows(alias, room, history, query)
        if not rows:  # what the room had before is not kept any more
            return HistoryPage(room.epoch, room.offset, [])
        epoch, top = rows[0][3:]
        if epoch == room.epoch:  # else it was cleared between the two queries
            break
    stored = []
    for offset, stored_ms, data, *_ in rows:
        try:
            envelope = decode(orjson.loads(bytes(data)), Position(epoch, offset))
        except Exception as error:
            failed(error)
            continue
        if envelope is not None:
            stored.append(StoredEnvelope(offset, stored_ms / 1000, envelope))
    return HistoryPage(epoch, top, stored)


def _read_rows(alias: str, room: _Row, history: History, query: PageQuery) -> list[tuple[int, int, Any, str, int]]:
    """The events of a page, the oldest first, each with epoch and top, which are of the same moment."""
    after, before, limit, most_bytes = query
    least, oldest = max(after or 0, room.offset - history.messages), _now_ms() - _milliseconds(history.seconds)
    events = _events(alias).filter(room_id=room.id, offset__gt=least, stored_ms__gte=oldest)
    if before is not None:
        events = events.filter(offset__lt=before)
    events = events.order_by("offset" if after is not None else "-offset")
    if room.size > most_bytes:
        size = 0
        for count, one in enumerate(events.values_list("size", flat=True)[:limit]):
            size += one
            if size > most_bytes and count:
                limit = count
                break
    rows = list(events.values_list("offset", "stored_ms", "data", "room__epoch", "room__offset")[:limit])
    if after is None:
        rows.reverse()
    return rows


def tops(alias: str, groups: Sequence[str]) -> list[tuple[str, int]]:
    """Epoch and newest offset of rooms, in one query."""
    most = min(connections[alias].features.max_query_params or _MOST_GROUPS, _MOST_GROUPS) - 1
    found: list[tuple[str, int]] = []
    for at in range(0, len(groups), most):
        some = groups[at : at + most]
        rows = {
            group: (epoch, offset)
            for group, epoch, offset in _rooms(alias)
            .filter(group__in=[_SEED, *some])
            .values_list("group", "epoch", "offset")
        }
        seed = rows[_SEED][0] if _SEED in rows else _seed(alias)
        found += [rows.get(group) or (_first_epoch(seed, group), 0) for group in some]
    return found


# Forgetting


def clear(alias: str, group: str, name: str) -> None:
    """Forget a room's events, and begin another epoch, in a transaction that is open."""
    room = _counted(alias, group, name, 0, 0, _now_ms())
    _rooms(alias).filter(id=room.id).update(epoch=_new_epoch(), offset=0, size=0)
    _events(alias).filter(room_id=room.id).delete()


def missing_tables(alias: str) -> list[str]:
    """The tables that a database has not; none where it cannot be reached."""
    try:
        there = connections[alias].introspection.table_names()
    except DatabaseError:
        return []
    return [model._meta.db_table for model in _models() if model._meta.db_table not in there]


def rooms_with_rows(alias: str) -> list[tuple[int, str]]:
    """The row and the name of every room that has one."""
    rows = _rooms(alias).exclude(group=_SEED).order_by("id").values_list("id", "name")
    return [(room_id, _name_of(text)) for room_id, text in rows]


def begin_anew(alias: str) -> int:
    """Give each room another epoch, where it goes on; returns how many there are."""
    found = list(_rooms(alias).order_by("id").values_list("id", "group"))
    for room_id, _ in found:
        _rooms(alias).filter(id=room_id).update(epoch=_new_epoch())
    return sum(group != _SEED for _, group in found)


class Pruned(NamedTuple):
    """What was removed of a room, or would be."""

    events: int = 0
    size: int = 0
    keys: int = 0
    rooms: int = 0

    def __add__(self, other: Any) -> Pruned:
        return Pruned(*(mine + its for mine, its in zip(self, other, strict=True)))


def prune(alias: str, room_id: int, history: History | None, *, removes: bool = True) -> Pruned:
    """Remove of a room what is over a bound, in small transactions; and its row, once it is empty and forgotten.

    Args:
        history: its bounds; None removes all.
        removes: False counts only.
    """
    total, is_over = Pruned(), False
    if removes and not any(prune(alias, room_id, history, removes=False)):
        return total  # so that nothing is locked, and written, for nothing
    while not is_over:
        with transaction.atomic(using=alias):
            rows = _rooms(alias).filter(id=room_id)
            if removes:  # locks it
                rows.update(size=F("size"))
            found = rows.values_list("id", "epoch", "offset", "size", "changed_ms").first()
            if found is None:
                return total
            pruned, is_over = _prune_some(alias, _Row(*found[:4]), found[4], history, total, removes=removes)
        total += pruned
    return total


def forget(alias: str, group: str) -> None:
    """Remove all of one room, as if it had never been."""
    room = _row(alias, group)
    if room is not None:
        prune(alias, room.id, None)


def _prune_some(
    alias: str, room: _Row, changed_ms: int, history: History | None, total: Pruned, *, removes: bool
) -> tuple[Pruned, bool]:
    """Remove some, and say whether that was the last; where nothing is removed, ``total`` is passed over."""
    now = _now_ms()
    events, keys = _events(alias).filter(room_id=room.id), _keys(alias).filter(room_id=room.id)
    is_forgotten = history is None or changed_ms < now - _milliseconds(history.position_seconds)
    skipped = 0 if removes else total.events
    some = list(
        events.order_by("offset").values_list("offset", "size", "stored_ms")[skipped : skipped + _PRUNED_AT_ONCE]
    )
    if is_forgotten:  # nothing of it is read any more
        cut, size = (some[-1][0] if some else 0), sum(row[1] for row in some)
    else:
        assert history is not None
        cut, size = _cut(some, room.offset, room.size - (0 if removes else total.size), history, now)
    count = sum(row[0] <= cut for row in some)
    if count and removes:
        events.filter(offset__lte=cut).delete()
        _rooms(alias).filter(id=room.id).update(size=F("size") - size)
    if count == _PRUNED_AT_ONCE:
        return Pruned(count, size), False
    over = keys if is_forgotten else keys.filter(expires_ms__lte=now)
    over_keys = over.count()
    if over_keys and removes:
        over.delete()
    if is_forgotten and removes:
        _rooms(alias).filter(id=room.id).delete()
        _rooms(alias).filter(group=_SEED).update(epoch=_new_epoch())  # so that no position counts of what it had
    return Pruned(count, size, over_keys, int(is_forgotten)), True
