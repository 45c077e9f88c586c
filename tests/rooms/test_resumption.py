"""Sockets that come back to a room with history: what they missed, once and in order, then what comes."""

from __future__ import annotations

import asyncio

import pytest

from django_fastws import History, Position, Room
from django_fastws._core.envelope import Envelope
from django_fastws._core.messages import Payload
from django_fastws.layer import get_broker
from django_fastws.rooms import current_hub, declarations, join_since, scheduler
from django_fastws.rooms.histories import Histories
from django_fastws.rooms.local_room import LocalRoom
from tests.site.client import LIMIT, token


class Declared:
    pattern = "kept"
    history = History(messages=20)
    latest = None
    presence = None

    def check_broadcast(self, room, event, data):
        pass


class Member:
    """A socket, and what was sent to it."""

    takes_events = False

    def __init__(self, name="one"):
        self.id = name
        self.got = []

    def post(self, batch):
        self.got.extend(payload.text for payload in batch.payloads)

    def lost(self):
        self.got.append("LOST")

    async def expect(self, *texts):
        async with asyncio.timeout(LIMIT):
            while len(self.got) < len(texts):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert self.got == list(texts)


@pytest.fixture(params=["here", pytest.param("redis", marks=pytest.mark.redis)], autouse=True)
def layer(request, settings):
    redis = request.param == "redis"
    settings.CHANNEL_LAYERS = {"default": request.getfixturevalue("redis_layer")} if redis else {}


@pytest.fixture
def room(monkeypatch):
    monkeypatch.setattr(declarations, "find", lambda name: Declared() if name.startswith("kept") else None)
    return Room(f"kept-{token()}")


async def joined(room, since=None, member=None):
    member = member or Member()
    return member, await join_since(member, room.name, since)


async def leave(room, *members):
    for member in members:
        await current_hub().leave(member, room.name)


async def test_a_room_without_history_has_no_position(room):
    other = Room(f"other-{token()}")
    member, told = await joined(other, "e:1")
    assert told == (None, False)
    assert await other.abroadcast("a") is None
    await member.expect("a")
    await leave(other, member)


async def test_what_was_missed_comes_before_what_comes(room):
    at = [await room.abroadcast(text) for text in "abc"]
    member, told = await joined(room, at[0])
    assert told == (at[2], True)
    await room.abroadcast("d")
    await member.expect("b", "c", "d")
    other, told = await joined(room, str(at[2]))
    assert told == (Position(at[0].epoch, 4), True)
    await other.expect("d")
    await leave(room, member, other)


async def test_what_is_not_kept_any_more_is_not_sent_in_part(room):
    at = [await room.abroadcast(str(number)) for number in range(25)]
    member, told = await joined(room, at[2])
    assert told == (at[-1], False)
    await room.abroadcast("new")
    await member.expect("new")
    await leave(room, member)


@pytest.mark.parametrize("since", ["", "junk", 5, 1.5, b"e:1", ["e", 1], {"epoch": "e"}, True], ids=repr)
async def test_what_a_client_says_that_is_no_position_is_not_gone_on_from(room, since):
    at = await room.abroadcast("a")
    member, told = await joined(room, since)
    assert told == (at, False)
    await leave(room, member)


async def test_a_socket_that_had_more_than_has_come_to_this_process_goes_on(room, monkeypatch):
    first, _ = await joined(room)
    receive = Histories.receive
    monkeypatch.setattr(Histories, "receive", lambda self, envelope: True)  # nothing arrives here
    at = [await room.abroadcast(text) for text in "abc"]
    await asyncio.sleep(0.02)
    monkeypatch.setattr(Histories, "receive", receive)
    second, told = await joined(room, at[1], Member("two"))
    assert told.recovered
    await room.abroadcast("d")
    await first.expect("a", "b", "c", "d")
    await second.expect("c", "d")
    await leave(room, first, second)


async def test_a_fan_out_that_is_under_way_does_not_come_behind_it(room, monkeypatch):
    """The socket had more than this process, which is still sending that to others."""
    monkeypatch.setattr("django_fastws.rooms.scheduler._SLICE", 0.0)  # 64 members in a turn
    others = [(await joined(room, member=Member(str(number))))[0] for number in range(300)]
    with monkeypatch.context() as nothing_arrives:
        nothing_arrives.setattr(Histories, "receive", lambda self, envelope: True)
        at = [await room.abroadcast(text) for text in "abc"]
        await asyncio.sleep(0.02)
    member, told = await joined(room, at[1], Member("late"))
    assert told.recovered
    await room.abroadcast("d")
    await member.expect("c", "d")
    await others[-1].expect("a", "b", "c", "d")
    assert member.got == ["c", "d"]
    await leave(room, member, *others)


