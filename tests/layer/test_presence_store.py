"""What every presence store owes to those who report and read, whatever the channel layer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from django_fastws._core.envelope import CONTROL, Envelope
from django_fastws._core.groups import group_name
from django_fastws._core.presence_reports import PresenceConnection, PresenceDiff, PresenceReport
from django_fastws._core.presence_roll import MOST_DIFFS, MOST_KEYS
from django_fastws.layer import Broker
from django_fastws.layer.presence_store import PresenceStore
from tests.layer.presence_worlds import WORLDS, World, make_world
from tests.site.client import LIMIT, token

LEASE = 30.0
KEYS = ["__proto__", "", "x" * 512, "😀", "a\0b", "}{", "\udcff", "größe ", "a b\r\n", "constructor"]


@pytest.fixture(params=WORLDS)
async def world(request: pytest.FixtureRequest, settings: Any) -> AsyncIterator[World]:
    made = make_world(request, settings)
    yield made
    await made.close()


@pytest.fixture
def store(world: World) -> PresenceStore:
    return world.store


@pytest.fixture
def room() -> str:
    return f"größe {{{token()}}} \udcff"


def connection(text: str) -> PresenceConnection:
    """``ID``, ``ID=CARD``, ``ID@STAMP``, ``-ID`` for one that is held."""
    text, _, stamp = text.partition("@")
    text, _, card = text.partition("=")
    return PresenceConnection(text.lstrip("-"), int(stamp or 0), json.dumps(card).encode(), text.startswith("-"))


def report(key: str, *connections: str, is_user: bool = True) -> PresenceReport:
    return PresenceReport(key, tuple(map(connection, connections)), is_user)


def told(diff: PresenceDiff) -> list[tuple[Any, ...]]:
    return [(one.kind, one.key, json.loads(one.present.meta), one.present.connections) for one in diff.changes]


class Heard(list[Envelope]):
    """What a client of a room's group gets, while it is entered."""

    def __init__(self, broker: Broker, room: str) -> None:
        super().__init__()
        self._client, self._group = broker.client(self.append), group_name(room)

    async def __aenter__(self) -> Heard:
        await self._client.subscribe(self._group)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._client.unsubscribe(self._group)
        await self._client.close()

    async def expect(self, count: int) -> list[PresenceDiff]:
        async with asyncio.timeout(LIMIT):
            while len(self) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert len(self) == count
        return [envelope.presence for envelope in self if envelope.presence is not None]


async def buried(store: PresenceStore, process: str) -> list[tuple[str, PresenceDiff]]:
    return [one async for one in store.abury(process)]


async def kill(world: World, *processes: str, others: str = "") -> None:
    """Let the leases of processes be over, while others renew theirs."""
    for seconds in (10, 10, 10, 1):
        await world.advance(seconds)
        for other in others.split():
            await world.store.abeat(other, LEASE)


# Reports


async def test_what_is_reported_is_told_and_read(world, store, room):
    await store.abeat("a", LEASE)
    async with Heard(world.broker, room) as heard:
        joined = await store.areport(room, "a", [report("ada", "1=x"), report("bob", "2=y", is_user=False)])
        changed = await store.areport(room, "a", [report("ada", "1=x", "3=z")])
        nothing = await store.areport(room, "a", [report("bob", f"2=y@{joined.stamp}")])
        left = await store.areport(room, "a", [report("bob"), report("nobody")])
        diffs = await heard.expect(3)
    assert told(joined.diff) == [("joined", "ada", "x", 1), ("joined", "bob", "y", 1)]
    assert told(changed.diff) == [("changed", "ada", "z", 2)]
    assert told(nothing.diff) == []
    assert told(left.diff) == [("left", "bob", "y", 1)]
    assert diffs == [joined.diff, changed.diff, left.diff]
    first = joined.diff.v
    assert [one.diff.v for one in (changed, nothing, left)] == [first + 1, first + 1, first + 2]
    assert [one.diff.total for one in (joined, changed, nothing, left)] == [2, 2, 2, 1]
    assert {(envelope.kind, envelope.room) for envelope in heard} == {(CONTROL, group_name(room))}
    snapshot = await store.aread(room)
    assert (snapshot.v, snapshot.total) == (first + 2, 1)
    assert {key: (json.loads(one.meta), one.connections) for key, one in snapshot.keys.items()} == {"ada": ("z", 2)}
    assert [(v, list(kinds)) for v, kinds in snapshot.recent] == [
        (first, ["ada", "bob"]),
        (first + 1, ["ada"]),
        (first + 2, ["bob"]),
    ]
    assert list(snapshot.dead) == []
    assert snapshot == await asyncio.to_thread(store.read, room)
    assert joined.stamp / 1e6 == pytest.approx(snapshot.keys["ada"].since, abs=2)


