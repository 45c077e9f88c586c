"""The hub, on a client of a broker that is not there: who is in which room, and the races of coming and going."""

import asyncio
import gc
import logging
import weakref

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from django_fastws import WebSocketConnectionError
from django_fastws._core.envelope import BROADCAST, Envelope, decode
from django_fastws._core.groups import group_name
from django_fastws._core.messages import Payload
from django_fastws.layer.decoding_errors import DecodingErrors
from django_fastws.rooms import subscriptions
from django_fastws.rooms.hub import Hub, current_hub
from django_fastws.testing import connect
from django_fastws.transports.find import ASGITransport
from django_fastws.websocket import InboundWebSocket
from tests.rooms.members import Member, broadcast, deliver, settle
from tests.support.brokers import Clients, FakeClient, fake_broker
from tests.support.clock import Clock
from tests.support.examples import examples
from tests.support.hubs import EMPTY, hub_state

_started = set()


def start(coroutine):
    """A task that does not outlive the test, and whose error is not left behind."""
    task = asyncio.get_running_loop().create_task(coroutine)
    _started.add(task)
    return task


@pytest.fixture(autouse=True)
async def _end_of_tasks():
    yield
    tasks = list(_started)
    _started.clear()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def lost():
    return WebSocketConnectionError("on purpose")


async def test_a_room_is_one_subscription_however_many_members_it_has(hub, clients):
    members = [Member(str(number)) for number in range(5)]
    for member in members:
        await hub.join(member, "lobby")
    assert clients[0].short == ["+lobby"]
    for member in members:
        await hub.leave(member, "lobby")
    assert clients[0].short == ["+lobby", "-lobby", "close"]


async def test_joining_twice_is_joining_once(hub, clients):
    member = Member()
    await hub.join(member, "lobby")
    await hub.join(member, "lobby")
    await broadcast(hub, "lobby", "hi")
    assert member.got == ["hi"]
    await hub.leave(member, "lobby")
    await broadcast(hub, "lobby", "hi")
    assert member.got == ["hi"]
    assert clients[0].groups == set()


async def test_leaving_a_room_that_one_is_not_in_does_nothing(hub, clients):
    one, two = Member("one"), Member("two")
    await hub.leave(one, "lobby")
    assert clients == []
    await hub.join(one, "lobby")
    await hub.leave(two, "lobby")
    hub.drop(two, {"lobby", "another"})
    await settle()
    assert clients[0].short == ["+lobby"]


async def test_a_room_without_members_leaves_nothing_behind(hub, clients):
    member = Member()
    for name in ("lobby", "größe ✓", ""):
        await hub.join(member, name)
    hub.drop(member, {"lobby", "größe ✓", ""})
    await settle()
    assert clients[0].groups == set()
    assert clients[0].closed
    assert hub_state(hub) == EMPTY


async def test_a_member_that_has_left_is_not_kept(hub):
    member = Member()
    kept = weakref.ref(member)
    await hub.join(member, "lobby")
    await hub.leave(member, "lobby")
    del member
    gc.collect()
    assert kept() is None


async def test_the_link_is_made_anew_after_the_last_room(hub, clients):
    member = Member()
    for _ in range(2):
        await hub.join(member, "lobby")
        await hub.leave(member, "lobby")
    assert [made.short for made in clients] == [["+lobby", "-lobby", "close"]] * 2


async def test_rooms_are_apart(hub):
    one, two, both = Member("one"), Member("two"), Member("both")
    await hub.join(one, "1")
    await hub.join(two, "2")
    await hub.join(both, "1")
    await hub.join(both, "2")
    await broadcast(hub, "1", "to one")
    await broadcast(hub, "2", b"to two")
    assert (one.got, two.got, both.got) == (["to one"], [b"to two"], ["to one", b"to two"])


async def test_drop_takes_effect_at_once(hub, clients):
    member = Member()
    await hub.join(member, "lobby")
    hub.drop(member, {"lobby"})
    deliver(hub, "lobby", "hi")
    assert clients[0].groups
    await settle()
    assert member.got == []
    assert clients[0].groups == set()


