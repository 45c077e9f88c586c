"""The scheduler of fan-outs: batches, slices, pauses, and when the layer is held."""

import asyncio
import time

import pytest

from django_fastws import Room
from django_fastws._core import pacing
from django_fastws._core.envelope import Envelope
from django_fastws._core.fanout import BATCH_BYTES
from django_fastws._core.groups import group_name
from django_fastws._core.messages import Payload
from django_fastws.rooms import scheduler
from django_fastws.rooms.hub import current_hub
from tests.rooms.members import Member, broadcast, crowd, deliver, settle, turns, until
from tests.support.hubs import EMPTY, hub_state


async def test_what_cannot_be_sent_is_logged_and_stands_in_nobodys_way(hub, caplog):
    member = Member()
    await hub.join(member, "lobby")
    for text in ("\ud800", "\ud800", "hi"):
        hub.deliver(Envelope.broadcast(group_name("lobby"), Payload(text)))
    await settle()
    assert member.got == ["hi"]
    assert len(caplog.records) == 1
    assert hub_state(hub) == EMPTY._replace(rooms={group_name("lobby"): 1}, is_open=True)


async def test_more_than_can_be_sent_holds_the_link_until_half_of_it_is_sent(hub, clients, monkeypatch):
    monkeypatch.setattr(scheduler, "_MOST_BYTES", 10)
    member = Member()
    await hub.join(member, "lobby")
    for number in range(12):
        hub.deliver(Envelope.broadcast(group_name("lobby"), Payload(str(number % 10)), None))
    assert clients[0].short == ["+lobby", "hold"]  # once
    await settle()
    assert clients[0].short == ["+lobby", "hold", "resume"]
    assert len(member.got) == 12


async def test_messages_without_bytes_are_bounded_too(hub, clients, monkeypatch):
    monkeypatch.setattr(scheduler, "_MOST_BROADCASTS", 10)
    member = Member()
    await hub.join(member, "lobby")
    for _ in range(12):
        hub.deliver(Envelope.broadcast(group_name("lobby"), Payload(""), None))
    assert clients[0].short == ["+lobby", "hold"]
    await settle()
    assert clients[0].short == ["+lobby", "hold", "resume"]
    assert member.got == 12 * [""]


@pytest.mark.parametrize(
    ("bound", "texts"), [("_MOST_BYTES", ["123456"]), ("_MOST_BROADCASTS", [""] * 6)], ids=["bytes", "broadcasts"]
)
async def test_a_link_that_is_held_is_resumed_at_half_of_the_bound(
    hub, clients, step_by_step, monkeypatch, bound, texts
):
    monkeypatch.setattr(scheduler, bound, 10)
    for name in ("one", "two"):
        await hub.join(Member(), name)
        deliver(hub, name, *texts)
    held = []
    for _ in range(3):
        held.append(clients[0].short[-1])
        hub._scheduler._send()  # one room's turn
    assert held == ["hold", "hold", "resume"]


async def test_a_link_that_is_held_is_resumed_when_the_last_member_leaves(hub, clients, monkeypatch):
    monkeypatch.setattr(scheduler, "_MOST_BYTES", 1)
    member = Member()
    await hub.join(member, "lobby")
    hub.deliver(Envelope.broadcast(group_name("lobby"), Payload("too much"), None))
    await hub.leave(member, "lobby")
    assert clients[0].short[-2:] == ["resume", "close"]
    await settle()
    await hub.join(member, "lobby")
    await broadcast(hub, "lobby", "hi")
    assert member.got == ["hi"]


async def test_who_publishes_in_the_same_process_waits_for_a_room_that_cannot_keep_up(monkeypatch, step_by_step):
    monkeypatch.setattr(scheduler, "_MOST_BYTES", 10)
    members = [Member(str(number)) for number in range(300)]
    hub = current_hub()
    for member in members:
        await hub.join(member, "lobby")
    try:
        most = 0
        for number in range(30):
            await Room("lobby").abroadcast(f"{number:05}")
            most = max(most, hub_state(hub).waiting[1])
        assert 10 <= most <= 15
        async with asyncio.timeout(30):
            while len(members[-1].got) < 30:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert members[-1].got == [f"{number:05}" for number in range(30)]
    finally:
        for member in members:
            await hub.leave(member, "lobby")