async def test_how_many_are_present_is_read_without_who(world, store, room):
    assert (await store.aread(room, counts_only=True))[:3] == (0, 0, {})
    for name in "ab":
        await store.abeat(name, LEASE)
    one = await store.areport(room, "a", [report("ada", "1"), report("bob", "2", "3")])
    counted = await store.aread(room, counts_only=True)
    assert (counted.v, counted.total, dict(counted.keys), list(counted.dead)) == (one.diff.v, 2, {}, [])
    await kill(world, "a", others="b")
    counted = await asyncio.to_thread(store.read, room, counts_only=True)
    assert (counted.total, list(counted.dead)) == (2, ["a"])


async def test_a_room_of_which_nobody_has_reported_anything(store):
    snapshot = await store.aread(token())
    assert (snapshot.v, snapshot.total, dict(snapshot.keys), list(snapshot.recent), list(snapshot.dead)) == (
        0,
        0,
        {},
        [],
        [],
    )


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
async def test_whatever_a_key_is(world, store, room, key):
    await store.abeat("a", LEASE)
    async with Heard(world.broker, room) as heard:
        one = await store.areport(room, "a", [report(key, "1"), report(f"{key}2", "\0=größe\n\0")])
        assert [change.key for change in one.diff.changes] == [key, f"{key}2"]
        assert await heard.expect(1) == [one.diff]
    assert set((await store.aread(room)).keys) == {key, f"{key}2"}
    await store.areport_users("a", {key: None})
    assert await store.aonline([key, f"{key}2", "other"]) == {key}
    await kill(world, "a", others="b")
    assert [diff.total for _, diff in await buried(store, "a")] == [0]
    assert await store.aonline([key]) == set()


async def test_connections_of_several_processes_are_put_together(store, room):
    for name in "abc":
        await store.abeat(name, LEASE)
    first = await store.areport(room, "a", [report("ada", "1=old", "2=old")])
    assert told((await store.areport(room, "b", [report("ada", "3=new")])).diff) == [("changed", "ada", "new", 3)]
    # One that is held is not counted beside others, and its card does not count.
    assert told((await store.areport(room, "c", [report("ada", "-4=held")])).diff) == []
    # It moves, and comes back.
    assert told((await store.areport(room, "b", [report("ada", "3=new@1", "4=newest")])).diff) == [
        ("changed", "ada", "newest", 4)
    ]
    assert told((await store.areport(room, "c", [report("ada", "-4=held@5")])).diff) == []
    assert told((await store.areport(room, "a", [report("ada")])).diff) == [("changed", "ada", "newest", 2)]
    snapshot = await store.aread(room)
    assert snapshot.keys["ada"].since == first.stamp / 1e6
    assert told((await store.areport(room, "b", [report("ada")])).diff) == [("left", "ada", "newest", 2)]


async def test_the_reports_of_some_processes_are_left_out(store, room):
    await store.abeat("a", LEASE)
    await store.abeat("b", LEASE)
    await store.areport(room, "a", [report("1", "c-1"), report("2", "c-2")])
    await store.areport(room, "b", [report("1", "c-3")])
    for counts_only in (False, True):
        found = await store.aread(room, counts_only=counts_only, without=["a"])
        assert (found.total, {key: one.connections for key, one in found.keys.items()}) == (1, {"1": 1})
    assert (await store.aread(room, without=["a", "b"])).keys == {}
    assert (await store.aread(room)).keys["1"].connections == 2


async def test_a_client_that_moves_to_another_process_makes_no_change(world, store, room):
    for name in "ab":
        await store.abeat(name, LEASE)
    async with Heard(world.broker, room) as heard:
        first = await store.areport(room, "a", [report("ada", "1=same")])
        for step in (("a", "-1=same"), ("b", "1=same"), ("a",)):
            again = await store.areport(room, step[0], [report("ada", *step[1:])])
            assert told(again.diff) == []
            assert again.diff.v == first.diff.v
        await heard.expect(1)
    assert (await store.aread(room)).keys["ada"].since == first.stamp / 1e6


