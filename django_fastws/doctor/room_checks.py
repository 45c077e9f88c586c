"""Checks of rooms, on a room of the doctor's own: its history is written and resumed, and presence in it is seen."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from django.db import Error as DatabaseError

from .._core.envelope import Envelope
from .._core.groups import group_name
from .._core.history import History
from .._core.history_page import PageQuery
from .._core.positions import Position
from .._core.presence_reports import PresenceConnection, PresenceDiff, PresenceReport
from ..conf import conf
from ..encoding import encode
from ..exceptions import WebSocketConnectionError
from ..layer import TRIAL, PresenceStore, get_broker
from ..rooms import database_of_histories, room_history
from ..routing import registry
from .guarded import results_of, sentence
from .result import CheckResult, failed, ok, skipped, warning

__all__ = ["look_at_rooms"]

_SECONDS = 60.0  # for which anything is kept that could not be forgotten
_CHECK_SECONDS = 20.0  # of each of the checks
_ARRIVE_SECONDS = 3.0
_CLEAN_SECONDS = 2.0
_EVENTS = 3

_KEEPING_LAYER = "Use django_fastws.layer.RedisChannelLayer, or History(database=True)."

T = TypeVar("T")


async def look_at_rooms(*, is_layer_usable: bool) -> Sequence[CheckResult]:
    """A room with history that is written and resumed, wherever histories are kept; and presence."""
    checks = {"history": _layer_history}
    if any(room.history is not None and room.history.database for room in registry.rooms):
        checks["history in the database"] = _database_history
    checks["presence"] = _presence
    if not is_layer_usable:
        return [skipped(check, "The channel layer cannot be used.") for check in checks]
    # Each for itself, so that one that cannot be done hides no other.
    return [result for check, work in checks.items() for result in await _looked_at(check, work)]


async def _looked_at(check: str, work: Callable[[], Awaitable[CheckResult]]) -> Sequence[CheckResult]:
    async def look() -> Sequence[CheckResult]:
        return [await work()]

    return await results_of(check, _CHECK_SECONDS, look, "See what does not answer: the database, or the layer.")


# History


async def _layer_history() -> CheckResult:
    check = "history"
    if get_broker().has_history:
        return await _resumed(check, History(messages=_EVENTS + 1, seconds=_SECONDS))
    wanting = [room for room in registry.rooms if room.history is not None and not room.history.database]
    if wanting:
        detail = f"The channel layer keeps none, and {wanting[0].pattern!r} is declared with one."
        return warning(check, f"{detail} Clients that come back get the state.", _KEEPING_LAYER)
    return skipped(check, "The channel layer keeps none, and no room is declared with one.")


async def _database_history() -> CheckResult:
    check = "history in the database"
    if database_of_histories() is None:
        return failed(check, "There is no database: DATABASES is empty.", "Set DATABASES.")
    return await _resumed(check, History(messages=_EVENTS + 1, seconds=_SECONDS, database=True))


async def _resumed(check: str, history: History) -> CheckResult:
    """Write events to a room of our own, hear them, and go on from the first as a client that comes back does."""
    name = f"fastws.doctor.{uuid.uuid4().hex}"
    kept = room_history(name, history)
    heard: asyncio.Queue[Envelope] = asyncio.Queue()
    client = get_broker().client(heard.put_nowait)
    try:
        await client.subscribe(kept.group)
        written: list[Position | None] = []
        for number in range(_EVENTS):
            envelope = Envelope.broadcast(kept.group, encode(f"event {number}"), history=history)
            written.append(await kept.apublish(envelope))
        first = written[0]
        if first is None or None in written:
            return failed(check, "An event was not stored.", _KEEPING_LAYER)
        page = await kept.aread(PageQuery(after=first.offset))
        resumed = [(one.offset, one.envelope.data) for one in page.stored]
        expected = [(first.offset + number, f"event {number}") for number in range(1, _EVENTS)]
        if page.epoch != first.epoch or resumed != expected:
            return failed(
                check,
                f"Of {_EVENTS} events, a client that has had the first gets {len(resumed)}, and not the "
                f"{len(expected)} behind it.",
                "See whether the Redis is one, which keeps what it has: several behind one address lose events.",
            )
        positions = await _collect(heard, _EVENTS, lambda envelope: envelope.position)
        if positions != written:
            return failed(
                check,
                f"Of {_EVENTS} events that were stored, {len(positions)} have arrived as they were.",
                "See whether the Redis is one, and whether its user may use channels.",
            )
        return ok(check, f"{_EVENTS} events were written, heard, and resumed behind the first.")
    except (WebSocketConnectionError, DatabaseError) as error:
        hint = "See what Redis refuses; histories need version 6.2 and the rights of docs/howto/channel-layer.md."
        if history.database:
            hint = "Run manage.py migrate, and see whether the database answers, and lets us write."
        return failed(check, sentence(error), hint)
    finally:
        await _quietly(client.unsubscribe(kept.group))
        await _quietly(client.close())
        await _quietly(kept.aforget())


async def _collect(queue: asyncio.Queue[Envelope], count: int, of: Callable[[Envelope], T | None]) -> list[T]:
    """What is not None of so many of those that come, until the time is over."""
    found: list[T] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ARRIVE_SECONDS):
            while len(found) < count:
                value = of(await queue.get())
                if value is not None:
                    found.append(value)
    return found


async def _quietly(work: object) -> None:
    """Clean up, as far as that is possible in time: what is left ends by itself."""
    with contextlib.suppress(TimeoutError, WebSocketConnectionError):
        async with asyncio.timeout(_CLEAN_SECONDS):
            await work  # type: ignore[misc]


# Presence


async def _presence() -> CheckResult:
    check = "presence"
    store = get_broker().presence
    if store is not None:
        return await _seen(check, store)
    wanting = [room for room in registry.rooms if room.presence is not None]
    if wanting:
        return failed(
            check,
            f"The channel layer keeps nothing of who is present, and {wanting[0].pattern!r} asks for it.",
            "Use django_fastws.layer.RedisChannelLayer.",
        )
    return skipped(check, "The channel layer keeps nothing of who is present, and no room asks for it.")


async def _seen(check: str, store: PresenceStore) -> CheckResult:
    """Be present in a room of our own, and see oneself come and go there."""
    name, process = f"fastws.doctor.{uuid.uuid4().hex}", f"{TRIAL}{uuid.uuid4().hex}"
    group = group_name(name)
    heard: asyncio.Queue[Envelope] = asyncio.Queue()
    client = get_broker().client(heard.put_nowait)
    come = PresenceReport("c:doctor", (PresenceConnection("doctor", 0, b"{}"),), is_user=False)
    gone = come._replace(connections=())
    try:
        await client.subscribe(group)
        # As long as that of any other: the leases of all are counted by the length of the last.
        await store.abeat(process, conf.presence_lease_seconds)
        await store.areport(name, process, [come])
        there = await store.aread(name)
        await store.areport(name, process, [gone])
        left = await store.aread(name)
        diffs: list[PresenceDiff] = await _collect(heard, 2, lambda envelope: envelope.presence)
        kinds = [change.kind for diff in diffs for change in diff.changes]
        if list(there.keys) != ["c:doctor"] or left.total or kinds != ["joined", "left"]:
            return failed(
                check,
                f"Who came was {'' if there.keys else 'not '}seen, who left was {'not ' if left.total else ''}; "
                f"members were told: {', '.join(kinds) or 'nothing'}.",
                "See whether the Redis is one, and whether its user may use scripts and channels.",
            )
        return ok(check, "Somebody who came and left was seen, and members were told.")
    except WebSocketConnectionError as error:
        return failed(
            check,
            sentence(error),
            "See what Redis refuses; presence needs version 6.2 and the rights of docs/howto/channel-layer.md.",
        )
    finally:
        await _quietly(client.unsubscribe(group))
        await _quietly(client.close())
        await _quietly(store.aforget(name, process))
