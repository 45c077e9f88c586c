"""The part of a room in one event loop: who gets a broadcast, in which order, and members that fail or leave."""

import asyncio
import time

import pytest

from django_fastws import metrics
from django_fastws._core.envelope import Envelope
from django_fastws._core.groups import group_name
from django_fastws._core.messages import Payload
from tests.rooms.members import Member, broadcast, crowd, deliver, settle, turns, until
from tests.support.hubs import EMPTY, hub_state


async def test_what_is_excluded_does_not_get_it(hub):
    one, two = Member("one"), Member("two")
    await hub.join(one, "lobby")
    await hub.join(two, "lobby")
    await broadcast(hub, "lobby", "hi", exclude="one")
    await broadcast(hub, "lobby", "ho", exclude="stranger")
    assert (one.got, two.got) == (["ho"], ["hi", "ho"])


async def test_members_come_go_and_change_between_two_broadcasts(hub):
    one, two, late = Member("one"), Member("two"), []
    await hub.join(one, "lobby")
    await broadcast(hub, "lobby", "1")
    await hub.join(two, "lobby")
    await broadcast(hub, "lobby", "2")
    one.post = late.append
    hub.repost(one, "lobby")
    await broadcast(hub, "lobby", "3")
    await hub.leave(one, "lobby")
    await broadcast(hub, "lobby", "4")
    assert (one.got, two.got, [batch.text for batch in late]) == (["1", "2"], ["2", "3", "4"], ["3"])


async def test_who_is_excluded_is_found_among_members_of_several_kinds(hub):
    def kind():
        known = {}

        class Known(Member):
            _find = staticmethod(lambda name: [known[name]] if name in known else [])

        return known, Known

    members = []
    for name, (known, make) in (("one", kind()), ("two", kind())):
        members.append(make(name))
        known[name] = members[-1]
        await hub.join(members[-1], "lobby")
    for name in ("one", "two"):
        await broadcast(hub, "lobby", f"not to {name}", exclude=name)
    assert [member.got for member in members] == [["not to two"], ["not to one"]]


async def test_a_fan_out_is_counted_once_with_its_deliveries_and_how_long_it_took(hub, clients, step_by_step):
    metrics.reset()
    await crowd(hub, "lobby", 200)
    began = time.perf_counter()
    deliver(hub, "lobby", "größe", "hi")
    await settle()
    took = time.perf_counter() - began
    (value,) = metrics.fanout_seconds.values.values()
    assert (value.count, 0 < value.sum < took) == (1, True)
    assert (metrics.deliveries.total, metrics.delivered_bytes.total) == (400, 200 * (9 + 4))  # frames


async def test_all_members_get_one_payload(hub):
    seen = []
    members = [Member(str(number)) for number in range(3)]
    for member in members:
        member.post = seen.append
        await hub.join(member, "lobby")
    await broadcast(hub, "lobby", "hi")
    assert len(seen) == 3
    assert len(set(map(id, seen))) == 1


async def test_broadcasts_come_in_their_order(hub):
    member = Member()
    await hub.join(member, "lobby")
    for number in range(100):
        await broadcast(hub, "lobby", str(number))
    assert member.got == [str(number) for number in range(100)]


@pytest.mark.parametrize("data", ["", b"", "größe", b"\xff"])
async def test_text_and_binary_arrive_as_they_are(hub, data):
    member = Member()
    await hub.join(member, "lobby")
    await broadcast(hub, "lobby", data)
    assert member.got == [data]
    assert type(member.got[0]) is type(data)


async def test_a_broken_member_does_not_disturb_the_others(hub, caplog):
    one, broken, two = Member("one"), Member("broken", ValueError("on purpose")), Member("two")
    for member in (one, broken, two):
        await hub.join(member, "lobby")
    await broadcast(hub, "lobby", "hi")
    assert (one.got, two.got) == (["hi"], ["hi"])
    assert any("on purpose" in str(record.exc_info) for record in caplog.records)


async def test_a_member_may_leave_while_it_is_served(hub):
    one, two = Member("one"), Member("two")
    one.post = lambda payload: hub.drop(one, {"lobby"})
    for member in (one, two):
        await hub.join(member, "lobby")
    await broadcast(hub, "lobby", "hi")
    assert two.got == ["hi"]


async def test_broadcasts_that_exclude_many_leave_the_loop_to_others(hub, clients):
    members = await crowd(hub, "lobby", 1000)
    for number in range(4000):
        hub.deliver(Envelope.broadcast(group_name("lobby"), Payload(f"{number:04}"), f"lobby {number}"))
    longest, began = 0.0, time.thread_time()  # not what others take from this processor
    async for _ in turns(lambda: len(members[-1].got) == 3999 and not hub_state(hub).due):
        longest, began = max(longest, time.thread_time() - began), time.thread_time()
    assert longest < 0.25  # it was seconds
    for number in (0, 500, 999):
        assert members[number].got == [f"{other:04}" for other in range(4000) if other != number]


async def test_what_arrives_in_the_middle_of_a_fan_out_comes_after_it_and_once(hub, clients, step_by_step):
    members = await crowd(hub, "lobby", 300)
    deliver(hub, "lobby", "one", "two")
    await asyncio.sleep(0)
    assert members[0].got == ["one", "two"]
    assert members[-1].got == []
    deliver(hub, "lobby", "three")
    deliver(hub, "lobby", "four", exclude="lobby 7")
    everything = ["one", "two", "three", "four"]
    await until(lambda: members[-1].got == everything)
    assert [member.got for member in members] == [everything] * 7 + [everything[:3]] + [everything] * 292
    assert {member.posts for member in members} == {2}


async def test_who_comes_in_the_middle_gets_what_comes_after_and_who_leaves_gets_no_more(hub, clients, step_by_step):
    members = await crowd(hub, "lobby", 300)
    deliver(hub, "lobby", "one")
    await asyncio.sleep(0)
    newcomer, returned = Member("new"), members[250]
    await hub.join(newcomer, "lobby")
    hub.drop(members[0], {"lobby"})
    await hub.leave(members[299], "lobby")
    await hub.leave(returned, "lobby")
    await hub.join(returned, "lobby")
    deliver(hub, "lobby", "two")
    await until(lambda: newcomer.got == ["two"])
    await settle()
    assert (members[0].got, members[299].got, newcomer.got) == (["one"], [], ["two"])
    assert returned.got == ["one", "two"]
    assert [member.got for member in members[1:250]] == [["one", "two"]] * 249


async def test_a_room_that_everybody_leaves_in_the_middle_leaves_nothing_behind(hub, clients, step_by_step):
    members = await crowd(hub, "lobby", 200)
    deliver(hub, "lobby", "one")
    await asyncio.sleep(0)
    deliver(hub, "lobby", "two")
    for member in members:
        hub.drop(member, {"lobby"})
    await settle()
    assert {tuple(member.got) for member in members[64:]} == {()}
    assert hub_state(hub) == EMPTY


async def test_a_member_that_fails_in_a_later_slice_does_not_disturb_the_others(hub, clients, step_by_step, caplog):
    members = await crowd(hub, "lobby", 100)
    broken = Member("broken", ValueError("on purpose"))
    await hub.join(broken, "lobby")
    members += await crowd(hub, "lobby", 100)
    deliver(hub, "lobby", "one")
    await settle()
    deliver(hub, "lobby", "two")
    await settle()
    assert {tuple(member.got) for member in members} == {("one", "two")}
    assert len(caplog.records) == 2