async def test_a_client_that_has_moved_and_gone_does_not_come_back_when_its_former_process_notices(store, room):
    for name in "ab":
        await store.abeat(name, LEASE)
    await store.areport(room, "a", [report("ada", "1=same")])
    await store.areport(room, "b", [report("ada", "1=same")])
    assert told((await store.areport(room, "b", [report("ada")])).diff) == [("left", "ada", "same", 1)]
    assert told((await store.areport(room, "a", [report("ada", "-1=same@5")])).diff) == []
    assert told((await store.areport(room, "a", [report("ada")])).diff) == []
    assert (await store.aread(room)).keys == {}


async def test_who_is_expected_back_from_two_deploys_is_one(store, room):
    for name in "abc":
        await store.abeat(name, LEASE)
    first = await store.areport(room, "a", [report("ada", "1=same"), report("bob", "2=same", "3=same")])
    for here, there, ids in (("a", "b", "123"), ("b", "c", "456"), ("c", "d", "789")):
        await store.abeat(there, LEASE)
        held = [report("ada", f"-{ids[0]}=same"), report("bob", f"-{ids[1]}=same", f"-{ids[2]}=same")]
        assert told((await store.areport(room, here, held)).diff) == []
        ids = [str(int(number) + 3) for number in ids]
        assert told((await store.areport(room, there, [report("bob", f"{ids[1]}=same")])).diff) == []
        back = [report("ada", f"{ids[0]}=same"), report("bob", f"{ids[1]}=same", f"{ids[2]}=same")]
        assert told((await store.areport(room, there, back)).diff) == []
    assert (await store.aread(room)).v == first.diff.v


async def test_large_reports_are_told_in_parts(world, store, room):
    await store.abeat("a", LEASE)
    count = 2 * MOST_KEYS + 1
    async with Heard(world.broker, room) as heard:
        one = await store.areport(room, "a", [report(f"k{number}", f"{number}") for number in range(count)])
        diffs = await heard.expect(3)
    assert [len(diff.changes) for diff in diffs] == [MOST_KEYS, MOST_KEYS, 1]
    assert list(one.diff.changes) == [change for diff in diffs for change in diff.changes]
    assert (one.diff.v, one.diff.total) == (diffs[-1].v, count)
    snapshot = await store.aread(room)
    assert len(snapshot.keys) == count
    assert len({one.since for one in snapshot.keys.values()}) <= 3


async def test_many_connections_of_one_key(store, room):
    await store.abeat("a", LEASE)
    await store.abeat("b", LEASE)
    many = [f"{number}" for number in range(2000)]
    assert told((await store.areport(room, "a", [report("ada", *many)])).diff) == [("joined", "ada", "", 2000)]
    assert told((await store.areport(room, "b", [report("ada", *many[:1500], "other")])).diff) == [
        ("changed", "ada", "", 2001)
    ]
    assert told((await store.areport(room, "b", [report("ada")])).diff) == [("changed", "ada", "", 500)]


async def test_as_many_diffs_are_remembered_as_there_is_room_for(store, room):
    await store.abeat("a", LEASE)
    for number in range(MOST_DIFFS + 5):
        one = await store.areport(room, "a", [report(f"k{number % 3}", *("1", "2")[: 1 + number % 2])])
    recent = (await store.aread(room)).recent
    numbers = [v for v, _ in recent]
    assert numbers == list(range(one.diff.v - len(numbers) + 1, one.diff.v + 1))
    assert 1 <= len(numbers) <= MOST_DIFFS


async def test_rooms_are_apart(store, room):
    await store.abeat("a", LEASE)
    await store.areport(room, "a", [report("ada", "1")])
    await store.areport(f"{room}2", "a", [report("bob", "1")])
    assert set((await store.aread(room)).keys) == {"ada"}
    assert set((await store.aread(f"{room}2")).keys) == {"bob"}


async def test_reports_that_overlap_have_one_order_without_holes(world, store, room):
    names = [f"p{number}" for number in range(8)]
    for name in names:
        await store.abeat(name, LEASE)

    async def change(name: str) -> None:
        for turn in range(20):
            await store.areport(
                room, name, [report("ada", *([name] if turn % 2 else ["x", name])), report(name, name)]
            )
        await store.areport(room, name, [report("ada"), report(name)])

    async with Heard(world.broker, room) as heard:
        await asyncio.gather(*map(change, names))
        last = (await store.aread(room)).v
        async with asyncio.timeout(LIMIT):
            while not heard or heard[-1].presence is None or heard[-1].presence.v < last:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    numbers = [envelope.presence.v for envelope in heard if envelope.presence is not None]
    assert numbers == list(range(last - len(numbers) + 1, last + 1))
    assert heard[-1].presence is not None
    assert heard[-1].presence.total == 0


# Leases