async def test_what_comes_while_the_history_is_read_comes_once(room, monkeypatch):
    at = [await room.abroadcast(text) for text in "ab"]
    broker, came, go = get_broker(), asyncio.Event(), asyncio.Event()
    read = broker.aread_history

    async def slow(self, group, history, query):
        if query.limit:
            came.set()
            await go.wait()
        return await read(group, history, query)

    monkeypatch.setattr(type(broker), "aread_history", slow)
    member = Member()
    joining = asyncio.create_task(joined(room, at[0], member))
    await came.wait()
    await room.abroadcast("c")
    await asyncio.sleep(0.02)
    assert member.got == []
    go.set()
    assert (await joining)[1] == (at[1], True)
    await room.abroadcast("d")
    await member.expect("b", "c", "d")
    await leave(room, member)


async def test_a_second_join_sends_nothing_again(room):
    at = [await room.abroadcast(text) for text in "ab"]
    member, _ = await joined(room, at[0])
    assert (await joined(room, at[0], member))[1] == (at[1], False)
    await member.expect("b")
    await leave(room, member)


async def test_too_much_to_be_sent_at_once_is_no_recovery(room, settings):
    settings.FASTWS_SEND_BUFFER_BYTES = 1000
    at = [await room.abroadcast("x" * 400) for _ in range(4)]
    member, told = await joined(room, at[0])
    assert told == (at[3], False)
    other, told = await joined(room, at[1], Member("two"))
    assert told == (at[3], True)
    await other.expect(*["x" * 400] * 2)
    await leave(room, member, other)


async def test_events_that_arrive_out_of_order_or_twice_come_once_in_order(room):
    """As with several threads, whose broadcasts are stored in one order and delivered in another."""
    member, told = await joined(room)
    await room.abroadcast("a")
    stored = [Envelope.broadcast(f"fastws.n.{room.name}", Payload(text), history=Declared.history) for text in "bcd"]
    hub, at = current_hub(), []
    with pytest.MonkeyPatch.context() as nothing_arrives:
        nothing_arrives.setattr(Histories, "receive", lambda self, envelope: True)
        for envelope in stored:
            at.append(await get_broker().apublish(envelope))
        await asyncio.sleep(0.02)
    for envelope, position in zip(stored, at, strict=True):
        envelope.position = position
    for number in (2, 0, 0, 1, 2):
        hub.deliver(stored[number])
    await member.expect("a", "b", "c", "d")
    assert told.position.epoch == at[0].epoch
    await leave(room, member)


@pytest.fixture
def fan_outs(monkeypatch):
    """Fan-outs come no further than to the first members, until this is set."""
    may_go_on, send = asyncio.Event(), LocalRoom.send
    monkeypatch.setattr(scheduler, "_SLICE", 0)  # of which there are 64 in a slice

    def waiting(self, is_over):
        return send(self, is_over) if self.fan_out is None or may_go_on.is_set() else 0

    monkeypatch.setattr(LocalRoom, "send", waiting)
    return may_go_on


async def crowd(room, count=64 * 2):
    """More members than a fan-out comes to in its first slice."""
    members = [Member(f"crowd {number}") for number in range(count)]
    for member in members:
        await current_hub().join(member, room.name)
    return members


async def test_a_fan_out_that_began_while_a_join_waited_reaches_who_has_joined(room, monkeypatch, fan_outs):
    at = [await room.abroadcast(text) for text in "ab"]
    others = await crowd(room)
    read, came, go = type(get_broker()).aread_history, asyncio.Event(), asyncio.Event()

    async def slow(self, group, history, query):
        page = await read(self, group, history, query)
        came.set()
        await go.wait()
        return page

    monkeypatch.setattr(type(get_broker()), "aread_history", slow)
    member = Member()
    joining = asyncio.create_task(joined(room, at[0], member))
    await came.wait()
    await room.abroadcast("c")
    await others[0].expect("c")
    go.set()
    assert (await joining)[1] == (at[1], True)
    assert (member.got, others[-1].got) == (["b"], [])
    fan_outs.set()
    await room.abroadcast("d")
    await member.expect("b", "c", "d")
    await leave(room, member, *others)


async def test_a_fan_out_that_began_before_the_position_was_read_brings_nothing_twice(room, monkeypatch, fan_outs):
    at = [await room.abroadcast(text) for text in "ab"]
    others = await crowd(room)
    former, _ = await joined(room, at[0], Member("former"))  # from now on recent events are kept
    go = asyncio.Event()
    monkeypatch.setattr(Histories, "is_open", lambda self, group: False)
    monkeypatch.setattr(Histories, "open", lambda self, group: go.wait())
    member = Member()
    joining = asyncio.create_task(joined(room, at[0], member))
    await asyncio.sleep(0)
    at.append(await room.abroadcast("c"))
    await others[0].expect("c")
    go.set()
    assert (await joining)[1] == (at[2], True)
    assert (member.got, others[-1].got) == (["b", "c"], [])
    fan_outs.set()
    await room.abroadcast("d")
    await others[-1].expect("c", "d")
    await member.expect("b", "c", "d")
    await leave(room, member, former, *others)


