"""Broadcasts of several at once: their order, where each is kept, and that one which fails is alone."""

from __future__ import annotations

import asyncio

import pytest
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_fastws import (
    History,
    Latest,
    MessageTooBig,
    Position,
    Room,
    WebSocketConnectionError,
    WebSocketStateError,
    metrics,
)
from django_fastws.layer import get_broker
from django_fastws.layer.local import LocalBroker
from django_fastws.rooms import RoomBroadcast, broadcast_all, broadcasts, declarations, history_rows
from django_fastws.testing import connect as connect_inside
from tests.site.client import token

KEPT, STORED = History(messages=5000), History(messages=5000, database=True)


class Declared:
    presence, pattern = None, "kind/{name}"

    def __init__(self, history=None, latest=None):
        self.history, self.latest = history, latest

    def check_broadcast(self, room, event, data):
        if data == "never":
            raise TypeError("on purpose")


DECLARED = {"kept": Declared(KEPT), "stored": Declared(STORED), "keyed": Declared(latest=Latest())}


@pytest.fixture(autouse=True)
def rooms(monkeypatch, settings):
    settings.CHANNEL_LAYERS = {}
    monkeypatch.setattr(declarations, "find", lambda name: DECLARED.get(name.partition("/")[0]))


@pytest.fixture
def published(monkeypatch):
    """What went to the broker, of each call."""
    calls, publish_all = [], LocalBroker.publish_all

    def noted(self, envelopes):
        calls.append([envelope.data for envelope in envelopes])
        return publish_all(self, envelopes)

    monkeypatch.setattr(LocalBroker, "publish_all", noted)
    return calls


def test_each_has_what_room_broadcast_returns_or_raises(settings):
    settings.FASTWS_MAX_MESSAGE_BYTES = 100
    kept, room = f"kept/{token()}", token()
    found = broadcast_all(
        [
            RoomBroadcast(kept, {"n": 1}),
            RoomBroadcast(kept, "never"),
            RoomBroadcast(kept, "text", "told", idempotency_key="key"),
            RoomBroadcast(kept, "again", idempotency_key="key"),
            RoomBroadcast(room, 5),
            RoomBroadcast(room, "x" * 101),
            RoomBroadcast(room, 5, key="a"),
            RoomBroadcast(f"keyed/{room}", 5, key="a"),
            RoomBroadcast(f"keyed/{room}", 5),
        ]
    )
    assert [type(one) for one in found] == [
        Position,
        TypeError,
        Position,
        Position,
        type(None),
        MessageTooBig,
        TypeError,
        Position,
        TypeError,
    ]
    assert found[2] == found[3]
    assert [(one.event, one.data) for one in Room(kept).history()] == [("message", {"n": 1}), ("told", "text")]


def test_none_is_nothing():
    assert broadcast_all([]) == []


async def test_members_get_them_in_their_order():
    room = token()
    async with connect_inside(f"/ws/member?room={room}") as ws:
        await ws.receive()
        await asyncio.to_thread(broadcast_all, [RoomBroadcast(room, str(number)) for number in range(300)])
        assert [await ws.receive_text() for _ in range(300)] == [str(number) for number in range(300)]


def test_what_was_sent_is_counted_and_what_was_not_is_not():
    room = token()
    metrics.reset()
    broadcast_all([RoomBroadcast(room, 1), RoomBroadcast(room, "x", key="a"), RoomBroadcast(f"kept/{room}", 2)])
    assert metrics.broadcasts.values == {("",): 1, ("kind/{name}",): 1}
    metrics.reset()


@pytest.mark.django_db
def test_no_transaction_is_waited_for(published):
    with transaction.atomic():
        found = broadcast_all([RoomBroadcast("kept/x", "a"), RoomBroadcast("room", "b")])
        assert published == [["a", "b"]]
    assert [type(one) for one in found] == [Position, type(None)]
    assert published == [["a", "b"]]


# In the database


def test_what_the_database_keeps_goes_out_with_the_others_in_one_order(database_of_histories, published):
    stored, kept = f"stored/{token()}", f"kept/{token()}"
    found = broadcast_all(
        [
            RoomBroadcast(stored, "a", idempotency_key="key"),
            RoomBroadcast(kept, "b"),
            RoomBroadcast(stored, "again", idempotency_key="key"),
            RoomBroadcast(stored, "never"),
            RoomBroadcast("room", "c"),
            RoomBroadcast(stored, "d"),
        ]
    )
    assert published == [["a", "b", "c", "d"]]
    assert [one.offset if isinstance(one, Position) else type(one) for one in found] == [
        1,
        1,
        1,
        TypeError,
        type(None),
        2,
    ]
    assert [one.data for one in Room(stored).history()] == ["a", "d"]