async def test_a_process_that_does_not_renew_its_lease_is_dead(world, store, room):
    assert await store.abeat("a", LEASE) == (False, [], None)
    was_known, dead, next_end = await store.abeat("b", LEASE)
    assert (was_known, list(dead)) == (False, [])
    assert next_end == pytest.approx(LEASE, abs=5)
    await store.areport(room, "a", [report("ada", "1")])
    await kill(world, "a", others="b")
    assert (await store.abeat("b", LEASE)).dead == ["a"]
    assert (await store.aread(room)).dead == ["a"]
    assert (await asyncio.to_thread(store.read, room)).dead == ["a"]
    assert list((await store.aread(token())).dead) == []
    assert set((await store.aread(room)).keys) == {"ada"}  # until somebody buries it
    assert await store.abeat("new", LEASE) == (False, [], 1.0)


async def test_after_an_outage_nobody_is_dead(world, store, room):
    for name in "ab":
        await store.abeat(name, LEASE)
        await store.areport(room, name, [report(name, "1")])
    await world.advance(LEASE + 10)
    assert list((await store.aread(room)).dead) == []
    was_known, dead, next_end = await store.abeat("a", LEASE)
    assert (was_known, list(dead)) == (True, [])
    assert next_end == pytest.approx(LEASE / 2, abs=5)
    assert await buried(store, "b") == []
    await kill(world, "b", others="a")
    assert (await store.abeat("a", LEASE)).dead == ["b"]


async def test_after_a_long_outage_whoever_is_first_buries_nobody(world, store, room):
    for name in "ab":
        await store.abeat(name, LEASE)
        await store.areport(room, name, [report(name, "1")])
    await world.advance(10 * LEASE)
    assert await buried(store, "a") == []
    assert await asyncio.to_thread(lambda: list(store.bury("b"))) == []
    for name in "ab":
        assert (await store.abeat(name, LEASE)).was_known
    assert set((await store.aread(room)).keys) == {"a", "b"}
    assert await store.aonline([]) == set()


async def test_a_resting_process_is_not_renewed(world, store, room):
    for name in "ab":
        await store.abeat(name, LEASE)
    await store.areport(room, "a", [report("ada", "1")])
    await store.arest("a", 20)
    await store.arest("a", 20)
    await store.areport(room, "a", [report("ada", "-1")])
    await world.advance(10)
    assert (await store.abeat("a", LEASE)).was_known
    assert list((await store.abeat("b", LEASE)).dead) == []
    await world.advance(11)
    assert (await store.abeat("b", LEASE)).dead == ["a"]
    ((found, diff),) = await buried(store, "a")
    assert found == room
    assert told(diff) == [("left", "ada", "", 1)]


# Burials


async def test_a_burial_takes_back_what_the_process_has_reported(world, store, room):
    for name in "ab":
        await store.abeat(name, LEASE)
    await store.areport(room, "a", [report("ada", "1=x"), report("bob", "2=y"), report("eve", "3")])
    await store.areport(room, "b", [report("bob", "4=z")])
    await store.areport(room, "b", [report("eve", "3")])  # has moved there
    await store.areport(f"{room}2", "a", [report("ada", "1=x")])
    await store.areport(f"{room}3", "a", [report("ada", "1=x")])
    await store.areport(f"{room}3", "a", [report("ada")])
    await store.areport_users("a", {"ada": None, "eve": None})
    await store.areport_users("b", {"eve": None})
    assert await buried(store, "a") == []  # it is alive
    await kill(world, "a", others="b")
    async with Heard(world.broker, room) as heard:
        found = dict(await buried(store, "a"))
        assert await heard.expect(1) == [found[room]]
    assert set(found) == {room, f"{room}2"}
    assert sorted(told(found[room])) == [("changed", "bob", "z", 1), ("left", "ada", "x", 1)]
    assert told(found[f"{room}2"]) == [("left", "ada", "x", 1)]
    assert found[room].total == 2
    assert await buried(store, "a") == []
    assert list((await store.abeat("b", LEASE)).dead) == []
    assert not (await store.abeat("a", LEASE)).was_known
    assert await store.aonline(["ada", "eve"]) == {"eve"}
    assert set((await store.aread(room)).keys) == {"bob", "eve"}


async def test_the_twin_for_threads_buries_as_well(world, store, room):
    for name in "ab":
        await store.abeat(name, LEASE)
    await store.areport(room, "a", [report("ada", "1=x")])
    await kill(world, "a", others="b")
    ((found, diff),) = await asyncio.to_thread(lambda: list(store.bury("a")))
    assert (found, told(diff)) == (room, [("left", "ada", "x", 1)])


