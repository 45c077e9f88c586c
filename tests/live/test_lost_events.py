"""Members of rooms with history for which events are lost at awkward moments: the state makes up for each loss."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from contextvars import ContextVar
from itertools import pairwise

import pytest

from django_fastws import History, Room, WebSocketDisconnect
from django_fastws._core.envelope import Envelope
from django_fastws._core.groups import group_name
from django_fastws._core.messages import Payload
from django_fastws.asgi import get_asgi_application
from django_fastws.rooms import current_hub, scheduler
from django_fastws.testing import connect
from tests.live.client import Gate, client, declare, turns
from tests.site.client import LIMIT, token


@pytest.fixture(params=["here", pytest.param("redis", marks=pytest.mark.redis)], autouse=True)
def layer(request, settings):
    if request.param == "redis":
        settings.CHANNEL_LAYERS = {"default": request.getfixturevalue("redis_layer")}
    else:
        settings.CHANNEL_LAYERS = {}


@pytest.fixture
def tickets():
    return declare("tickets-{key}", history=History(messages=200))


@pytest.fixture
def name():
    return f"tickets-{token()}"


async def say(name, *texts):
    return [str(await Room(name).abroadcast(text, "said")) for text in texts]


def reading_behind(gate):
    """The application, for a client to which nothing can be sent before the gate is open."""
    application = get_asgi_application()

    async def unread(scope, receive, send):
        async def send_later(event):
            if event["type"] in ("websocket.send", "websocket.close"):
                await gate.wait()
                if gate.let_in in event.get("text", ""):
                    gate.opened.clear()
                    gate.closed.set()
            await send(event)

        await application(scope, receive, send_later)

    return unread


@pytest.fixture
def gate():
    gate = Gate()
    gate.open()
    gate.let_in, gate.closed = "nothing", asyncio.Event()  # it closes behind this
    return gate


async def told_until(one, is_last):
    told = [await one.next()]
    while not is_last(told[-1]):
        told.append(await one.next())
    return told


async def test_a_loss_while_the_answer_of_a_join_is_sent_is_told_behind_it(tickets, name, gate):
    states = iter(["first", "second", "third"])

    @tickets.state
    async def state(ws, key) -> str:
        return next(states)

    await say(name, "a")
    async with client(application=reading_behind(gate)) as one:
        gate.opened.clear()
        await one.say(join=name, id=1)
        await gate.came.wait()
        await Room(name).aclear()
        await asyncio.sleep(0.1)
        gate.open()
        assert (await one.next())["ok"]["state"] == "first"
        told = await one.next()
        assert (told["state"], told["at"]) == ("second", str(await Room(name).aposition()))
        at = await say(name, "live")
        assert (await one.next())["at"] == at[0]


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_a_client_that_falls_behind_while_it_gets_what_it_has_missed(tickets, name, gate, settings, policy):
    settings.FASTWS_SEND_BUFFER_BYTES = 5000
    settings.FASTWS_SLOW_CONSUMER = policy
    declare("plain")
    began = Gate()

    @tickets.on_join
    async def enter(ws, key):
        await began.wait()

    at = await say(name, *["x" * 80] * 10)
    async with client(application=reading_behind(gate)) as one:
        await one.join("plain")
        await one.say(join=name, id=1, since=f"{at[0].partition(':')[0]}:0")
        await began.came.wait()
        for _ in range(10):
            at += await say(name, "y" * 80)
            await turns()
        await asyncio.sleep(0.05)
        gate.opened.clear()
        await Room("plain").abroadcast("first")
        await gate.crowd(1)
        began.open()
        await turns(50)
        for _ in range(2):
            await Room("plain").abroadcast("p" * 2300)
            await turns()
        await asyncio.sleep(0.1)
        gate.let_in = "recovered"
        gate.open()
        await gate.closed.wait()
        await asyncio.sleep(0.1)
        at += await say(name, "z")
        await asyncio.sleep(0.1)
        gate.open()
        told = await told_until(one, lambda frame: frame.get("at") == at[-1])
        told = [frame for frame in told if frame.get("room") == name]
        assert [frame.get("data", "no event")[0] for frame in told] == [*"x" * 10, *"y" * 10, "z"]
        assert [frame["at"] for frame in told] == at


async def test_a_loss_with_a_client_that_is_slow_to_read_is_told_all_the_same(tickets, name, gate, settings):
    settings.FASTWS_SEND_BUFFER_BYTES = 2000
    settings.FASTWS_SLOW_CONSUMER = "drop_newest"
    declare("plain")

    @tickets.state
    async def state(ws, key) -> str:
        return "state" + "x" * 500

    async with client(application=reading_behind(gate)) as one:
        await one.join(name)
        await one.join("plain")
        gate.opened.clear()
        for _ in range(3):
            await Room("plain").abroadcast("x" * 900)
            await turns()
        await asyncio.sleep(0.05)
        await Room(name).aclear()
        await asyncio.sleep(0.1)
        at = await say(name, "live")
        await asyncio.sleep(0.05)
        gate.open()
        told = await told_until(one, lambda frame: frame.get("data") == "live")
        assert any(frame.get("state", "").startswith("state") for frame in told), told
        assert told[-1]["at"] == at[0]


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_who_falls_behind_while_an_answer_is_sent_goes_on_when_that_is_read(
    tickets, name, gate, settings, policy
):
    """Nothing waits then but what is stored, which was dropped, so that nobody else starts to send."""
    settings.FASTWS_SEND_BUFFER_BYTES = 900
    settings.FASTWS_SLOW_CONSUMER = policy

    @tickets.state
    async def state(ws, key) -> str:
        return "state"

    async with client(application=reading_behind(gate)) as one:
        gate.opened.clear()
        await one.say(join=name, id=1)
        await gate.crowd(1)
        at = []
        for number in range(12):
            at += await say(name, f"{number}" + "x" * 60)
            await turns()
        gate.open()
        assert (await one.next())["ok"]["state"] == "state"
        told = await told_until(one, lambda frame: frame["at"] == at[-1])
        # They are more than may be sent at once. How many of them there are when it is read, is a matter of time.
        assert told[0].get("state") == "state"
        for before, frame in pairwise(told):
            missed = at.index(frame["at"]) - at.index(before["at"])
            assert missed == 1 or (missed > 1 and "state" in frame), told
        at += await say(name, "live")
        assert (await one.next())["at"] == at[-1]


async def test_a_join_does_not_stop_the_close_for_a_state_that_cannot_be_made(tickets, name, gate):
    states = Gate()

    @tickets.state
    async def state(ws, key) -> str:
        if states.count:
            raise ValueError("on purpose")
        states.count += 1
        return "first"

    states.count = 0
    async with client(application=reading_behind(gate)) as one:
        assert (await one.join(name))["state"] == "first"
        gate.opened.clear()
        await Room(name).aclear()
        await gate.crowd(1)  # the close waits for the client
        await one.say(join=name, id=2)
        await turns()
        gate.open()
        with pytest.raises(WebSocketDisconnect, match="1011"):
            await told_until(one, lambda frame: False)


async def test_what_a_loss_has_dropped_before_it_was_sent_is_no_failure(tickets, name, caplog):
    async with client() as one:
        await one.join(name)
        room = Room(name)
        stored = Envelope.broadcast(group_name(name), Payload("x"), event="said", history=tickets.history)
        stored.position = await room.aposition()
        stored.position = stored.position._replace(offset=stored.position.offset + 1)
        hub = current_hub()
        hub.deliver(stored)
        hub._lost(stored.room)  # in the same turn
        assert (await one.next())["recovered"] is False
        await room.abroadcast("typing", "typing", volatile=True)
        assert (await one.next())["event"] == "typing"
    assert not caplog.records


who = ContextVar("who", default="nobody")


def in_context_of_its_own():
    """The application, with middleware that says in the context who the client is."""
    application = get_asgi_application()

    async def middleware(scope, receive, send):
        who.set(scope["query_string"].decode())
        await application(scope, receive, send)

    return middleware


async def test_a_state_after_a_loss_is_made_in_the_context_of_its_socket(tickets, name):
    @tickets.state
    async def state(ws, key) -> str:
        return who.get()

    application = in_context_of_its_own()
    path = "/ws/live"
    async with (
        connect(f"{path}?ann", application=application) as one,
        connect(f"{path}?bob", application=application) as two,
    ):
        for ws in (one, two):
            await ws.send_json({"join": name, "id": 1})
            assert (await ws.receive_json())["id"] == 1
        await Room(name).aclear()
        assert [(await ws.receive_json())["state"] for ws in (one, two)] == ["ann", "bob"]


async def test_who_is_kicked_leaves_in_the_context_of_its_socket(tickets, name):
    left, is_left = [], asyncio.Event()

    @tickets.on_leave
    async def leave(ws, key):
        left.append(who.get())
        is_left.set()

    async with connect("/ws/live?ann", application=in_context_of_its_own()) as one:
        await one.send_json({"hello": {"client": "c-ann"}, "id": 0})
        await one.receive_json()
        await one.send_json({"join": name, "id": 1})
        await one.receive_json()
        await Room(name).akick(client="c-ann")
        await is_left.wait()
    assert left == ["ann"]


async def test_a_second_join_after_a_loss_sends_what_the_first_had_still_to_send(tickets, name):
    gate = Gate()
    gate.open()

    @tickets.state
    async def state(ws, key) -> str:
        await gate.wait()
        return "state"

    async with client() as one:
        await one.join(name)
        gate.opened.clear()
        gate.came.clear()
        await Room(name).aclear()
        await gate.came.wait()
        at = await say(name, "a", "b")
        await turns()
        await asyncio.sleep(0.05)
        await one.say(join=name, id=2, since=f"{at[0].partition(':')[0]}:0")
        told = await told_until(one, lambda frame: frame.get("at") == at[-1])
        assert told[0]["ok"]["recovered"]
        assert [frame["data"] for frame in told[1:]] == ["a", "b"]


async def is_idle(name):
    """What was broadcast to a room is with its members."""
    room, at = current_hub()._event_rooms[group_name(name)], await Room(name).aposition()
    async with asyncio.timeout(LIMIT):
        while room.fan_out is not None or room.arrived or current_hub()._histories.position(room.group) != at:  # noqa: ASYNC110
            await asyncio.sleep(0)


class OneOfMany:
    """Another live member of the room."""

    takes_events = True

    def __init__(self, number):
        self.id = f"one of many {number}"
        self.got = []

    def post(self, batch):
        self.got += batch.payloads

    def lost(self):
        pass


@asynccontextmanager
async def in_the_middle_of_a_fan_out(name, one, monkeypatch, gate=None):
    """The last member of a room, when the first has a broadcast that the last does not have yet."""
    monkeypatch.setattr(scheduler, "_SLICE", 0)
    hub, many = current_hub(), [OneOfMany(number) for number in range(64 * 30)]
    for other in many:
        await hub.join(other, name)
    joined = await one.join(name)
    if gate is not None:  # the client reads nothing any more
        gate.opened.clear()
        await say(name, "w", "x", "y")
        await is_idle(name)
        for other in many:
            other.got.clear()
    at = await say(name, "a")
    async with asyncio.timeout(LIMIT):
        while not many[0].got:  # noqa: ASYNC110
            await asyncio.sleep(0)  # no longer, or all of them have it
    assert not many[-1].got
    yield joined["at"], at[0]
    for other in many:
        await hub.leave(other, name)


async def test_what_was_being_sent_comes_before_the_state_that_has_it(tickets, name, monkeypatch):
    @tickets.state
    async def state(ws, key) -> str:
        return "state"

    async with client() as one, in_the_middle_of_a_fan_out(name, one, monkeypatch) as (_, at):
        current_hub()._lost(group_name(name))
        told = [await one.next(), await one.next()]
        assert told == [
            {"room": name, "event": "said", "data": "a", "at": at},
            {"room": name, "at": at, "state": "state"},
        ]


async def test_what_was_being_sent_comes_before_what_follows_a_second_join(tickets, name, monkeypatch):
    async with client() as one, in_the_middle_of_a_fan_out(name, one, monkeypatch) as (since, _):
        await one.say(join=name, id=1, since=since)
        told = await told_until(one, lambda frame: "ok" in frame)
        assert told[-1]["ok"]["recovered"]
        await say(name, "b")
        told += await told_until(one, lambda frame: frame.get("data") == "b")
        assert [frame["data"] for frame in told if "data" in frame] == ["a", "b"]


async def test_who_falls_behind_by_another_room_gets_what_was_being_sent_behind_the_rest(
    tickets, name, gate, settings, monkeypatch
):
    settings.FASTWS_SEND_BUFFER_BYTES = 3000
    settings.FASTWS_SLOW_CONSUMER = "drop_oldest"
    declare("plain")
    async with client(application=reading_behind(gate)) as one:
        await one.join("plain")
        async with in_the_middle_of_a_fan_out(name, one, monkeypatch, gate) as (_, at):
            [post] = current_hub()._event_rooms[group_name("plain")].members.values()
            post(Payload(b'{"room":"plain","data":"%b"}' % (b"p" * 2820), is_text=True))  # for which others make room
            await is_idle(name)
            gate.open()
            told = await told_until(one, lambda frame: frame.get("at") == at)
            assert [frame["data"] for frame in told if frame["room"] == name] == ["w", "x", "y", "a"]
            assert await one.silent()
