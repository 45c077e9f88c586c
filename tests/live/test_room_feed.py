"""Live rooms with history: positions, resumed joins, and the state where continuity was lost."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.auth.models import User

from django_fastws import History, HistoryUnavailable, Room, metrics
from django_fastws.asgi import get_asgi_application
from django_fastws.layer import get_broker
from django_fastws.rooms import current_hub, scheduler
from django_fastws.rooms.continuity import Continuity
from django_fastws.rooms.histories import Histories
from tests.live.client import Gate, client, declare, turns
from tests.site.client import token


@pytest.fixture(params=["here", pytest.param("redis", marks=pytest.mark.redis)], autouse=True)
def layer(request, settings):
    if request.param == "redis":
        settings.CHANNEL_LAYERS = {"default": request.getfixturevalue("redis_layer")}
    else:
        settings.CHANNEL_LAYERS = {}


@pytest.fixture
def tickets():
    return declare("tickets-{key}", history=History(messages=20))


@pytest.fixture
def name():
    return f"tickets-{token()}"


async def say(name, *texts):
    return [str(await Room(name).abroadcast(text, "said")) for text in texts]


async def heard(one, count):
    frames = [await one.next() for _ in range(count)]
    return [(frame["data"], frame["at"]) for frame in frames]


async def test_a_join_has_a_position_and_events_go_on_from_there(tickets, name):
    async with client() as one:
        joined = await one.join(name)
        epoch, _, _ = joined["at"].partition(":")
        assert joined == {"room": name, "at": f"{epoch}:0", "recovered": False}
        at = await say(name, "a", "b")
        assert at == [f"{epoch}:1", f"{epoch}:2"]
        assert await heard(one, 2) == [("a", at[0]), ("b", at[1])]
        assert str(await Room(name).aposition()) == at[1]


async def test_who_comes_back_gets_what_was_missed_once_and_then_what_is_new(tickets, name):
    at = await say(name, "a", "b", "c")
    async with client() as one:
        assert await one.join(name, since=at[0]) == {"room": name, "at": at[0], "recovered": True, "to": at[2]}
        assert await heard(one, 2) == [("b", at[1]), ("c", at[2])]
        more = await say(name, "d")
        assert await heard(one, 1) == [("d", more[0])]
        assert await one.silent()


async def test_who_has_missed_nothing_is_told_so(tickets, name):
    [at] = await say(name, "a")
    async with client() as one:
        assert await one.join(name, since=at) == {"room": name, "at": at, "recovered": True, "to": at}
        assert await one.silent()


@pytest.mark.parametrize(
    "since", ["", "x", "1", ":", "e:", "other:1", "e:-1", "e:01", "é:1", "e:1:1", "e:" + "9" * 40]
)
async def test_a_position_that_is_none_is_answered_with_the_state(tickets, name, since):
    @tickets.state
    async def state(ws, key) -> str:
        return "state"

    [at] = await say(name, "a")
    async with client() as one:
        assert await one.join(name, since=since) == {"room": name, "at": at, "recovered": False, "state": "state"}
        assert await one.silent()


async def test_a_position_of_the_future_is_answered_with_the_state(tickets, name):
    [at] = await say(name, "a")
    epoch = at.partition(":")[0]
    async with client() as one:
        assert await one.join(name, since=f"{epoch}:2") == {"room": name, "at": at, "recovered": False}


async def test_a_gap_that_is_longer_than_the_history_is_no_recovery(tickets, name):
    at = await say(name, *map(str, range(30)))
    async with client() as one:
        assert (await one.join(name, since=at[8]))["recovered"] is False  # of which 21 follow
    async with client() as one:
        assert (await one.join(name, since=at[9]))["recovered"] is True
        assert await heard(one, 20) == list(zip(map(str, range(10, 30)), at[10:], strict=True))


async def test_what_comes_during_a_resumed_join_comes_once_and_behind_it(tickets, name):
    gate = Gate()

    @tickets.on_join
    async def enter(ws, key):
        await gate.wait()

    at = await say(name, "a", "b")
    async with client() as one:
        await one.say(join=name, id=1, since=at[0])
        await gate.came.wait()
        at += await say(name, "c", "d")
        await turns()
        gate.open()
        assert (await one.next())["ok"]["recovered"]
        assert await heard(one, 3) == [("b", at[1]), ("c", at[2]), ("d", at[3])]
        assert await one.silent()


async def test_the_position_is_read_before_the_state_is_made(tickets, name):
    gate = Gate()

    @tickets.state
    async def state(ws, key) -> int:
        await gate.wait()
        return (await Room(name).aposition()).offset

    [before] = await say(name, "a")
    async with client() as one:
        await one.say(join=name, id=1)
        await gate.came.wait()
        during = await say(name, "b")
        await turns()
        gate.open()
        assert (await one.next())["ok"] == {"room": name, "at": before, "recovered": False, "state": 2}
        assert await heard(one, 1) == [("b", during[0])]  # which the state has, too


async def test_who_is_excluded_gets_the_position_now_and_after_a_reconnect(tickets, name):
    async with client() as one:
        await one.ok(hello={"client": "c-1"})
        at = (await one.join(name))["at"]
        first = str(await Room(name).abroadcast("mine", "said", exclude="c-1"))
        assert await one.next() == {"room": name, "at": first}
        second = await say(name, "theirs")
        assert await heard(one, 1) == [("theirs", second[0])]
    async with client() as one:
        await one.ok(hello={"client": "c-1"})
        assert (await one.join(name, since=at))["recovered"]
        assert await one.next() == {"room": name, "at": first}
        assert await heard(one, 1) == [("theirs", second[0])]
    async with client() as other:
        assert (await other.join(name, since=at))["recovered"]
        assert await heard(other, 2) == [("mine", first), ("theirs", second[0])]


async def test_who_says_the_client_id_of_another_user_misses_nothing_of_what_that_one_has_made(tickets, name):
    @tickets.on("say")
    async def say_it(ws, room: Room, text: str) -> str:
        return str(await room.abroadcast(text, "said", exclude=ws))

    ada, bob = User(pk=5, username="ada"), User(pk=6, username="bob")
    async with client(user=ada) as one:
        await one.ok(hello={"client": "c-1"})
        at = (await one.join(name))["at"]
        await one.say(room=name, event="say", data={"text": "mine"}, id=1)
        told = [await one.next(), await one.next()]  # in whatever order
        first = next(frame["ok"] for frame in told if "ok" in frame)
        assert {"room": name, "at": first} in told
    for user, missed in (
        (bob, {"event": "said", "data": "mine"}),
        (None, {"event": "said", "data": "mine"}),
        (ada, {}),
    ):
        async with client(user=user) as again:
            await again.ok(hello={"client": "c-1"})
            assert (await again.join(name, since=at))["recovered"]
            assert await again.next() == {"room": name, "at": first, **missed}


async def test_volatile_events_have_no_position_and_are_not_stored(tickets, name):
    async with client() as one:
        at = (await one.join(name))["at"]
        assert await Room(name).abroadcast("typing", "typing", volatile=True) is None
        assert await one.next() == {"room": name, "event": "typing", "data": "typing"}
        assert str(await Room(name).aposition()) == at


async def test_a_second_join_of_one_connection_sends_nothing_twice(tickets, name):
    at = await say(name, "a", "b")
    async with client() as one:
        await one.join(name, since=at[0])
        assert await heard(one, 1) == [("b", at[1])]
        assert (await one.join(name, since=at[0]))["recovered"]
        assert await one.silent()
        assert (await one.join(name, since=at[1]))["recovered"]
        assert await one.silent()


async def test_idempotency_keys_count_in_their_room(tickets, name):
    first = await Room(name).abroadcast("a", "said", idempotency_key="k")
    assert await Room(name).abroadcast("b", "said", idempotency_key="k") == first
    assert (await Room(name).abroadcast("c", "said", idempotency_key="l")).offset == 2
    other = f"tickets-{token()}"
    assert (await Room(other).abroadcast("b", "said", idempotency_key="k")).offset == 1
    assert [one.data for one in await Room(name).ahistory()] == ["a", "c"]


async def test_a_history_is_read_in_pages(tickets, name):
    at = await say(name, *map(str, range(30)))
    room = Room(name)

    async def read(**query):
        return [int(one.data) for one in await room.ahistory(**query)]

    assert await read() == await read(limit=2**70) == list(range(10, 30))
    assert await read(limit=3) == [27, 28, 29]
    assert await read(limit=3, before=at[20]) == [17, 18, 19]
    assert await read(limit=3, after=at[20]) == [21, 22, 23]
    assert await read(limit=30, after=at[12], before=at[15]) == [13, 14]
    assert await read(after=at[29]) == []
    last = await room.aposition()
    assert await read(limit=2, after=last._replace(offset=-5), before=at[12]) == [10, 11]
    assert await read(before=last._replace(offset=-5)) == []
    for wrong in (5, "junk", tuple(last), last._replace(offset="2"), last._replace(offset=1.5)):
        with pytest.raises(ValueError, match="no position"):
            await read(after=wrong)
    [one] = await room.ahistory(limit=1)
    assert (str(one.position), one.event, one.data) == (at[29], "said", "29")
    assert one.at.tzinfo is not None
    assert await asyncio.to_thread(lambda: [int(one.data) for one in room.history(2)]) == [28, 29]
    assert str(await asyncio.to_thread(room.position)) == at[29]


async def test_clearing_begins_another_epoch_and_members_get_the_state(tickets, name):
    states = iter(["first", "second", "third"])

    @tickets.state
    async def state(ws, key) -> str:
        return next(states)

    [at] = await say(name, "a")
    async with client() as one:
        assert (await one.join(name))["state"] == "first"
        await Room(name).aclear()
        told = await one.next()
        epoch = told["at"].partition(":")[0]
        assert told == {"room": name, "at": f"{epoch}:0", "state": "second"}
        assert epoch != at.partition(":")[0]
        [after] = await say(name, "b")
        assert after == f"{epoch}:1"
        assert await heard(one, 1) == [("b", after)]
    async with client() as one:
        assert await one.join(name, since=at) == {"room": name, "at": after, "recovered": False, "state": "third"}
    with pytest.raises(HistoryUnavailable, match="begun anew"):
        await Room(name).ahistory(after=at)


async def test_without_a_state_function_members_are_told_that_events_were_lost(tickets, name):
    async with client() as one:
        await one.join(name)
        await Room(name).aclear()
        told = await one.next()
        assert told == {"room": name, "at": told["at"], "recovered": False}


async def test_a_hole_is_filled_from_the_history(tickets, name, monkeypatch):
    async with client() as one:
        await one.join(name)
        at = await say(name, "a")
        assert await heard(one, 1) == [("a", at[0])]
        # What is published now is stored, and does not arrive.
        receive = Continuity.receive
        monkeypatch.setattr(Continuity, "receive", lambda self, envelope: None)
        at += await say(name, "b", "c")
        await asyncio.sleep(0.05)
        monkeypatch.setattr(Continuity, "receive", receive)
        at += await say(name, "d")
        assert await heard(one, 3) == [("b", at[1]), ("c", at[2]), ("d", at[3])]


async def test_many_who_come_back_at_once_are_served_by_one_read(tickets, name, monkeypatch):
    broker = get_broker()
    reads = []
    read = broker.aread_history

    async def counted(group, history, query):
        if query.limit:
            reads.append(query)
        return await read(group, history, query)

    monkeypatch.setattr(type(broker), "aread_history", lambda self, *args: counted(*args))
    at = await say(name, *map(str, range(10)))

    async def resume(since):
        async with client() as one:
            assert (await one.join(name, since=at[since]))["recovered"]
            assert await heard(one, 9 - since) == list(
                zip(map(str, range(since + 1, 10)), at[since + 1 :], strict=True)
            )

    metrics.history_reads.reset()
    await asyncio.gather(*(resume(number % 9) for number in range(40)))
    assert len(reads) == metrics.history_reads.total == 1


class Other:
    """A live member of the room, of which there are many."""

    takes_events = True

    def __init__(self, number):
        self.id = f"other {number}"
        self.got = asyncio.Event()

    def post(self, batch):
        self.got.set()

    def lost(self):
        pass


@pytest.mark.parametrize("resumes", [True, False])
async def test_a_fan_out_that_began_before_the_answer_brings_nothing_twice(tickets, name, monkeypatch, resumes):
    monkeypatch.setattr(scheduler, "_SLICE", 0)  # one step of a fan-out in each turn of the loop
    at = await say(name, "a", "b")
    others = [Other(number) for number in range(64 * 30)]
    async with client() as former, client() as one:
        for other in others:
            await current_hub().join(other, name)
        await former.join(name, since=at[0])  # from now on recent events are kept
        gate = Gate()
        monkeypatch.setattr(Histories, "is_open", lambda self, group: False)
        monkeypatch.setattr(Histories, "open", lambda self, group: gate.wait())
        await one.say(join=name, id=1, **({"since": at[0]} if resumes else {}))
        await gate.came.wait()
        at += await say(name, "c")
        await others[0].got.wait()
        gate.open()
        told = (await one.next())["ok"]
        assert not others[-1].got.is_set()  # it goes on
        if resumes:
            assert told == {"room": name, "at": at[0], "recovered": True, "to": at[2]}
            assert await heard(one, 2) == [("b", at[1]), ("c", at[2])]
        else:
            assert told == {"room": name, "at": at[2], "recovered": False}
        at += await say(name, "d")
        assert await heard(one, 1) == [("d", at[3])]
        for other in others:
            current_hub().drop(other, {name})


def slow(gate):
    """The application, for a client that reads when the gate is open."""
    application = get_asgi_application()

    async def unread(scope, receive, send):
        async def send_later(event):
            if event["type"] == "websocket.send":
                await gate.wait()
            await send(event)

        await application(scope, receive, send_later)

    return unread


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_a_slow_member_is_sent_what_was_dropped_when_it_reads_again(tickets, name, settings, policy):
    settings.FASTWS_SEND_BUFFER_BYTES = 2000
    settings.FASTWS_SLOW_CONSUMER = policy
    declare("plain")
    gate = Gate()
    gate.open()
    async with client(application=slow(gate)) as one:
        await one.join(name)
        await one.join("plain")
        gate.opened.clear()
        await Room("plain").abroadcast("first")
        await turns()
        await Room("plain").abroadcast("x" * 1000)
        await turns()
        at, texts = [], [f"{number}" + "x" * 30 for number in range(12)]
        for text in texts:
            at += await say(name, text)
            await turns()
        await asyncio.sleep(0.1)
        gate.open()
        assert [len((await one.next())["data"]) for _ in range(2)] == [5, 1000]
        assert await heard(one, 12) == list(zip(texts, at, strict=True))
        at += await say(name, "live")
        assert await heard(one, 1) == [("live", at[-1])]
        assert await one.silent()


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_a_slow_member_gets_the_state_where_too_much_was_dropped(tickets, name, settings, policy):
    settings.FASTWS_SEND_BUFFER_BYTES = 2000
    settings.FASTWS_SLOW_CONSUMER = policy
    gate = Gate()
    gate.open()

    @tickets.state
    async def state(ws, key) -> str:
        return "state"

    async with client(application=slow(gate)) as one:
        await one.join(name)
        gate.opened.clear()
        for number in range(30):
            at = await say(name, f"{number}" + "x" * 150)
            await turns()
        await asyncio.sleep(0.1)
        gate.open()
        told = await one.next()
        while "state" not in told:
            told = await one.next()
        assert told == {"room": name, "at": at[0], "state": "state"}
        at = await say(name, "live")
        assert await heard(one, 1) == [("live", at[0])]
