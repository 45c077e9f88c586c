"""Nodes of a real cluster, as an event loop knows them: slots move under load, and nodes go away."""

from __future__ import annotations

import asyncio
import itertools
import signal
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from channels.layers import get_channel_layer

from django_fastws import History, Room, WebSocketConnectionError
from django_fastws._core.history_page import PageQuery
from django_fastws._core.slots import slot_of
from django_fastws.layer import RedisChannelLayer, check_layer, get_broker, layer_status
from django_fastws.rooms import current_hub, declarations
from tests.layer.inside import is_lost, is_reachable
from tests.rooms.test_resumption import Declared, Member, joined, leave
from tests.site.client import LIMIT, token, until
from tests.support.clusters import RedisCluster
from tests.support.processes import stopped

pytestmark = [pytest.mark.redis, pytest.mark.slow]


class Kept(Declared):
    history = History(messages=100_000)


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declarations, "find", lambda name: Kept() if name.startswith("kept") else None)


@pytest.fixture(autouse=True)
async def closed(settings: Any) -> AsyncIterator[None]:
    yield
    if isinstance(layer := get_channel_layer(), RedisChannelLayer):
        layer.blocking.close()
        await layer.flush()


class Load:
    """Three publishers to one room, each as fast as it can: in this loop, in another one, and in a thread."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._is_over = threading.Event()
        #: How many each has published.
        self.counts: dict[str, int] = {}

    async def __aenter__(self) -> Load:
        self._running = [
            asyncio.ensure_future(self._in_loop("here")),
            asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run(self._elsewhere()))),
            asyncio.ensure_future(asyncio.to_thread(self._in_thread)),
        ]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._is_over.set()
        await asyncio.gather(*self._running)

    async def _in_loop(self, name: str) -> None:
        for first in itertools.count(0, 5):
            await asyncio.gather(*(self._room.abroadcast(f"{name} {number}") for number in range(first, first + 5)))
            self.counts[name] = first + 5
            if self._is_over.is_set():
                return
            await asyncio.sleep(0.001)

    async def _elsewhere(self) -> None:
        await self._in_loop("elsewhere")
        await get_channel_layer().flush()

    def _in_thread(self) -> None:
        for number in itertools.count():
            self._room.broadcast(f"thread {number}", on_commit=False)
            self.counts["thread"] = number + 1
            if self._is_over.is_set():
                return

    async def go_on(self) -> None:
        """Wait until each has published some more."""
        before = {name: self.counts.get(name, 0) for name in ("here", "elsewhere", "thread")}
        async with asyncio.timeout(LIMIT):
            while any(self.counts.get(name, 0) < count + 20 for name, count in before.items()):  # noqa: ASYNC110
                await asyncio.sleep(0.005)


def by_publisher(texts: list[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for text in texts:
        name, number = text.split()
        found.setdefault(name, []).append(int(number))
    return found


def slot(room: Room) -> int:
    return slot_of(f"{{{room._group}}}".encode())


@pytest.fixture(params=["all keys at once", "key by key", "the source first"])
def move(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Moves a slot to the next node while there is load."""

    def keys_at_once(cluster: RedisCluster, number: int, load: Load) -> None:
        source = cluster.owner_of_slot(number)
        cluster.move(number, source, cluster.others(source)[0])

    async def key_by_key(cluster: RedisCluster, number: int, load: Load) -> None:
        source = cluster.owner_of_slot(number)
        target = cluster.others(source)[0]
        cluster.begin_move(number, source, target)
        while keys := cluster.keys(number, source):
            cluster.move_keys(keys[:1], source, target)
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)  # what is new by now is asked for at the target
        cluster.end_move(number, source, target)

    async def source_first(cluster: RedisCluster, number: int, load: Load) -> None:
        source = cluster.owner_of_slot(number)
        target = cluster.others(source)[0]
        cluster.begin_move(number, source, target)
        while keys := cluster.keys(number, source):
            cluster.move_keys(keys, source, target)
        source.ask("CLUSTER", "SETSLOT", number, "NODE", target.name)
        await asyncio.sleep(0.1)  # each says that the other one has it
        cluster.end_move(number, source, target)

    async def moved(cluster: RedisCluster, number: int, load: Load) -> None:
        if request.param == "key by key":
            await key_by_key(cluster, number, load)
        elif request.param == "the source first":
            await source_first(cluster, number, load)
        else:
            await asyncio.to_thread(keys_at_once, cluster, number, load)

    return moved