async def test_a_join_that_is_cancelled_beside_another_leaves_the_other_its_broadcasts(room, monkeypatch):
    at = [await room.abroadcast("a")]
    broker, came, go = get_broker(), asyncio.Event(), asyncio.Event()
    read = broker.aread_history

    async def slow(self, group, history, query):
        came.set()
        await go.wait()
        return await read(group, history, query)

    monkeypatch.setattr(type(broker), "aread_history", slow)
    member = Member()
    first = asyncio.create_task(joined(room, at[0], member))
    await came.wait()
    second = asyncio.create_task(joined(room, None, member))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    go.set()
    await second
    await room.abroadcast("b")
    await member.expect("b")
    await leave(room, member)


async def test_a_socket_that_gets_what_was_held_in_part_has_the_position_behind_it(room, monkeypatch, settings):
    settings.FASTWS_SEND_BUFFER_BYTES = 1000
    at = [await room.abroadcast("a")]
    broker, came, go = get_broker(), asyncio.Event(), asyncio.Event()
    read = broker.aread_history

    async def slow(self, group, history, query):
        if query.limit:
            came.set()
            await go.wait()
        return await read(group, history, query)

    monkeypatch.setattr(type(broker), "aread_history", slow)
    member = Member()
    joining = asyncio.create_task(joined(room, at[0]._replace(offset=0), member))
    await came.wait()
    other, _ = await joined(room, None, Member("other"))
    texts = [f"{number}" + "x" * 100 for number in range(15)]
    for text in texts:
        at.append(await room.abroadcast(text))
    await other.expect(*texts)
    go.set()
    _, told = await joining
    assert not told.recovered
    at.append(await room.abroadcast("last"))
    await other.expect(*texts, "last")
    await member.expect(*([*texts, "last"][told.position.offset - at[0].offset :]))
    await leave(room, member, other)


async def test_who_is_removed_while_it_waits_for_its_position_is_told_so(room):
    """Its room, of which it was the last member, is over then: that is no cancellation of whoever waits."""
    at = await room.abroadcast("a")
    member = Member()
    with pytest.MonkeyPatch.context() as slowly:
        came, go = asyncio.Event(), asyncio.Event()
        broker = get_broker()
        read = broker.aread_history

        async def slow(self, group, history, query):
            if query.limit:
                came.set()
                await go.wait()
            return await read(group, history, query)

        slowly.setattr(type(broker), "aread_history", slow)
        joining = asyncio.create_task(joined(room, at._replace(offset=5), member))
        await came.wait()
        current_hub().drop(member, {room.name})
        go.set()
        _, told = await asyncio.wait_for(joining, LIMIT)
    assert not told.recovered


async def test_whoever_comes_back_too_late_costs_no_reads_of_its_own(room, monkeypatch, settings):
    settings.FASTWS_SEND_BUFFER_BYTES = 1000
    at = [await room.abroadcast("x" * 200) for _ in range(20)]
    read, reads = type(get_broker()).aread_history, []

    async def counted(self, group, history, query):
        if query.limit:
            reads.append(query)
        return await read(self, group, history, query)

    monkeypatch.setattr(type(get_broker()), "aread_history", counted)
    members = []
    for number in range(50):
        member, told = await joined(room, at[number % 14], Member(f"{number}"))
        assert told == (at[-1], False)
        members.append(member)
    assert len(reads) <= 2
    member, told = await joined(room, at[16], Member("in time"))
    assert told.recovered
    await member.expect(*["x" * 200] * 3)
    await leave(room, member, *members)


async def test_who_comes_and_goes_costs_one_read(room, monkeypatch):
    at = [await room.abroadcast(text) for text in "abc"]
    read, reads = type(get_broker()).aread_history, []

    async def counted(self, group, history, query):
        if query.limit:
            reads.append(query)
        return await read(self, group, history, query)

    monkeypatch.setattr(type(get_broker()), "aread_history", counted)
    for _ in range(20):
        member, told = await joined(room, at[0])
        assert told == (at[2], True)
        await member.expect("b", "c")
        await leave(room, member)
    assert len(reads) == 1
    at.append(await room.abroadcast("d"))  # which is not heard here
    member, told = await joined(room, at[0])
    assert told == (at[3], True)
    await member.expect("b", "c", "d")
    await leave(room, member)
    at.append(await room.abroadcast("e"))
    member, told = await joined(room, at[4])
    at.append(await room.abroadcast("f"))  # behind one that was not heard
    other, told = await joined(room, at[2], Member("two"))
    assert told.recovered
    await other.expect("d", "e", "f")
    await leave(room, member, other)
    await room.aclear()
    at = [await room.abroadcast(text) for text in "ghijkl"]
    member, told = await joined(room, at[5])
    await room.abroadcast("m")
    other, told = await joined(room, at[3], Member("two"))
    assert told.recovered
    await other.expect("k", "l", "m")
    await leave(room, member, other)
    left = current_hub()._histories._left
    left[f"fastws.n.{room.name}"].clear()
    assert f"fastws.n.{room.name}" not in left