async def test_a_broken_member_does_not_disturb_the_layer(hub, caplog):
    await hub.join(Member("broken", ValueError("on purpose")), "lobby")
    await broadcast(hub, "lobby", "hi")
    assert any("on purpose" in str(record.exc_info) for record in caplog.records)


@pytest.mark.parametrize(
    "envelope",
    [Envelope(BROADCAST, "nobody's", "x"), Envelope(BROADCAST, "", "x"), Envelope.control(group_name("lobby"), {})],
    ids=["of another room", "of no room", "control"],
)
async def test_what_is_for_nobody_is_ignored(hub, caplog, envelope):
    member = Member()
    await hub.join(member, "lobby")
    hub.deliver(envelope)
    await settle()
    assert member.got == []
    assert caplog.records == []


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(st.dictionaries(st.sampled_from(["type", "v", "room", "text", "bytes", "exclude"]), JUNK), max_size=5)
)
def test_whatever_comes_is_said_once_without_a_traceback_and_stands_in_nobodys_way(caplog, changes):
    caplog.clear()
    asyncio.run(survive(changes))
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) <= 2  # of a version, and of garbage
    assert not any(record.exc_info for record in caplog.records)


async def survive(changes):
    hub, member = Hub(), Member()
    original, subscriptions.get_broker = subscriptions.get_broker, fake_broker(client=FakeClient)
    try:
        await hub.join(member, "lobby")
        good, errors = Envelope.broadcast(group_name("lobby"), Payload("good")), DecodingErrors()
        for change in changes:
            try:
                envelope = decode({**good.encode(), **change})
            except Exception as error:
                errors.log(error)
            else:
                if envelope is not None:
                    hub.deliver(envelope)
        hub.deliver(good)
        await settle()
        assert member.got[-1] == "good"
        await hub.leave(member, "lobby")
        assert hub_state(hub) == EMPTY
    finally:
        subscriptions.get_broker = original


async def held(clients, hub, call):
    """A hub with a client that is held at a call; a member in another room keeps it alive."""
    keeper = Member("keeper")
    await hub.join(keeper, "elsewhere")
    (client,) = clients
    client.calls.clear()
    client.gates[call].clear()
    return client


async def test_neither_of_two_who_join_returns_before_the_subscription(hub, clients):
    client = await held(clients, hub, "subscribe")
    joins = [start(hub.join(Member(str(number)), "lobby")) for number in range(2)]
    await settle()
    assert not any(join.done() for join in joins)
    client.gates["subscribe"].set()
    await asyncio.gather(*joins)
    assert client.short == ["+lobby"]


async def test_one_who_joins_while_the_last_one_leaves_is_subscribed_when_the_call_returns(hub, clients):
    client = await held(clients, hub, "unsubscribe")
    one, two = Member("one"), Member("two")
    await hub.join(one, "lobby")
    leaving = start(hub.leave(one, "lobby"))
    await settle()
    joining = start(hub.join(two, "lobby"))
    await settle()
    assert not joining.done()
    client.gates["unsubscribe"].set()
    await asyncio.gather(leaving, joining)
    assert client.short == ["+lobby", "-lobby", "+lobby"]
    assert group_name("lobby") in client.groups
    await broadcast(hub, "lobby", "hi")
    assert (one.got, two.got) == ([], ["hi"])


async def test_one_who_leaves_while_it_joins_is_out_and_so_is_the_subscription(hub, clients):
    client = await held(clients, hub, "subscribe")
    member = Member()
    joining = start(hub.join(member, "lobby"))
    await settle()
    leaving = start(hub.leave(member, "lobby"))
    await settle()
    client.gates["subscribe"].set()
    await asyncio.gather(joining, leaving)
    await settle()
    await broadcast(hub, "lobby", "hi")
    assert member.got == []
    assert client.short == ["+lobby", "-lobby"]


async def test_a_leave_that_is_cancelled_gives_the_subscription_back_and_lets_go_of_the_layer(hub, clients):
    member = Member()
    await hub.join(member, "lobby")
    (client,) = clients
    client.gates["unsubscribe"].clear()
    leaving = start(hub.leave(member, "lobby"))
    await settle()
    leaving.cancel()
    client.gates["unsubscribe"].set()
    await settle()
    assert leaving.cancelled()
    assert client.groups == set()
    assert client.closed


