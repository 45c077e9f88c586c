"""manage.py ws_prune, on SQLite and PostgreSQL."""

from __future__ import annotations

import io
import time

import pytest
from django.core.management import CommandError, call_command

from django_fastws import FastWS, History, Room, RouteError
from django_fastws.models import HistoryEvent, HistoryKey, HistoryRoom
from django_fastws.routing.routes import Problem
from tests.site.client import token


@pytest.fixture
def alias(database_of_histories):
    return database_of_histories


@pytest.fixture(autouse=True)
def empty(alias, routes):
    for model in (HistoryEvent, HistoryKey):
        model.objects.using(alias).delete()
    HistoryRoom.objects.using(alias).exclude(group="seed").delete()


@pytest.fixture
def later(monkeypatch):
    """Let time pass."""
    now, passed = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: now() + passed[0])

    def let(seconds):
        passed[0] += seconds

    return let


def pruned(*arguments):
    out = io.StringIO()
    call_command("ws_prune", *arguments, stdout=out)
    return out.getvalue().splitlines()


def counts(alias):
    models = (HistoryRoom, HistoryEvent, HistoryKey)
    rooms, events, keys = (model.objects.using(alias).count() for model in models)
    return rooms - 1, events, keys  # without the seed


def declare(pattern="kept/{key}", **bounds):
    FastWS().room(pattern, history=History(**bounds, database=True))


def test_events_over_the_bounds_of_their_rooms(alias, later):
    declare("few/{key}", messages=5)
    declare("short/{key}", seconds=60)
    declare("small/{key}", bytes=1000)
    rooms = [Room(f"{kind}/{token()}") for kind in ("few", "short", "small")]
    for room in rooms[:2]:
        for number in range(10):
            room.broadcast(number)
    later(120)
    for _ in range(2):
        rooms[1].broadcast("new")
    rooms[2].broadcast("x" * 400)
    HistoryRoom.objects.using(alias).filter(name=rooms[2].name).update(size=1200)
    assert counts(alias) == (3, 23, 0)
    assert pruned("--dry-run")[0].startswith("Would remove 15 events of ")
    assert counts(alias) == (3, 23, 0)
    at = [room.position() for room in rooms]
    first, *others = pruned("-v2")
    assert first.startswith("few/")
    assert others[-1].startswith("Removed 15 events of ")
    assert counts(alias) == (3, 8, 0)
    assert [len(room.history()) for room in rooms] == [5, 2, 1]
    assert [room.position() for room in rooms] == at
    assert pruned() == ["Removed 0 events of 0 bytes, 0 idempotency keys, 0 rooms."]
    for room in rooms[:2]:
        row = HistoryRoom.objects.using(alias).get(name=room.name)
        assert row.size == sum(HistoryEvent.objects.using(alias).filter(room=row).values_list("size", flat=True))


@pytest.mark.parametrize("name", ["null\0", "half\ud83d", "json:x", 'json:"x"', "größe/✓ 👩\u200d🚀"], ids=ascii)
def test_a_room_of_any_name_is_stored_and_pruned(alias, name):
    declare("{rest:path}", messages=3)
    room = Room(name)
    at = [room.broadcast(number, idempotency_key="\0\ud83d") for number in range(2)]
    assert at == [room.position()] * 2
    for _ in range(10):
        room.broadcast({"name": "\0"})
    assert [one.data for one in room.history()] == [{"name": "\0"}] * 3
    first, last = pruned("-v2")
    assert first.isprintable()
    assert last.startswith("Removed 8 events of ")  # none is left that no pattern matches


def test_more_than_are_removed_in_one_transaction(alias, later, monkeypatch):
    monkeypatch.setattr("django_fastws.rooms.history_rows._PRUNED_AT_ONCE", 7)
    declare(messages=30, seconds=60)
    room = Room(f"kept/{token()}")
    for number in range(30):
        room.broadcast(number)
    later(120)
    at = room.position()
    assert pruned("--dry-run")[0].startswith("Would remove 30 events of ")
    assert pruned()[0].startswith("Removed 30 events of ")
    assert counts(alias) == (1, 0, 0)
    assert (room.position(), room.history()) == (at, [])
    assert HistoryRoom.objects.using(alias).exclude(group="seed").get().size == 0
    assert room.broadcast("next") == at._replace(offset=31)


def test_rooms_and_keys_that_nobody_can_ask_for_any_more(alias, later):
    declare(seconds=60)
    room = Room(f"kept/{token()}")
    at = room.broadcast("a", idempotency_key="k")
    later(3600)
    assert pruned()[0].endswith(", 0 idempotency keys, 0 rooms.")
    assert counts(alias) == (1, 0, 1)  # of a quiet room, the last event goes when its time is over
    assert room.position() == at
    later(120)
    assert pruned()[0] == "Removed 0 events of 0 bytes, 1 idempotency key, 1 room."
    assert counts(alias) == (0, 0, 0)
    now = room.position()
    assert (now.offset, now.epoch != at.epoch) == (0, True)
    assert room.broadcast("b") == (now.epoch, 1)


def test_rooms_of_no_declaration_are_left_unless_that_is_asked_for(alias, routes):
    declare()
    Room(f"kept/{token()}").broadcast("a")
    routes.apps.clear()
    routes.changed()
    declare("others/{key}")
    assert pruned() == [
        "Removed 0 events of 0 bytes, 0 idempotency keys, 0 rooms.",
        "Left 1 room that no pattern matches: --undeclared removes them.",
    ]
    assert counts(alias) == (1, 1, 0)
    assert pruned("--undeclared")[0].endswith(", 0 idempotency keys, 1 room.")
    assert counts(alias) == (0, 0, 0)


def test_after_a_restore_positions_of_before_count_no_more(alias):
    declare()
    rooms = [Room(f"kept/{token()}") for _ in range(3)]
    at = [rooms[0].broadcast("a"), rooms[1].broadcast("b"), rooms[2].position()]
    assert pruned("--restored", "--dry-run") == ["Would remove 0 events of 0 bytes, 0 idempotency keys, 0 rooms."]
    assert [room.position() for room in rooms] == at
    assert pruned("--restored")[0] == "2 histories in another epoch."
    now = [room.position() for room in rooms]
    assert [position.offset for position in now] == [position.offset for position in at]
    assert {position.epoch for position in now} & {position.epoch for position in at} == set()
    assert [stored.data for stored in rooms[0].history()] == ["a"]


def test_where_a_module_was_not_loaded_nothing_is_removed(alias, routes):
    routes.problems.append(Problem("site.consumers", RouteError("mistake")))
    with pytest.raises(CommandError, match=r"site\.consumers was not loaded"):
        pruned("--undeclared")


def test_of_a_database_that_was_flushed_there_is_nothing_to_do(alias):
    HistoryRoom.objects.using(alias).all().delete()
    nothing = "Removed 0 events of 0 bytes, 0 idempotency keys, 0 rooms."
    assert pruned("--restored") == ["0 histories in another epoch.", nothing]


@pytest.mark.long
def test_without_tables_it_says_what_to_do(alias, monkeypatch):
    monkeypatch.setattr(HistoryKey._meta, "db_table", "never_migrated")
    with pytest.raises(CommandError, match=f"no table never_migrated: run manage.py migrate .*{alias}"):
        pruned()


def test_without_a_database_it_says_so(alias, monkeypatch):
    monkeypatch.setattr("django_fastws.management.commands.ws_prune.database_of_histories", lambda: None)
    with pytest.raises(CommandError, match="DATABASES is empty"):
        pruned()
