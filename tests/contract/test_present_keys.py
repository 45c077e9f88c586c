"""What every broker that has presence owes to those who report and read who is present, also after an outage.

``tests/layer/test_presence_store.py`` has all of what a store owes, where leases run out without waiting.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from django_fastws._core.envelope import CONTROL
from django_fastws._core.groups import group_name
from django_fastws._core.presence_reports import PresenceConnection, PresenceDiff, PresenceReport
from django_fastws.layer import Broker
from django_fastws.layer.presence_store import PresenceStore
from django_fastws.layer.redis.reconnecting import ReconnectingConnection
from tests.contract.implementations import Implementation
from tests.contract.subscriber import Subscriber, keep_on
from tests.site.client import token

has_presence = pytest.mark.broker("has_presence", "is_variant")
LEASE = 30.0


@pytest.fixture
def store(broker: Broker) -> PresenceStore:
    assert broker.presence is not None
    return broker.presence


@pytest.fixture
def room() -> str:
    return f"größe {token()}"


def report(key: str, *ids: str, card: str = "card") -> PresenceReport:
    meta = json.dumps(card).encode()
    return PresenceReport(key, tuple(PresenceConnection(one, 0, meta) for one in ids), is_user=True)


def told(diff: PresenceDiff | None) -> list[tuple[Any, ...]]:
    assert diff is not None
    return [(one.kind, one.key, json.loads(one.present.meta), one.present.connections) for one in diff.changes]


@has_presence
async def test_what_several_processes_report_is_put_together_numbered_and_told(broker, store, room):
    for process in ("one", "two"):
        await store.abeat(process, LEASE)
    async with Subscriber(broker, group_name(room)) as subscriber:
        first = await store.areport(room, "one", [report("ada", "1"), report("bob", "2")])
        await store.areport(room, "two", [report("ada", "3", card="newer")])
        await store.areport(room, "one", [report("ada"), report("bob")])
        heard = await subscriber.take(3)
    v = first.diff.v
    assert [(one.kind, one.presence.v, one.presence.total) for one in heard if one.presence] == [
        (CONTROL, v, 2),
        (CONTROL, v + 1, 2),
        (CONTROL, v + 2, 1),
    ]
    assert [told(one.presence) for one in heard] == [
        [("joined", "ada", "card", 1), ("joined", "bob", "card", 1)],
        [("changed", "ada", "newer", 2)],
        [("changed", "ada", "newer", 1), ("left", "bob", "card", 1)],
    ]
    snapshot = await store.aread(room)
    assert (snapshot.v, snapshot.total, list(snapshot.keys), list(snapshot.dead)) == (v + 2, 1, ["ada"], [])
    assert snapshot == await asyncio.to_thread(store.read, room)


@has_presence
async def test_reports_at_once_have_one_order_without_holes(broker, store, room):
    processes = [f"process {number}" for number in range(4)]
    for process in processes:
        await store.abeat(process, LEASE)

    async def come_and_go(process: str) -> None:
        for _ in range(5):
            await store.areport(room, process, [report(process, process)])
            await store.areport(room, process, [report(process)])

    async with Subscriber(broker, group_name(room)) as subscriber:
        await asyncio.gather(*map(come_and_go, processes))
        heard = await subscriber.take(40)
    numbers = [one.presence.v for one in heard if one.presence]
    assert numbers == list(range(numbers[0], numbers[0] + 40))
    assert (await store.aread(room)).total == 0


@has_presence
async def test_rooms_have_nothing_of_each_other(store):
    rooms = [token() for _ in range(8)]
    await store.abeat("one", LEASE)
    await asyncio.gather(*(store.areport(room, "one", [report(room, "1")]) for room in rooms))
    assert [list((await store.aread(room)).keys) for room in rooms] == [[room] for room in rooms]


@has_presence
async def test_who_is_online_is_known_and_when_others_were_seen_last(store):
    await store.abeat("one", LEASE)
    here, gone, never = (token() for _ in range(3))
    await store.areport_users("one", {here: None, gone: 60.0})
    assert await store.aonline([here, gone, never]) == {here}
    assert await asyncio.to_thread(store.online, [here, gone, never]) == {here}
    seen = [await store.alast_seen(user) for user in (here, gone, never)]
    assert seen[0] is not None
    assert seen[0] - seen[1] == pytest.approx(60, abs=10)
    assert seen[2] is None


@pytest.mark.broker("not has_presence")
async def test_a_broker_without_presence_says_so(broker):
    assert broker.presence is None


@pytest.mark.faults
@pytest.mark.broker("has_outages", "has_presence")
async def test_after_an_outage_nobody_was_told_to_have_left_and_all_can_be_reported_again(
    implementation: Implementation, broker: Broker, store: PresenceStore, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReconnectingConnection, "_HEARTBEAT_SECONDS", 0.05)
    await store.abeat("one", LEASE)
    before = await store.areport(room, "one", [report("ada", "1")])
    await asyncio.to_thread(implementation.wait_for_copies)
    async with Subscriber(broker, group_name(room)) as subscriber:
        await asyncio.to_thread(implementation.cut)
        await asyncio.to_thread(implementation.bring_back)
        beat = await keep_on(lambda: store.abeat("one", LEASE))
        assert list(beat.dead) == []
        # One whose lease was lost reports under another name, and what it reports is not less than before.
        process = "one" if beat.was_known else "another"
        await keep_on(lambda: store.abeat(process, LEASE))
        await keep_on(lambda: store.areport(room, process, [report("ada", "1"), report("bob", "2")]))
        snapshot = await keep_on(lambda: store.aread(room))
        assert set(snapshot.keys) == {"ada", "bob"}
        assert snapshot.v > before.diff.v
        kinds = {change.kind for one in subscriber.got if one.presence for change in one.presence.changes}
        assert kinds <= {"joined", "changed"}