async def test_who_joins_after_a_leave_that_is_cancelled_is_subscribed(hub, clients):
    client = await held(clients, hub, "unsubscribe")
    one, two = Member("one"), Member("two")
    await hub.join(one, "lobby")
    leaving = start(hub.leave(one, "lobby"))
    await settle()
    joining = start(hub.join(two, "lobby"))
    await settle()
    leaving.cancel()
    client.gates["unsubscribe"].set()
    await joining
    await settle()
    assert group_name("lobby") in client.groups
    await broadcast(hub, "lobby", "hi")
    assert (one.got, two.got) == ([], ["hi"])


async def test_one_who_is_dropped_while_it_joins_is_out_and_so_is_the_subscription(hub, clients):
    client = await held(clients, hub, "subscribe")
    member = Member()
    joining = start(hub.join(member, "lobby"))
    await settle()
    hub.drop(member, {"lobby"})
    client.gates["subscribe"].set()
    await joining
    await settle()
    assert client.short == ["+lobby", "-lobby"]
    assert group_name("lobby") not in hub_state(hub).rooms


async def test_a_join_that_is_cancelled_leaves_the_others_in(hub, clients):
    client = await held(clients, hub, "subscribe")
    one, two = Member("one"), Member("two")
    first, second = start(hub.join(one, "lobby")), start(hub.join(two, "lobby"))
    await settle()
    first.cancel()
    await settle()
    client.gates["subscribe"].set()
    await second
    await broadcast(hub, "lobby", "hi")
    assert (one.got, two.got) == ([], ["hi"])
    assert group_name("lobby") in client.groups


async def test_a_join_that_is_cancelled_leaves_no_room(hub, clients):
    client = await held(clients, hub, "subscribe")
    joining = start(hub.join(Member(), "lobby"))
    await settle()
    joining.cancel()
    client.gates["subscribe"].set()
    await settle()
    assert group_name("lobby") not in hub_state(hub).rooms
    assert group_name("lobby") not in client.groups


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_a_subscription_that_may_have_been_made_is_given_back(hub, clients, how):
    # Redis may have heard SUBSCRIBE when the wait for its answer is given up
    client = await held(clients, hub, "subscribe")
    client.fails["subscribe"] = [lost()] if how == "failed" else []
    joining = start(hub.join(Member(), "lobby"))
    await settle()
    if how == "cancelled":
        joining.cancel()
    client.gates["subscribe"].set()
    await settle()
    assert client.short == ["+lobby", "-lobby"]


async def test_one_of_two_joins_of_one_socket_is_cancelled_and_it_is_in(hub, clients):
    client = await held(clients, hub, "subscribe")
    member = Member()
    for cancelled in range(3):
        joins = [start(hub.join(member, f"room {cancelled}")) for _ in range(3)]
        await settle()
        joins[cancelled].cancel()
        await settle()
        client.gates["subscribe"].set()
        results = await asyncio.gather(*joins, return_exceptions=True)
        assert [type(result) for result in results].count(asyncio.CancelledError) == 1
        await settle()
        await broadcast(hub, f"room {cancelled}", str(cancelled))
        assert member.got[-1] == str(cancelled)
        client.gates["subscribe"].clear()


async def test_all_joins_of_one_socket_are_cancelled_and_it_is_out(hub, clients):
    client = await held(clients, hub, "subscribe")
    member = Member()
    joins = [start(hub.join(member, "lobby")) for _ in range(3)]
    await settle()
    for join in joins:
        join.cancel()
    client.gates["subscribe"].set()
    await asyncio.gather(*joins, return_exceptions=True)
    await settle()
    assert group_name("lobby") not in hub_state(hub).rooms
    assert group_name("lobby") not in client.groups
    assert not hub.has(member, "lobby")


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_a_member_that_joins_again_in_vain_stays_in(hub, clients, how):
    client = await held(clients, hub, "subscribe")
    client.gates["subscribe"].set()
    member = Member()
    await hub.join(member, "lobby")
    client.lost.add(group_name("lobby"))
    client.gates["resubscribed"].clear()
    client.fails["resubscribed"] = [lost()] if how == "failed" else []
    again = start(hub.join(member, "lobby"))
    await settle()
    assert not again.done()
    if how == "cancelled":
        again.cancel()
    client.gates["resubscribed"].set()
    await asyncio.gather(again, return_exceptions=True)
    assert again.cancelled() or again.exception()
    await settle()
    await broadcast(hub, "lobby", "hi")
    assert member.got == ["hi"]