async def test_of_several_that_bury_one_gets_each_change(world, store, room):
    for name in "ab":
        await store.abeat(name, LEASE)
    for number in range(10):
        await store.areport(f"{room}{number}", "a", [report(f"k{key}", "1") for key in range(number * 100)])
    await kill(world, "a", others="b")
    several = await asyncio.gather(
        buried(store, "a"), buried(store, "a"), asyncio.to_thread(lambda: list(store.bury("a")))
    )
    left = [(found, change.key) for one in several for found, diff in one for change in diff.changes]
    assert len(left) == len(set(left)) == sum(number * 100 for number in range(10))
    assert all(len(diff.changes) <= MOST_KEYS for one in several for _, diff in one)


async def test_who_was_buried_is_told_and_not_revived(world, store, room):
    for name in "ab":
        await store.abeat(name, LEASE)
    await store.areport(room, "a", [report("ada", "1"), report("bob", "2")])
    await kill(world, "a", others="b")
    burial = store.abury("a")
    await anext(burial)
    assert not (await store.abeat("a", LEASE)).was_known
    assert (await store.abeat("b", LEASE)).dead == ["a"]
    assert [one async for one in burial] == []
    # It has not noticed, and reports: that is taken back as well.
    await store.areport(room, "a", [report("ada", "1")])
    assert (await store.aread(room)).dead == ["a"]
    assert (await store.abeat("b", LEASE)).dead == ["a"]
    assert [told(diff) for _, diff in await buried(store, "a")] == [[("left", "ada", "", 1)]]


async def test_a_burial_that_was_given_up_is_continued_by_others(world, store, room):
    for name in "ab":
        await store.abeat(name, LEASE)
    for number in range(3):
        await store.areport(f"{room}{number}", "a", [report("ada", "1")])
    await kill(world, "a", others="b")
    burial = store.abury("a")
    first, _ = await anext(burial)
    await burial.aclose()  # type: ignore[attr-defined]
    assert (await store.abeat("b", LEASE)).dead == ["a"]
    others = {found for found, _ in await buried(store, "a")}
    assert others | {first} == {f"{room}{number}" for number in range(3)}
    assert list((await store.abeat("b", LEASE)).dead) == []


# Users


async def test_who_is_online_and_when_others_were_seen_last(world, store):
    user, other = token(), token()
    for name in "ab":
        await store.abeat(name, LEASE)
    assert await store.aonline([]) == set()
    assert await store.alast_seen(user) is None
    await store.areport_users("a", {user: None, other: 20})
    await store.areport_users("b", {user: None})
    assert await store.aonline([user, other, "nobody"]) == {user}
    assert await asyncio.to_thread(store.online, [user, other]) == {user}
    now = world.now()
    assert await store.alast_seen(user) == pytest.approx(now, abs=5)
    assert await store.alast_seen(other) == pytest.approx(now - 20, abs=5)
    assert await asyncio.to_thread(store.last_seen, other) == pytest.approx(now - 20, abs=5)
    await store.areport_users("a", {user: 0})
    assert await store.aonline([user]) == {user}
    await store.areport_users("b", {user: 7})
    await store.areport_users("b", {other: 1000})
    assert await store.aonline([user]) == set()
    assert await store.alast_seen(user) == pytest.approx(now, abs=5)
    assert await store.alast_seen(other) == pytest.approx(now - 20, abs=5)
    await store.areport_users("b", {})


async def test_who_was_on_a_process_that_has_died_was_seen_when_that_renewed_its_lease(world, store, room):
    user = token()
    for name in "ab":
        await store.abeat(name, LEASE)
    await store.areport(room, "a", [report(user, "1")])
    await store.areport_users("a", {user: None})
    await world.advance(10)
    await store.abeat("a", LEASE)
    renewed = world.now()
    await kill(world, "a", others="b")
    assert await store.aonline([user]) == set()
    assert world.now() - renewed > 30
    assert await store.alast_seen(user) == pytest.approx(renewed - world.shifted(), abs=5)
    await buried(store, "a")
    assert await store.alast_seen(user) == pytest.approx(renewed - world.shifted(), abs=5)


async def test_many_users_at_once(store):
    await store.abeat("a", LEASE)
    names = [f"{token()}-{number}" for number in range(500)]
    await store.areport_users("a", dict.fromkeys(names[::2]))
    assert await store.aonline(names) == set(names[::2])
    assert await asyncio.to_thread(store.online, names) == set(names[::2])