def test_without_the_layer_it_is_stored_all_the_same(database_of_histories, monkeypatch, caplog):
    away = WebSocketConnectionError("on purpose")
    monkeypatch.setattr(LocalBroker, "publish_all", lambda self, envelopes: [away for _ in envelopes])
    stored = f"stored/{token()}"
    found = broadcast_all(
        [RoomBroadcast(stored, "a"), RoomBroadcast("room", "b"), RoomBroadcast(f"kept/{stored}", "c")]
    )
    assert [found[0].offset, *found[1:]] == [1, away, away]
    assert [one.data for one in Room(stored).history()] == ["a"]
    assert [record.getMessage() for record in caplog.records] == [
        f"A broadcast to room {stored!r} is stored, and comes late, with the next look at the history: on purpose"
    ]


def test_one_that_cannot_be_stored_keeps_no_other_from_it(database_of_histories, monkeypatch):
    stored, store = f"stored/{token()}", history_rows.store

    def failing(alias, name, history, envelope):
        found = store(alias, name, history, envelope)
        if envelope.data == "b":
            raise DatabaseError("on purpose")
        return found

    monkeypatch.setattr(history_rows, "store", failing)
    found = broadcast_all([RoomBroadcast(stored, "a"), RoomBroadcast(stored, "b"), RoomBroadcast(stored, "c")])
    assert [type(one) for one in found] == [Position, DatabaseError, Position]
    assert [one.data for one in Room(stored).history()] == ["a", "c"]
    assert [one.offset for one in found[::2]] == [1, 2]


def test_those_of_one_room_are_stored_by_hundreds(database_of_histories, monkeypatch, settings):
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 300  # a machine may be busy
    stored, other = f"stored/{token()}", f"stored/{token()}"
    commits = []
    commit = BaseDatabaseWrapper.commit
    monkeypatch.setattr(BaseDatabaseWrapper, "commit", lambda self: commits.append(1) or commit(self))
    rooms = [stored, other] + [stored] * 101
    found = broadcast_all([RoomBroadcast(room, str(number)) for number, room in enumerate(rooms)])
    assert [one.offset for one in found] == [1, 1, *range(2, 103)]
    assert len(commits) == 3
    assert [one.data for one in Room(stored).history(limit=3)] == ["100", "101", "102"]


def test_what_a_lost_transaction_had_is_not_said_to_be_stored(database_of_histories, monkeypatch, published):
    stored, store = f"stored/{token()}", history_rows.store

    def losing(alias, name, history, envelope):
        if envelope.data == "c":
            connections[alias].close()
            raise DatabaseError("on purpose")
        return store(alias, name, history, envelope)

    monkeypatch.setattr(history_rows, "store", losing)
    found = broadcast_all([RoomBroadcast(stored, data) for data in "abcd"] + [RoomBroadcast("room", "e")])
    assert [type(one) for one in found] == [DatabaseError] * 4 + [type(None)]
    assert published == [["e"]]
    assert Room(stored).history() == []


def test_behind_the_deadline_nothing_more_is_stored(database_of_histories, settings, monkeypatch):
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS, settings.FASTWS_PUBLISH_RETRY_SECONDS = 5, 7
    now = [0.0]
    monkeypatch.setattr(broadcasts.time, "monotonic", lambda: now[0])
    stored, store = f"stored/{token()}", history_rows.store

    def slow(*args):
        now[0] += 4.0
        return store(*args)

    monkeypatch.setattr(history_rows, "store", slow)
    found = broadcast_all([RoomBroadcast(stored, str(number)) for number in range(5)])
    assert [type(one) for one in found] == [Position, Position] + [WebSocketConnectionError] * 3


def test_it_is_no_part_of_a_transaction_and_so_refused_in_one(database_of_histories, published):
    stored = f"stored/{token()}"
    with transaction.atomic(using=database_of_histories):
        found = broadcast_all([RoomBroadcast(stored, "a"), RoomBroadcast("room", "b")])
    assert [type(one) for one in found] == [WebSocketStateError, type(None)]
    assert published == [["b"]]


def test_a_layer_that_is_none_fails_each(monkeypatch):
    def broken():
        raise LookupError("on purpose")

    monkeypatch.setattr(broadcasts, "get_broker", broken)
    assert [str(one) for one in broadcast_all([RoomBroadcast("a", 1), RoomBroadcast("b", 1)])] == ["on purpose"] * 2
    assert get_broker() is not None


def test_a_database_that_is_slow_to_say_no_is_not_asked_for_each(database_of_histories, monkeypatch):
    now, asked = [0.0], []
    monkeypatch.setattr(broadcasts.time, "monotonic", lambda: now[0])

    def slow(self, envelopes, ends):
        asked.append(self.name)
        now[0] += 6.0
        raise DatabaseError("on purpose")

    monkeypatch.setattr(broadcasts.DatabaseHistory, "store_apart", slow)
    found = broadcast_all([RoomBroadcast(f"stored/{number}", "x") for number in range(50)])
    assert len(asked) == 2
    assert [type(one) for one in found] == [DatabaseError] * 2 + [WebSocketConnectionError] * 48