@pytest.mark.parametrize("is_settled", [False, True], ids=["at once", "a moment later"])
@pytest.mark.parametrize(
    ("cancelled", "is_in"),
    [("none", True), ("first join", True), ("leave", True), ("second join", False), ("all", False)],
)
async def test_of_join_leave_and_join_the_last_that_is_not_cancelled_says_who_is_in(
    hub, clients, cancelled, is_in, is_settled
):
    client = await held(clients, hub, "subscribe")
    member, calls = Member(), {}
    for name, call in (("first join", hub.join), ("leave", hub.leave), ("second join", hub.join)):
        calls[name] = start(call(member, "lobby"))
        await settle()
    for name, call in calls.items():
        if cancelled in (name, "all"):
            call.cancel()
    if is_settled:
        await settle()
    client.gates["subscribe"].set()
    results = await asyncio.gather(*calls.values(), return_exceptions=True)
    await settle()
    assert [result for result in results if not isinstance(result, asyncio.CancelledError | None)] == []
    await broadcast(hub, "lobby", "hi")
    assert (hub.has(member, "lobby"), member.got) == ((True, ["hi"]) if is_in else (False, []))
    assert (group_name("lobby") in client.groups) == is_in


async def test_who_joins_while_the_subscription_is_made_again_waits_for_it(hub, clients):
    client = await held(clients, hub, "subscribe")
    client.gates["subscribe"].set()
    one, two, three = Member("one"), Member("two"), Member("three")
    await hub.join(one, "lobby")
    client.lost.add(group_name("lobby"))
    client.gates["resubscribed"].clear()
    joins = [start(hub.join(member, "lobby")) for member in (two, three)]
    await settle()
    assert not any(join.done() for join in joins)
    client.lost.clear()
    client.gates["resubscribed"].set()
    await asyncio.gather(*joins)
    await broadcast(hub, "lobby", "hi")
    assert (one.got, two.got, three.got) == (["hi"], ["hi"], ["hi"])


async def test_who_joins_and_the_subscription_is_not_made_again_in_time_is_told_and_the_others_stay(hub, clients):
    client = await held(clients, hub, "subscribe")
    client.gates["subscribe"].set()
    one, two = Member("one"), Member("two")
    await hub.join(one, "lobby")
    client.lost.add(group_name("lobby"))
    client.fails["resubscribed"] = [lost()]
    with pytest.raises(WebSocketConnectionError):
        await hub.join(two, "lobby")
    client.lost.clear()
    await settle()
    await broadcast(hub, "lobby", "hi")
    assert (one.got, two.got) == (["hi"], [])


async def test_a_join_that_fails_is_raised_and_the_member_is_not_in(hub, clients):
    client = await held(clients, hub, "subscribe")
    client.gates["subscribe"].set()
    client.fails["subscribe"] = [lost()]
    member = Member()
    with pytest.raises(WebSocketConnectionError):
        await hub.join(member, "lobby")
    await settle()
    await broadcast(hub, "lobby", "hi")
    assert member.got == []
    assert group_name("lobby") not in hub_state(hub).rooms
    await hub.join(member, "lobby")
    await broadcast(hub, "lobby", "hi")
    assert member.got == ["hi"]


async def test_a_join_that_fails_at_first_is_tried_for_the_next_one(hub, clients):
    client = await held(clients, hub, "subscribe")
    client.fails["subscribe"] = [lost()]
    one, two = Member("one"), Member("two")
    first, second = start(hub.join(one, "lobby")), start(hub.join(two, "lobby"))
    await settle()
    client.gates["subscribe"].set()
    with pytest.raises(WebSocketConnectionError):
        await first
    await second
    await settle()
    await broadcast(hub, "lobby", "hi")
    assert (one.got, two.got) == ([], ["hi"])
    assert group_name("lobby") in client.groups