async def test_a_slot_that_moves_under_load_costs_a_room_with_history_nothing(on_cluster, redis_cluster, move):
    on_cluster(redis_cluster)
    room = Room(f"kept-{token()}")
    member, _ = await joined(room)
    async with Load(room) as load:
        await load.go_on()
        for _ in range(3):
            await move(redis_cluster, slot(room), load)
            await load.go_on()
    async with asyncio.timeout(LIMIT):
        while len(member.got) < sum(load.counts.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert "LOST" not in member.got
    for name, numbers in by_publisher(member.got).items():
        unordered = [around for around in itertools.pairwise(numbers) if around[1] != around[0] + 1]
        assert (name, unordered, len(numbers)) == (name, [], load.counts[name])
    await leave(room, member)


async def test_in_a_room_without_history_nothing_is_doubled_nor_out_of_order(on_cluster, redis_cluster, move):
    on_cluster(redis_cluster)
    room = Room(f"other-{token()}")
    member = Member()
    await current_hub().join(member, room.name)
    async with Load(room) as load:
        await load.go_on()
        for _ in range(3):
            await move(redis_cluster, slot(room), load)
            await load.go_on()
    await room.abroadcast("last 0")
    async with asyncio.timeout(LIMIT):
        while "last 0" not in member.got:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for numbers in by_publisher(member.got).values():
        assert numbers == sorted(set(numbers))
    assert member.got.count("here 0") == 1
    await leave(room, member)


# Nodes that go away


def rooms_of(cluster: RedisCluster, node: Any, count: int, kind: str = "other") -> list[Room]:
    """Rooms whose slots a node has."""
    made = (Room(f"{kind}-{token()}") for _ in itertools.count())
    return list(itertools.islice((room for room in made if cluster.owner_of_slot(slot(room)) is node), count))


async def members_of(rooms: list[Room]) -> dict[Room, Member]:
    found = {room: Member(room.name) for room in rooms}
    for room, member in found.items():
        if room.name.startswith("kept"):
            await joined(room, member=member)
        else:
            await current_hub().join(member, room.name)
    return found


@pytest.mark.faults
async def test_a_node_that_is_away_is_an_outage_of_its_rooms_alone(on_cluster, own_cluster, settings):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 60
    on_cluster(own_cluster)
    gone, *others = own_cluster.nodes
    away, here = (
        rooms_of(own_cluster, gone, 3),
        [room for other in others for room in rooms_of(own_cluster, other, 2, "kept")],  # so that each is there
    )
    members = await members_of([*away, *here])
    await asyncio.gather(*(room.abroadcast("before") for room in members))
    await asyncio.to_thread(lambda: [room.broadcast("thread", on_commit=False) for room in members])
    gone.stop(signal.SIGKILL)
    await until(is_lost, "the loss")
    assert str(gone.port) in layer_status().error
    held = [asyncio.ensure_future(room.abroadcast("held")) for room in away]
    held_too = [
        asyncio.ensure_future(asyncio.to_thread(room.broadcast, "held too", on_commit=False)) for room in away
    ]
    # The others go on, also when the rest of the cluster has noticed.
    for turn in range(10):
        for room in here:
            await room.abroadcast(f"loop {turn}")
            await asyncio.to_thread(room.broadcast, f"thread {turn}", on_commit=False)
        await asyncio.sleep(0.2)
    for room in here:
        texts = [f"{who} {turn}" for turn in range(10) for who in ("loop", "thread")]
        await members[room].expect("before", "thread", *texts)
    assert not any(future.done() for future in [*held, *held_too])
    with pytest.raises(WebSocketConnectionError):
        await check_layer(0.5)
    gone.start()
    await asyncio.gather(*held, *held_too)
    for room in away:
        async with asyncio.timeout(LIMIT):
            while len(members[room].got) < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert members[room].got[:2] == ["before", "thread"]
        assert sorted(members[room].got[2:]) == ["held", "held too"]
    await until(is_reachable, "the return")
    await check_layer()
    for room, member in members.items():
        await leave(room, member)


@pytest.mark.faults
async def test_what_waits_too_long_for_its_node_fails_and_nothing_else(on_cluster, own_cluster, settings):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 0.3
    on_cluster(own_cluster)
    gone, other, _ = own_cluster.nodes
    (away,), (here,) = rooms_of(own_cluster, gone, 1), rooms_of(own_cluster, other, 1)
    await away.abroadcast("x")
    gone.stop(signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(WebSocketConnectionError, match="out of reach"):
            await away.abroadcast("x")
        with pytest.raises(WebSocketConnectionError, match="out of reach"):
            await asyncio.to_thread(away.broadcast, "x", on_commit=False)
        await here.abroadcast("y")
        await asyncio.to_thread(here.broadcast, "y", on_commit=False)


@pytest.mark.faults
async def test_a_replica_takes_over_with_all_that_is_held(on_cluster, settings):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 60
    with RedisCluster(replicas=1) as cluster:
        on_cluster(cluster)
        gone, other, _, heir = cluster.nodes
        away = rooms_of(cluster, gone, 2) + rooms_of(cluster, gone, 2, "kept")
        here = rooms_of(cluster, other, 2, "kept")
        members = await members_of([*away, *here])
        for room in members:
            await room.abroadcast("before")
            await asyncio.to_thread(room.broadcast, "thread", on_commit=False)
        gone.stop(signal.SIGKILL)
        await until(is_lost, "the loss")
        await asyncio.gather(
            *(room.abroadcast("held") for room in away),
            *(asyncio.to_thread(room.broadcast, "held too", on_commit=False) for room in away),
        )
        await until(is_reachable, "the return")
        for room in away:
            assert cluster.owner_of_slot(slot(room)) is heir
            await room.abroadcast("after")
        for room in away:
            member = members[room]
            async with asyncio.timeout(LIMIT):
                while "after" not in member.got:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert member.got[:2] == ["before", "thread"]
            if room.name.startswith("kept"):  # what the replica did not have yet is lost, or nothing is: who knows
                assert member.got[2] == "LOST"
                page = await get_broker().aread_history(room._group, Kept.history, PageQuery())
                texts = [stored.envelope.data for stored in page.stored]
                assert sorted(texts[-3:]) == ["after", "held", "held too"]
            else:
                assert sorted(member.got[2:4]) == ["held", "held too"]
                assert member.got[4:] == ["after"]
        for room in here:
            await room.abroadcast("after")
            await members[room].expect("before", "thread", "after")
        gone.start()  # as a replica of its heir
        cluster.wait_until_ok()
        await away[0].abroadcast("and on")
        for room, member in members.items():
            await leave(room, member)


@pytest.mark.faults
async def test_all_nodes_restart(on_cluster, own_cluster, settings):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 60
    on_cluster(own_cluster)
    rooms = [room for node in own_cluster.nodes for room in rooms_of(own_cluster, node, 2)]
    members = await members_of(rooms)
    await asyncio.gather(*(room.abroadcast("before") for room in rooms))
    for node in own_cluster.nodes:
        node.stop(signal.SIGKILL)
    held = [asyncio.ensure_future(room.abroadcast("held")) for room in rooms]
    await until(is_lost, "the loss")
    for node in own_cluster.nodes:
        node.start()
    await asyncio.gather(*held)
    for room in rooms:
        await members[room].expect("before", "held")
        await leave(room, members[room])


async def test_members_hear_at_once_what_is_stored_at_a_node_that_does_not_have_the_slot_yet(
    on_cluster, redis_cluster
):
    on_cluster(redis_cluster)
    room = Room(f"kept-{token()}")
    member, _ = await joined(room)
    await room.abroadcast("before")
    number = slot(room)
    source = redis_cluster.owner_of_slot(number)
    target = redis_cluster.others(source)[0]
    redis_cluster.begin_move(number, source, target)
    redis_cluster.move_keys(redis_cluster.keys(number, source), source, target)
    await room.abroadcast("from a loop")
    await asyncio.to_thread(room.broadcast, "from a thread", on_commit=False)
    await room.abroadcast("from a loop again")
    await member.expect("before", "from a loop", "from a thread", "from a loop again")
    redis_cluster.end_move(number, source, target)
    await room.abroadcast("moved")
    await member.expect("before", "from a loop", "from a thread", "from a loop again", "moved")
    await leave(room, member)


@pytest.mark.faults
async def test_a_cluster_that_says_it_is_down_is_an_outage_until_it_is_well(on_cluster, own_cluster, settings):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 60
    on_cluster(own_cluster)
    for node in own_cluster.nodes:
        node.ask("CONFIG", "SET", "cluster-require-full-coverage", "yes")
    gone, other, _ = own_cluster.nodes
    (room,) = rooms_of(own_cluster, other, 1, "kept")
    members = await members_of([room])
    gone.stop(signal.SIGKILL)
    await until(lambda: _is_down(other), "the cluster to be down")
    calls = [
        asyncio.ensure_future(room.abroadcast("held")),
        asyncio.ensure_future(asyncio.to_thread(room.broadcast, "held too", on_commit=False)),
    ]
    await until(is_lost, "the loss")
    assert "its cluster is down" in layer_status().error
    await asyncio.sleep(0.5)
    assert not any(call.done() for call in calls)
    gone.start()
    await asyncio.gather(*calls)
    await until(is_reachable, "the return")
    async with asyncio.timeout(LIMIT):
        while len(members[room].got) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert sorted(members[room].got) == ["held", "held too"]
    await leave(room, members[room])


async def _is_down(node: Any) -> bool:
    return b"cluster_state:fail" in node.ask("CLUSTER", "INFO")


@pytest.mark.faults
async def test_a_node_that_says_nothing_is_an_outage_of_its_rooms_alone(on_cluster, own_cluster, settings):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 60
    on_cluster(own_cluster)
    silent, other, _ = own_cluster.nodes
    (away,), (here,) = rooms_of(own_cluster, silent, 1), rooms_of(own_cluster, other, 1, "kept")
    members = await members_of([away, here])
    await asyncio.gather(*(room.abroadcast("before") for room in members))
    with stopped(silent):
        held = asyncio.ensure_future(away.abroadcast("held"))
        await until(is_lost, "the loss")
        for turn in range(20):
            await here.abroadcast(str(turn))
        assert not held.done()
    await held
    await members[away].expect("before", "held")
    await members[here].expect("before", *map(str, range(20)))
    for room, member in members.items():
        await leave(room, member)


@pytest.mark.faults
async def test_a_node_that_has_given_all_its_slots_away_may_go(on_cluster, own_cluster):
    on_cluster(own_cluster)
    leaving, *others = own_cluster.nodes
    rooms = rooms_of(own_cluster, leaving, 3)
    members = await members_of(rooms)
    await asyncio.gather(*(room.abroadcast("before") for room in rooms))
    for number in {slot(room) for room in rooms}:
        await asyncio.to_thread(own_cluster.move, number, leaving, others[number % 2])
    for room in rooms:
        await room.abroadcast("after")
    own_cluster.give_empty_slots(leaving, others[0])
    nodes = get_channel_layer().for_loop()._nodes
    await until(lambda: _has_let_go(nodes, leaving), "the connections to the node to be closed")
    leaving.stop(signal.SIGKILL)
    await check_layer()
    for room in rooms:
        await room.abroadcast("and on")
        async with asyncio.timeout(LIMIT):
            while "and on" not in members[room].got:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await leave(room, members[room])
    assert layer_status().is_reachable


async def _has_let_go(nodes: Any, node: Any) -> bool:
    nodes._start_asking()
    return all(shard.node.port != node.port for shard in nodes.shards)


async def test_who_asks_again_before_anybody_else_goes_on_is_answered(on_cluster, redis_cluster):
    on_cluster(redis_cluster)
    nodes = get_channel_layer().for_loop()._nodes
    async with asyncio.timeout(LIMIT):
        await nodes.ready()
        await nodes.ready()