async def test_what_arrives_in_one_turn_is_one_write_for_each_member(hub, clients):
    members = [Member("one"), Member("two"), Member("three")]
    for member in members:
        await hub.join(member, "lobby")
    for number in range(5):
        hub.deliver(Envelope.broadcast(group_name("lobby"), Payload(str(number)), "two" if number == 3 else None))
    await settle()
    assert [member.got for member in members] == [list("01234"), list("0124"), list("01234")]
    assert [member.posts for member in members] == [1, 1, 1]


async def test_a_burst_over_the_joined_size_is_as_few_writes_as_it_can_be(hub, clients):
    member = Member()
    await hub.join(member, "lobby")
    for number in range(10):
        hub.deliver(Envelope.broadcast(group_name("lobby"), Payload(str(number) * (BATCH_BYTES // 4)), None))
    await settle()
    assert [text[0] for text in member.got] == list("0123456789")
    assert member.posts == 3


async def test_members_have_a_turn_between_two_writes_of_a_room(hub, clients):
    member = Member()
    await hub.join(member, "lobby")
    for number in range(3):
        hub.deliver(Envelope.broadcast(group_name("lobby"), Payload(str(number) * BATCH_BYTES), None))
    await asyncio.sleep(0)
    assert member.posts == 1
    await settle()
    assert member.posts == 3


async def test_a_large_room_leaves_the_loop_to_others_between_its_slices(hub, clients, step_by_step):
    members = await crowd(hub, "lobby", 10_000)
    deliver(hub, "lobby", "hi")
    before, most = 0, 0
    async for _ in turns(lambda: members[-1].posts):
        now = sum(member.posts for member in members)
        before, most = now, max(most, now - before)
    assert sum(member.posts for member in members) == 10_000
    assert most <= 64


async def test_a_slice_is_over_after_some_milliseconds(hub, clients, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(scheduler.time, "perf_counter", lambda: now)

    class Slow(Member):
        def post(self, batch):
            nonlocal now
            now += 0.0001
            super().post(batch)

    members = [Slow(str(number)) for number in range(1000)]
    for member in members:
        await hub.join(member, "lobby")
    await broadcast(hub, "lobby", "hi")
    assert 0.01 <= now - 1000 <= 0.02
    assert 100 <= sum(member.posts for member in members) <= 200
    await until(lambda: members[-1].posts)
    assert [member.posts for member in members] == [1] * 1000


async def test_rooms_have_their_slices_in_turn(hub, clients, step_by_step):
    large, larger, small = (
        await crowd(hub, "large", 640),
        await crowd(hub, "larger", 1280),
        await crowd(hub, "small", 2),
    )
    for _ in range(3):
        deliver(hub, "large", "hi")
        deliver(hub, "larger", "hi")
        deliver(hub, "small", "hi")
    served = []
    async for _ in turns(lambda: served and served[-1] == [1920, 3840, 6]):
        served.append([sum(len(member.got) for member in room) for room in (large, larger, small)])
    assert served[:4] == [[192, 0, 0], [192, 192, 0], [192, 192, 6], [384, 192, 6]]


async def test_a_busy_room_pauses_after_a_long_fan_out_and_what_arrives_meanwhile_is_batched(
    hub, clients, monkeypatch
):
    monkeypatch.setattr(pacing, "_SHORTEST", 0)
    monkeypatch.setattr(pacing, "_LONGEST", 1)
    member, began = Member(), time.perf_counter()
    monkeypatch.setattr(member, "post", lambda batch, post=member.post: (time.sleep(0.05), post(batch)))
    await hub.join(member, "lobby")
    await broadcast(hub, "lobby", "first")  # an idle room is served at once
    assert member.got == ["first"]
    many = [str(number) for number in range(20)]
    for text in many:
        deliver(hub, "lobby", text)
    await broadcast(hub, "lobby", "last of many")  # and one that has had time to rest, too
    assert member.got == ["first", *many, "last of many"]
    assert member.posts == 2
    for text in ("second", "third", "fourth"):
        await broadcast(hub, "lobby", text)
    assert member.posts == 2
    async with asyncio.timeout(30):
        while member.posts < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert member.got[-3:] == ["second", "third", "fourth"]
    assert time.perf_counter() - began >= 0.15