async def test_a_join_that_fails_with_any_error_leaves_nothing_behind(hub, clients):
    made = []

    def failing(deliver):
        client = FakeClient(deliver)
        client.fails["subscribe"] = [ValueError("on purpose")]
        made.append(client)
        return client

    subscriptions.get_broker = fake_broker(client=failing)  # clients, the fixture, puts it back
    with pytest.raises(ValueError, match="on purpose"):
        await hub.join(Member(), "lobby")
    await settle()
    assert hub_state(hub) == EMPTY
    assert made[0].closed


async def test_leaving_while_the_layer_is_away_is_leaving_and_logged(hub, clients, caplog):
    client = await held(clients, hub, "unsubscribe")
    client.gates["unsubscribe"].set()
    client.fails["unsubscribe"] = [lost(), lost()]
    for leave in (hub.leave, lambda member, name: hub.drop(member, {name})):
        member = Member()
        await hub.join(member, "lobby")
        left = leave(member, "lobby")
        if left is not None:
            await left
        await settle()
        await broadcast(hub, "lobby", "hi")
        assert member.got == []
        assert group_name("lobby") not in hub_state(hub).rooms
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


async def test_a_room_can_be_joined_again_after_leaving_it_failed(hub, clients):
    client = await held(clients, hub, "unsubscribe")
    client.gates["unsubscribe"].set()
    client.fails["unsubscribe"] = [lost()]
    member = Member()
    await hub.join(member, "lobby")
    await hub.leave(member, "lobby")
    await hub.join(member, "lobby")
    await broadcast(hub, "lobby", "hi")
    assert member.got == ["hi"]


async def test_subscriptions_are_refreshed_where_the_layer_wants_it(hub, clients):
    clock, clients.refresh_seconds = Clock(), 1000
    member = Member()
    await hub.join(member, "lobby")
    await hub.join(member, "other")
    for _ in range(2):
        clients[0].calls.clear()
        await clock.advance(1001)
        assert sorted(clients[0].short) == ["+lobby", "+other"]
    hub.drop(member, {"lobby", "other"})
    await settle()
    assert clients[0].closed
    await hub.join(member, "lobby")
    clients[1].calls.clear()
    await clock.advance(1001)
    assert clients[1].short == ["+lobby"]  # once: nothing is left of the refreshing before


async def test_a_refresh_that_fails_is_logged_and_goes_on(hub, clients, caplog):
    clock, clients.refresh_seconds = Clock(), 1000
    member = Member()
    await hub.join(member, "lobby")
    await hub.join(member, "other")
    clients[0].calls.clear()
    clients[0].fails["subscribe"] = [ValueError("on purpose")]
    await clock.advance(1001)
    assert len(clients[0].calls) == 2
    assert "on purpose" in caplog.text


async def test_a_room_that_is_left_during_a_refresh_holds_no_subscription(hub, clients):
    clock, clients.refresh_seconds = Clock(), 1000
    member = Member()
    await hub.join(member, "lobby")
    await hub.join(Member("keeper"), "elsewhere")
    client = clients[0]
    client.gates["subscribe"].clear()
    await clock.advance(1001)
    leaving = start(hub.leave(member, "lobby"))
    await settle()
    client.gates["subscribe"].set()
    await leaving
    await settle()
    assert client.groups == {group_name("elsewhere")}


async def test_leaving_that_is_cancelled_during_a_refresh_gives_the_subscription_back(hub, clients):
    clock, clients.refresh_seconds = Clock(), 1000
    member = Member()
    await hub.join(member, "lobby")
    await hub.join(Member("keeper"), "elsewhere")
    client = clients[0]
    client.gates["subscribe"].clear()
    await clock.advance(1001)
    leaving = start(hub.leave(member, "lobby"))
    await settle()
    leaving.cancel()
    await settle()
    client.gates["subscribe"].set()
    await hub.settled()
    assert client.groups == {group_name("elsewhere")}
    assert hub_state(hub).rooms == {group_name("elsewhere"): 1}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "drop", "cancel", "fail", "hold", "go", "turn"]),
        st.integers(0, 2),
        st.sampled_from(["a", "b"]),
    ),
    max_size=40,
)


