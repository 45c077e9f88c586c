"""Rooms whose history is kept in the database: events are part of transactions, and none is lost after a commit."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.management import call_command
from django.db import DatabaseError, connections, transaction
from django.test import TestCase, TransactionTestCase, override_settings

from django_fastws import FastWS, History, HistoryUnavailable, Position, Room, WebSocketStateError
from django_fastws.exceptions import WebSocketConnectionError
from django_fastws.layer import get_broker
from django_fastws.rooms import current_hub, declarations, join_since
from django_fastws.testing import live
from tests.conftest import layer_config
from tests.live.client import client, declare
from tests.rooms.test_resumption import Member
from tests.site.client import LIMIT, token
from tests.support.databases import in_threads

KEPT = History(messages=50, database=True)


class Declared:
    pattern = "kept"
    history = KEPT
    latest = None
    presence = None

    def check_broadcast(self, room, event, data):
        pass


@pytest.fixture
def alias(database_of_histories, settings):
    """Database of histories. The layer is the one in memory."""
    settings.CHANNEL_LAYERS = {}
    return database_of_histories


@pytest.fixture
def room(monkeypatch):
    monkeypatch.setattr(declarations, "find", lambda name: Declared() if name.startswith("kept") else None)
    return Room(f"kept/{token()}")


@pytest.fixture
def published(monkeypatch):
    """Envelopes that were published, in their order."""
    found, broker = [], get_broker()

    def publish(envelope):
        found.append(envelope)

    async def apublish(envelope):
        found.append(envelope)

    monkeypatch.setattr(broker, "publish", publish)
    monkeypatch.setattr(broker, "apublish", apublish)
    return found


def data_of(room, **bounds):
    return [(stored.data, stored.position.offset) for stored in room.history(**bounds)]


class Undone(Exception):
    """Rolls a block back."""


@contextlib.contextmanager
def undone(alias):
    """Transaction, or savepoint, that is rolled back at its end."""
    with contextlib.suppress(Undone), transaction.atomic(using=alias):
        yield
        raise Undone


def test_it_is_declared_as_a_yes_or_no():
    with pytest.raises(TypeError, match="a router names the database"):
        History(database="other")


# Transactions


def test_an_event_is_part_of_the_transaction_and_published_after_it(alias, room, published):
    with transaction.atomic(using=alias):
        first, second = room.broadcast("a"), room.broadcast("b")
        assert (first.offset, second.offset, first.epoch == second.epoch) == (1, 2, True)
        assert published == []
        assert in_threads(alias, 1, lambda _: room.position().offset if alias_is_postgres(alias) else 0) == [0]
    assert [envelope.position for envelope in published] == [first, second]
    assert [envelope.history for envelope in published] == [None, None]
    assert room.position() == second
    assert data_of(room) == [("a", 1), ("b", 2)]


def alias_is_postgres(alias):
    return connections[alias].vendor == "postgresql"


def test_without_a_transaction_it_is_stored_and_published_at_once(alias, room, published):
    assert [room.broadcast({"n": 1}, "told").offset, room.broadcast("text").offset] == [1, 2]
    assert [envelope.position.offset for envelope in published] == [1, 2]
    first, second = room.history()
    assert (first.event, first.data, second.event, second.data) == ("told", {"n": 1}, "message", "text")
    assert abs(first.at.timestamp() - time.time()) < LIMIT


def test_what_is_rolled_back_gives_its_offset_back(alias, room, published):
    room.broadcast("a")
    with undone(alias):
        assert room.broadcast("never").offset == 2
    with transaction.atomic(using=alias):
        with undone(alias):
            assert room.broadcast("never").offset == 2
        assert room.broadcast("b").offset == 2
    assert data_of(room) == [("a", 1), ("b", 2)]
    assert [envelope.data for envelope in published] == ["a", "b"]


def test_a_first_event_that_is_rolled_back_leaves_nothing(alias, room, published):
    with undone(alias):
        room.broadcast("never")
    assert room.position().offset == 0
    assert published == data_of(room) == []


def test_in_a_transaction_it_cannot_be_sent_at_once(alias, room, published):
    with transaction.atomic(using=alias):
        with pytest.raises(WebSocketStateError, match="on_commit=False here"):
            room.broadcast("a", on_commit=False)
        assert room.broadcast("gone", volatile=True, on_commit=False) is None
        assert [envelope.data for envelope in published] == ["gone"]
    assert room.broadcast("b", on_commit=False).offset == 1
    assert [envelope.data for envelope in published] == ["gone", "b"]
    assert data_of(room) == [("b", 1)]


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_of_another_database_it_is_stored_after_its_commit(alias, room, published):
    with transaction.atomic():
        assert room.broadcast("a") is None
        assert published == data_of(room) == []
    assert [str(envelope.position) for envelope in published] == [str(room.position())]
    with undone("default"):
        room.broadcast("never")
    assert data_of(room) == [("a", 1)]


def test_without_autocommit_it_is_published_when_django_runs_what_waits_for_the_commit(alias, room, published):
    transaction.set_autocommit(False, using=alias)
    try:
        assert room.broadcast("a").offset == 1
        assert async_to_sync(room.abroadcast)("b").offset == 2
        with pytest.raises(WebSocketStateError):
            room.broadcast("c", on_commit=False)
        transaction.commit(using=alias)
        assert published == []
    finally:
        transaction.set_autocommit(True, using=alias)
    assert [envelope.data for envelope in published] == ["a", "b"]


def test_errors_of_the_database_are_those_of_any_query(alias, room, published):
    with connections[alias].cursor() as cursor:
        cursor.execute("ALTER TABLE django_fastws_historyroom RENAME TO away")
    try:
        with pytest.raises(DatabaseError):
            room.broadcast("a")
        with pytest.raises(WebSocketConnectionError, match="the database cannot be reached, or refuses"):
            room.history()
    finally:
        with connections[alias].cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO django_fastws_historyroom")
    assert published == []
    assert room.broadcast("a").offset == 1


def test_what_cannot_be_published_is_stored_and_that_is_said(alias, room, monkeypatch, caplog):
    def fail(envelope):
        raise WebSocketConnectionError("away")

    async def afail(envelope):
        raise WebSocketConnectionError("away")

    monkeypatch.setattr(get_broker(), "publish", fail)
    monkeypatch.setattr(get_broker(), "apublish", afail)
    assert room.broadcast("a").offset == 1
    assert async_to_sync(room.abroadcast)("b").offset == 2
    assert data_of(room) == [("a", 1), ("b", 2)]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "is stored, and comes late, with the next look at the history: away" in caplog.records[0].getMessage()


# Async


async def test_async_it_is_stored_and_published_at_once(alias, room, published):
    at = [await room.abroadcast(text) for text in "abc"]
    assert [position.offset for position in at] == [1, 2, 3]
    assert [envelope.position for envelope in published] == at
    assert await room.aposition() == at[2]
    assert [stored.data for stored in await room.ahistory(2**70, after=at[0])] == ["b", "c"]
    assert [stored.data for stored in await room.ahistory(before=str(at[2]), limit=1)] == ["b"]
    assert await room.abroadcast("gone", volatile=True) is None


async def test_a_caller_that_is_cancelled_publishes_all_the_same(alias, room, published):
    await room.aposition()
    task = asyncio.create_task(room.abroadcast("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(LIMIT):
        while not published:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert [envelope.position for envelope in published] == [await room.aposition()]


# Idempotency keys


def test_a_key_is_stored_and_published_once(alias, room, published):
    at = room.broadcast("a", idempotency_key="k")
    room.broadcast("b")
    assert room.broadcast("again", idempotency_key="k") == at
    with transaction.atomic(using=alias):
        assert room.broadcast("again", idempotency_key="k") == at
        assert room.broadcast("c", idempotency_key="l").offset == 3
        assert room.broadcast("again", idempotency_key="l").offset == 3
    assert data_of(room) == [("a", 1), ("b", 2), ("c", 3)]
    assert [envelope.data for envelope in published] == ["a", "b", "c"]
    assert Room(f"kept/{token()}").broadcast("other", idempotency_key="k").offset == 1


def test_a_key_counts_as_long_as_the_history_says(alias, room, published, monkeypatch):
    room.broadcast("a", idempotency_key="k")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + KEPT.key_seconds - 5)
    assert room.broadcast("again", idempotency_key="k").offset == 1
    monkeypatch.setattr(time, "time", lambda: now() + KEPT.key_seconds + 5)
    assert room.broadcast("b", idempotency_key="k").offset == 2
    assert room.broadcast("again", idempotency_key="k").offset == 2


def test_a_key_of_a_transaction_that_is_rolled_back_was_not_used(alias, room, published):
    with undone(alias):
        room.broadcast("never", idempotency_key="k")
    assert room.broadcast("a", idempotency_key="k").offset == 1
    assert data_of(room) == [("a", 1)]


def test_of_several_at_the_same_time_with_one_key_one_is_stored(alias, room, published):
    barrier = threading.Barrier(6)

    def publish(number):
        barrier.wait(LIMIT)
        with transaction.atomic(using=alias):
            return room.broadcast(number, idempotency_key="k")

    assert len(set(in_threads(alias, 6, publish))) == 1
    assert len(published) == room.position().offset == len(room.history()) == 1


# Order


@pytest.mark.long
def test_offsets_are_in_the_order_of_commits_and_have_no_holes(alias, room, monkeypatch):
    """Threads in transactions, some rolled back, of which each would read what the others have committed."""
    committed, seen, stop = [], [], threading.Event()
    others = Room(f"kept/{token()}")
    monkeypatch.setattr(get_broker(), "publish", lambda envelope: committed.append(envelope.position.offset))
    count, transactions = (12, 12) if alias_is_postgres(alias) else (4, 10)

    def write(number):
        dice, mine = random.Random(number), []
        for turn in range(transactions):
            try:
                with transaction.atomic(using=alias):
                    told = [room.broadcast([number, turn, one]) for one in range(dice.randrange(1, 4))]
                    if dice.random() < 0.2:
                        with undone(alias):
                            room.broadcast("in a savepoint")
                    time.sleep(dice.random() * 0.01)
                    if dice.random() < 0.3:
                        raise ZeroDivisionError
            except ZeroDivisionError:
                continue
            mine += told
            others.broadcast(number)
        return mine

    def watch():
        try:
            while not stop.is_set():
                at = room.position()
                offsets = [stored.position.offset for stored in room.history(limit=50)]
                seen.append(at.offset)
                assert offsets == list(range(offsets[0], offsets[-1] + 1)) if offsets else not at.offset
                assert not offsets or offsets[-1] >= at.offset
        finally:
            connections[alias].close()
            stop.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    told = [position for some in in_threads(alias, count, write) for position in some]
    assert not stop.is_set()
    stop.set()
    watcher.join()
    assert seen == sorted(seen)
    assert sorted(position.offset for position in told) == list(range(1, room.position().offset + 1))
    assert set(committed) >= set(range(1, len(told) + 1))


@pytest.mark.django_db(transaction=True)
def test_what_was_never_published_to_has_one_epoch_from_the_first_reading_on(alias, room, published):
    at = room.position()
    assert room.position() == at
    other = Room(f"kept/{token()}").position()
    assert other.epoch != at.epoch
    assert room.broadcast("a") == (at.epoch, 1)


def test_without_the_row_of_the_migration_as_after_a_flush_it_is_made_again(alias, room, published):
    from django_fastws.models import HistoryRoom

    before = room.position()
    HistoryRoom.objects.using(alias).filter(group="seed").delete()
    at = room.position()
    assert at.epoch != before.epoch
    assert room.broadcast("a") == (at.epoch, 1)


# Bounds


@pytest.mark.long
def test_writers_keep_the_bounds_a_few_rows_at_a_time(alias, room, published, monkeypatch):
    for number in range(200):
        room.broadcast(number)
    assert data_of(room, limit=1000) == [(number - 1, number) for number in range(151, 201)]
    assert 50 <= rows(alias, room) < 50 + 16
    monkeypatch.setattr(Declared, "history", History(messages=1000, bytes=2000, database=True))
    for _ in range(40):
        room.broadcast("x" * 100)
    assert 1000 < sum(size for size in sizes(alias, room)) <= 2000
    monkeypatch.setattr(Declared, "history", History(messages=1000, seconds=10, database=True))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 20)
    assert room.history() == []
    while room.position().offset % 16:
        room.broadcast("new")
    assert rows(alias, room) <= 16


def test_one_event_over_the_bound_of_bytes_is_kept(alias, room, published, monkeypatch):
    monkeypatch.setattr(Declared, "history", History(bytes=100, database=True))
    for _ in range(3):
        at = room.broadcast("x" * 1000)
    assert [stored.position for stored in room.history()] == [at]


def rows(alias, room):
    return len(sizes(alias, room))


def sizes(alias, room):
    from django_fastws.models import HistoryEvent

    return list(HistoryEvent.objects.using(alias).filter(room__name=room.name).values_list("size", flat=True))


def test_parts_of_a_history_are_bounded_by_their_bytes(alias, room, published):
    from django_fastws._core.history_page import PageQuery
    from django_fastws.rooms.histories_by_name import room_history

    for _ in range(10):
        room.broadcast("x" * 1000)
    history = room_history(room.name, KEPT)

    def offsets(**query):
        return [stored.offset for stored in history.read(PageQuery(**query)).stored]

    assert offsets(most_bytes=3500) == [8, 9, 10]
    assert offsets(after=2, most_bytes=3500) == [3, 4, 5]
    assert offsets(after=2, before=5, most_bytes=3500) == [3, 4]
    assert offsets(after=2, most_bytes=1) == [3]
    assert offsets(limit=2) == [9, 10]
    assert offsets(after=10) == offsets(after=11) == offsets(limit=0) == []


# Clearing


def test_clearing_begins_another_epoch_with_the_transaction(alias, room, published):
    at = room.broadcast("a", idempotency_key="k")
    with undone(alias):
        room.clear()
    assert room.position() == at
    with transaction.atomic(using=alias):
        room.clear()
        assert len(published) == 1
    assert published[1].kind == "fastws.control"
    assert room.history() == []
    assert room.position().epoch != at.epoch
    with pytest.raises(HistoryUnavailable, match="begun anew"):
        room.history(after=at)
    assert room.broadcast("b").offset == 1
    assert room.broadcast("a", idempotency_key="k") == at


async def test_clearing_async(alias, room):
    at = await room.abroadcast("a")
    await room.aclear()
    now = await room.aposition()
    assert (now.offset, now.epoch != at.epoch) == (0, True)


# Members


@pytest.fixture(
    params=["none", *(pytest.param(name, marks=pytest.mark.redis) for name in ("ours", "pubsub", "core"))]
)
def any_layer(request, settings, alias):
    if request.param != "none":
        redis = request.getfixturevalue("redis_server")
        settings.CHANNEL_LAYERS = {"default": layer_config(request.param, redis, token())}
    return alias


async def test_on_every_layer_members_get_events_with_positions_and_resume(any_layer, room):
    member, told = Member(), None
    told = await join_since(member, room.name, None)
    assert told.position.offset == 0
    at = [await room.abroadcast(text) for text in "ab"]
    await asyncio.to_thread(in_threads, any_layer, 1, lambda _: room.broadcast("c"))
    await member.expect("a", "b", "c")
    other = Member("two")
    assert (await join_since(other, room.name, at[0])).recovered
    await room.abroadcast("d")
    await member.expect("a", "b", "c", "d")
    await other.expect("b", "c", "d")
    for one in (member, other):
        await current_hub().leave(one, room.name)


async def test_what_was_not_published_comes_with_the_next_event(any_layer, room, monkeypatch):
    member = Member()
    await join_since(member, room.name, None)
    with monkeypatch.context() as patch:
        patch.setattr(type(get_broker()), "apublish", lambda self, envelope: asyncio.sleep(0))
        await room.abroadcast("a")
        await room.abroadcast("b")
    await room.abroadcast("c")
    await member.expect("a", "b", "c")
    await current_hub().leave(member, room.name)


async def test_quiet_rooms_are_looked_at_by_one_query(alias, room, monkeypatch, settings):
    settings.FASTWS_HISTORY_CHECK_SECONDS = 0.2
    rooms, members = [Room(f"kept/{token()}") for _ in range(20)], []
    queries = []
    from django_fastws.rooms import history_rows

    tops = history_rows.tops
    monkeypatch.setattr(
        history_rows, "tops", lambda alias, groups: queries.append(len(groups)) or tops(alias, groups)
    )
    for one in rooms:
        members.append(Member())
        await join_since(members[-1], one.name, None)
    monkeypatch.setattr(type(get_broker()), "apublish", lambda self, envelope: asyncio.sleep(0))
    for one in rooms[:3]:
        await one.abroadcast("late")
    for member in members[:3]:
        await member.expect("late")
    assert (queries, queries[-1]) == (sorted(queries), 20)  # those of the first checks had joined by then
    assert [member.got for member in members[3:]] == [[]] * 17
    for one, member in zip(rooms, members, strict=True):
        await current_hub().leave(member, one.name)


async def test_a_room_whose_rows_were_removed_has_begun_anew(alias, room):
    from django_fastws.models import HistoryRoom
    from django_fastws.rooms.history_rows import prune

    await room.abroadcast("a")
    member = Member()
    await join_since(member, room.name, None)
    row = await HistoryRoom.objects.using(alias).aget(name=room.name)
    await sync_to_async(prune)(alias, row.pk, None)
    current_hub()._histories.check_all()
    await member.expect("LOST")
    at = await room.abroadcast("b")
    assert at.offset == 1
    await member.expect("LOST", "b")
    await current_hub().leave(member, room.name)


async def test_live_members_resume(alias, routes):
    declare("kept/{key}", history=KEPT)
    room = Room(f"kept/{token()}")
    async with client() as one:
        joined = await one.join(room.name)
        at = [str(await room.abroadcast(text, "said")) for text in "abc"]
        assert joined["at"].endswith(":0")
        assert [(frame["data"], frame["at"]) for frame in [await one.next() for _ in range(3)]] == [
            *zip("abc", at, strict=True)
        ]
    async with client() as one:
        resumed = await one.join(room.name, since=joined["at"])
        assert resumed == {"room": room.name, "at": joined["at"], "recovered": True, "to": at[2]}
        assert [(await one.next())["at"] for _ in range(3)] == at


async def test_reads_for_all_members_are_nobodys_and_those_of_handlers_are_theirs(alias, routes, settings):
    calls = []
    settings.FASTWS_DB_SETUP = lambda scope: calls.append(scope.get("path"))
    tickets = declare("kept/{key}", history=KEPT)

    @tickets.on("say")
    async def say(ws, room: Room, key) -> int:
        return (await room.abroadcast("told", "said")).offset

    name = f"kept/{token()}"
    async with client() as one:
        await one.join(name)
        calls.clear()
        current_hub()._histories.check_all()
        await current_hub()._histories.checked(name)
        assert calls == []
        await one.say(room=name, event="say", id=1, data={})
        assert sorted(map(str, [await one.next(), await one.next()]))
        assert calls == ["/ws/live"]


# The app


@pytest.mark.parametrize("field", ["AutoField", "SmallAutoField", "BigAutoField"])
@pytest.mark.django_db
def test_there_is_nothing_to_migrate_whatever_the_keys_of_the_project_are(field, settings):
    settings.DEFAULT_AUTO_FIELD = f"django.db.models.{field}"
    call_command("makemigrations", "django_fastws", check=True, dry_run=True, verbosity=0)


# Django's test cases


@pytest.mark.usefixtures("routes")
@override_settings(CHANNEL_LAYERS={})
class InATestCase(TestCase):
    def setUp(self):
        self.live_room = FastWS().room("kept-cases/{key}", history=KEPT)
        self.room = self.live_room(key=token())

    def test_events_are_published_by_what_django_has_for_it(self):
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            at = self.room.broadcast("a")
        assert (at.offset, len(callbacks)) == (1, 1)
        assert self.room.position() == at

    async def test_a_live_client_gets_what_a_handler_broadcasts(self):
        async with live() as one:
            joined = await one.join(self.room.name)
            at = await self.room.abroadcast("a", "said")
            said = await joined.next("said")
            assert (said.data, str(said.at)) == ("a", str(at))
        async with live() as other:
            resumed = await other.join(self.room.name, since=Position(at.epoch, 0))
            assert (await resumed.next("said")).data == "a"

    async def test_a_live_client_gets_what_a_view_broadcasts_in_a_transaction(self):
        def view():
            with self.captureOnCommitCallbacks(execute=True), transaction.atomic():
                return self.room.broadcast("a", "said")

        async with live() as one:
            joined = await one.join(self.room.name)
            at = await sync_to_async(view)()
            assert str((await joined.next("said")).at) == str(at)


@pytest.mark.usefixtures("routes")
@override_settings(CHANNEL_LAYERS={})
class InATransactionTestCase(TransactionTestCase):
    async def test_a_live_client_gets_what_a_handler_broadcasts(self):
        room = FastWS().room("kept-cases/{key}", history=KEPT)(key=token())
        async with live() as one:
            joined = await one.join(room.name)
            at = await room.abroadcast("a", "said")
            assert str((await joined.next("said")).at) == str(at)