@settings(
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(STEPS)
@example([("join", 0, "a"), ("hold", 0, "a"), ("leave", 0, "a"), ("turn", 0, "a"), ("join", 1, "a"), ("go", 0, "a")])
def test_in_the_end_the_subscriptions_are_the_rooms_that_have_members(steps):
    asyncio.run(live(steps))


async def live(steps):
    clients = Clients()
    hub, members = Hub(), [Member(str(number)) for number in range(3)]
    original, subscriptions.get_broker = subscriptions.get_broker, fake_broker(client=clients.make)
    tasks, expected = [], {}

    async def join(member, room):
        expected[member, room] = None  # not known while it lasts
        try:
            await hub.join(member, room)
        except (WebSocketConnectionError, asyncio.CancelledError):
            expected.pop((member, room), None)
        else:
            if expected.get((member, room), "left") is None:
                expected[member, room] = True

    try:
        for step, number, room in steps:
            member = members[number]
            if step == "join" and (member, room) not in expected:
                tasks.append(asyncio.create_task(join(member, room)))
            elif step == "leave" and expected.get((member, room)):
                del expected[member, room]
                tasks.append(asyncio.create_task(hub.leave(member, room)))
            elif step == "drop" and expected.get((member, room)):
                del expected[member, room]
                hub.drop(member, {room})
            elif step == "cancel" and tasks:
                tasks[-1].cancel()
            elif step == "fail" and clients:
                clients[-1].fails["subscribe"] = [lost()]
            elif step in ("hold", "go") and clients:
                for call in ("subscribe", "unsubscribe"):
                    getattr(clients[-1].gates[call], "clear" if step == "hold" else "set")()
            await asyncio.sleep(0)
            if step == "turn":
                await settle()
        for client in clients:
            for gate in client.gates.values():
                gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        await settle()
        await settle()
        held = {(member, room) for (member, room), state in expected.items() if state}
        assert all(room in ("a", "b") for _, room in held)
        for room in ("a", "b"):
            await broadcast(hub, room, room)
        for member in members:
            assert sorted(member.got) == sorted(room for who, room in held if who is member)
        wanted = {group_name(room) for _, room in held}
        assert hub_state(hub) == EMPTY._replace(
            rooms={group: len([room for _, room in held if group_name(room) == group]) for group in wanted},
            is_open=bool(wanted),
        )
        assert (clients[-1].groups if clients and not clients[-1].closed else set()) == wanted
        assert all(client.closed for client in clients[:-1])
    finally:
        subscriptions.get_broker = original


async def test_a_loop_has_one_hub(clients):
    assert current_hub() is current_hub()


def test_each_loop_has_a_hub_of_its_own_and_leaves_none_behind():
    async def its_hub():
        return current_hub()

    hubs = [asyncio.run(its_hub()) for _ in range(2)]
    assert hubs[0] is not hubs[1]


async def test_a_fan_out_that_fails_is_logged_and_nothing_of_it_is_counted_as_waiting(hub, clients, caplog):
    class Broken(Member):
        id = property(lambda self: 1 / 0, lambda self, value: None)

    await hub.join(Broken(), "lobby")
    for _ in range(3):
        deliver(hub, "lobby", "lost", exclude="somebody")
        await settle()
    assert {type(record.exc_info[1]) for record in caplog.records} == {ZeroDivisionError}
    assert hub_state(hub) == EMPTY._replace(rooms={group_name("lobby"): 1}, is_open=True)


async def test_of_two_tasks_of_a_socket_that_join_a_room_one_is_cancelled_and_it_is_in(clients):
    done = asyncio.Event()

    async def handler(scope, receive, send):
        ws = InboundWebSocket(ASGITransport(scope, receive, send))
        await ws.accept()
        await ws.join("elsewhere")  # which makes the client
        clients[0].gates["subscribe"].clear()
        joins = [start(ws.join("lobby")) for _ in range(2)]
        await settle()
        joins[0].cancel()
        await settle()
        clients[0].gates["subscribe"].set()
        await asyncio.gather(*joins, return_exceptions=True)
        assert joins[0].cancelled()
        await settle()
        assert ws.rooms == {"elsewhere", "lobby"}
        current_hub().deliver(Envelope.broadcast(group_name("lobby"), Payload("hi")))
        await settle()
        await done.wait()
        ws.release()

    async with connect("/", application=handler) as client:
        assert await client.receive_text() == "hi"
        done.set()
