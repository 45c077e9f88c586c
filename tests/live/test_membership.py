"""Memberships of live sockets: joins with their rules and state, what is held meanwhile, kicks, and on_leave once."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied

from django_fastws import History, Latest, LiveError, Room
from django_fastws.asgi import get_asgi_application
from django_fastws.exceptions import WebSocketConnectionError
from django_fastws.layer import get_broker
from django_fastws.rooms.presence_reporter import PresenceReporter
from tests.live.client import Gate, client, declare, turns

ADA = User(pk=1, username="ada")


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def left():
    return []


@pytest.fixture
def room(left):
    room = declare()

    @room.on_leave
    async def leave(ws, pk):
        left.append(pk)

    return room


async def test_state_is_made_after_on_join_and_at_every_join(room):
    made = []

    @room.on_join
    async def join(ws, pk):
        made.append("joined")

    @room.state
    async def state(ws, pk: int, room: Room) -> list[str]:
        made.append("state")
        return [room.name]

    async with client() as one:
        for _ in range(2):
            assert await one.join("room/5") == {"room": "room/5", "recovered": False, "state": ["room/5"]}
    assert made == ["joined", "state"] * 2


async def test_what_is_broadcast_while_the_state_is_made_comes_behind_it(room, gate):
    @room.state
    async def state(ws, pk) -> str:
        await gate.wait()
        return "state"

    async with client() as one:
        for _ in range(2):  # a second join is as the first
            await one.say(join="room/5", id=1)
            await gate.came.wait()
            await Room("room/5").abroadcast("during", "note")
            await turns()
            assert await one.silent()
            gate.open()
            assert (await one.next())["ok"]["state"] == "state"
            assert (await one.next())["data"] == "during"
            gate.opened.clear()
            gate.came.clear()
        await Room("room/5").abroadcast("after", "note")
        assert (await one.next())["data"] == "after"


async def told_to_members(text):
    """Broadcast, and wait until the members have it, however the fan-outs are paced."""
    async with Room("room/5").listen() as events:
        await Room("room/5").abroadcast(text, "note")
        await anext(events)


async def test_a_state_is_made_again_if_more_was_broadcast_than_can_be_held(room, settings):
    states = []
    settings.FASTWS_SEND_BUFFER_BYTES = 300

    @room.state
    async def state(ws, pk) -> int:
        states.append(pk)
        if len(states) == 1:
            await told_to_members("x" * 400)
        return len(states)

    async with client() as one:
        assert (await one.join("room/5"))["state"] == 2
        assert await one.silent()
        await Room("room/5").abroadcast("after", "note")
        assert (await one.next())["data"] == "after"


async def test_a_join_that_cannot_hold_what_is_broadcast_is_unavailable(room, settings, left):
    settings.FASTWS_SEND_BUFFER_BYTES = 300

    @room.state
    async def state(ws, pk) -> int:
        await told_to_members("x" * 400)
        return 1

    async with client() as one:
        error = await one.error(join="room/5")
        assert (error["code"], error["retry"]) == ("unavailable", True)
        await Room("room/5").abroadcast("after", "note")
        assert await one.silent()
    assert left == [5]


async def test_a_client_that_does_not_read_the_answer_of_its_join_is_a_slow_one(room, gate, settings):
    settings.FASTWS_SEND_BUFFER_BYTES = 2000
    settings.FASTWS_SLOW_CONSUMER = "drop_oldest"
    application = get_asgi_application()

    async def unread(scope, receive, send):
        async def send_later(event):
            if event["type"] == "websocket.send":
                await gate.wait()
            await send(event)

        await application(scope, receive, send_later)

    async with client(application=unread) as one:
        await one.say(join="room/1", id=1)
        await gate.crowd(1)
        for number in range(10):
            await Room("room/1").abroadcast("x" * 500 + str(number))
        gate.open()
        assert await one.next() == {"id": 1, "ok": {"room": "room/1", "recovered": False}}
        heard = []
        while heard[-1:] != ["9"]:
            heard.append((await one.next())["data"][-1])
        assert heard[-3:] == ["7", "8", "9"]
        await Room("room/1").abroadcast("live")
        assert (await one.next())["data"] == "live"


async def test_a_refused_join_leaves_nothing_behind(room, left):
    @room.on_join
    async def join(ws, pk):
        raise PermissionDenied("not you")

    async with client() as one:
        error = await one.error(join="room/5")
        assert (error["code"], error["message"]) == ("forbidden", "not you")
        await Room("room/5").abroadcast("not for her")
        assert await one.code(room="room/5", event="x") == "not_joined"
    assert left == []


async def test_a_join_that_fails_after_on_join_runs_on_leave(room, left, caplog):
    @room.state
    async def state(ws, pk):
        raise ValueError("on purpose")

    async with client() as one:
        assert await one.code(join="room/5") == "failed"
        assert left == [5]
        await Room("room/5").abroadcast("not for her")
        assert await one.silent()
    assert left == [5]


async def test_a_second_join_that_is_refused_ends_the_membership(room, left):
    refused = []

    @room.on_join
    async def join(ws, pk):
        if refused:
            raise PermissionDenied
        refused.append(pk)

    async with client() as one:
        await one.join("room/5")
        assert await one.code(join="room/5") == "forbidden"
        assert left == [5]
        await Room("room/5").abroadcast("not for her")
        assert await one.silent()
    assert left == [5]


async def test_a_join_is_cancelled(room, left, gate):
    @room.state
    async def state(ws, pk):
        await gate.wait()

    async with client() as one:
        await one.say(join="room/5", id=1)
        await gate.came.wait()
        await one.say(cancel=1)
        assert (await one.next())["error"]["code"] == "cancelled"
        await Room("room/5").abroadcast("not for her")
        assert await one.silent()
        assert left == [5]


ACCESS = [
    ({"login_required": True}, None, "unauthenticated"),
    ({"login_required": True}, ADA, None),
    ({"permission": lambda ws, pk: pk == 5}, None, None),
    ({"permission": lambda ws, pk: pk == 6}, None, "forbidden"),
    ({"permission": "app.permission"}, None, "unauthenticated"),
    ({"max_connections": 0 + 1}, None, None),
]


@pytest.mark.parametrize(("rules", "user", "code"), ACCESS)
async def test_access_rules_are_of_the_join(rules, user, code):
    declare(**rules)
    async with client(user=user) as one:
        if code is None:
            assert await one.join("room/5")
        else:
            assert await one.code(join="room/5") == code


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_rule_says_itself_why_it_refuses(caplog, is_async):
    def rule(ws, pk):
        raise LiveError("archived", f"ticket {pk} is archived", fields={"pk": ["archived"]})

    async def async_rule(ws, pk):
        rule(ws, pk)

    declare(permission=async_rule if is_async else rule)
    async with client() as one:
        error = await one.error(join="room/5")
    assert (error["code"], error["message"]) == ("archived", "ticket 5 is archived")
    assert error["fields"] == {"pk": ["archived"]}
    assert not caplog.records


async def test_a_rule_that_fails_tells_nothing(caplog):
    def rule(ws, pk):
        raise ValueError("secret")

    declare(permission=rule)
    async with client() as one:
        error = await one.error(join="room/5")
    assert (error["code"], error["message"]) == ("failed", "the server failed")
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("limit", "user"),
    [("max_connections", None), ("max_connections_per_address", None), ("max_connections_per_user", ADA)],
)
async def test_limits_count_the_members_of_a_kind_of_room(limit, user):
    declare(**{limit: 2})
    async with client(user=user) as one, client(user=user) as two:
        await one.join("room/1")
        await two.join("room/2")
        await two.join("room/2")  # the same again counts once
        assert await one.code(join="room/3") == "unavailable"
        await two.ok(leave="room/2")
        await one.join("room/3")
        assert await two.code(join="room/2") == "unavailable"
    async with client(user=user) as one:
        await one.join("room/1")


async def test_a_kick_tells_the_client_and_ends_the_membership_everywhere(room, left):
    async with client(user=ADA) as one, client() as two:
        await two.ok(hello={"client": "c-two"})
        for each in (one, two):
            await each.join("room/5")
        await Room("room/5").akick(user=ADA, reason="enough")
        assert await one.next() == {"room": "room/5", "left": {"code": 4403, "reason": "enough"}}
        await Room("room/5").akick(client="c-two", code=4000)
        assert await two.next() == {"room": "room/5", "left": {"code": 4000, "reason": ""}}
        assert left == [5, 5]
        assert await one.code(room="room/5", event="x") == "not_joined"
        await one.join("room/5")
        await Room("room/5").akick(client=("c-two"))
        await Room("room/5").abroadcast("back")
        assert (await one.next())["data"] == "back"
    assert left == [5, 5, 5]


async def test_a_kick_during_a_join_is_the_answer_of_the_join(room, left, gate):
    @room.on_join
    async def join(ws, pk):
        await gate.wait()

    async with client(user=ADA) as one:
        await one.say(join="room/5", id=1)
        await gate.came.wait()
        await Room("room/5").akick(user=ADA, reason="enough")
        await turns()
        gate.open()
        told = await one.next()
        assert (told["id"], told["error"]["code"], told["error"]["message"]) == (1, "forbidden", "enough")
        assert await one.silent()
        assert left == []
        await one.join("room/5")
    assert left == [5]


async def test_a_handler_takes_its_client_out_of_the_room(room, left):
    @room.on("bye")
    async def bye(ws, room: Room) -> list[str]:
        await ws.leave(room)
        await ws.leave("room/9")
        assert left == [5]
        return sorted(ws.rooms)

    async with client() as one:
        await one.join("room/5")
        await one.join("room/6")
        await one.say(room="room/5", event="bye", id=1)
        assert await one.next() == {"room": "room/5", "left": {"code": 1000, "reason": ""}}
        assert await one.next() == {"id": 1, "ok": ["room/6"]}
        assert left == [5]
    assert left == [5, 6]


async def test_on_leave_runs_once_however_the_member_leaves(room, left):
    async with client() as one:
        await one.join("room/1")
        await one.join("room/1")
        await one.ok(leave="room/1")
        await one.join("room/1")
        await Room("room/1").akick(client=one.ws.scope.get("x") or "nobody")
        assert left == [1]
        await one.join("room/2")
    assert sorted(left) == [1, 1, 2]


async def test_on_leave_is_not_cut_off_by_the_end_of_the_socket(room, gate):
    done = []

    @declare("other").on_leave
    async def leave(ws):
        await gate.wait()
        done.append("left")

    async with client() as one:
        await one.join("other")
        await one.say(leave="other", id=1)
        await gate.came.wait()
        closing = asyncio.ensure_future(one.ws.close())
        await turns()
        assert done == []
        gate.open()
        await closing
    assert done == ["left"]


async def test_a_join_after_a_leave_waits_for_its_on_leave(gate):
    order = []
    room = declare("other")

    @room.on_join
    async def join(ws):
        order.append("joins")

    @room.on_leave
    async def leave(ws):
        order.append("leaves")
        await gate.wait()
        order.append("left")

    async with client() as one:
        await one.join("other")
        await one.say(leave="other", id=1)
        await one.say(join="other", id=2)
        await gate.came.wait()
        gate.open()
        assert [(await one.next())["id"] for _ in range(2)] == [1, 2]
        await Room("other").akick(client="nobody")
        assert order == ["joins", "leaves", "left", "joins"]


async def test_an_on_leave_that_fails_is_logged(room, caplog):
    @declare("other").on_leave
    async def leave(ws):
        raise ValueError("on purpose")

    async with client() as one:
        await one.join("other")
        assert await one.ok(leave="other") is None
    (record,) = caplog.records
    assert "on_leave failed" in record.getMessage()


async def test_an_on_leave_may_leave_rooms_and_waits_for_no_other():
    one_room, other, left = declare("one"), declare("other"), []

    @one_room.on_leave
    async def leave_one(ws):
        for name in ("one", "other"):
            await ws.leave(name)
        left.append("one")

    @other.on_leave
    async def leave_other(ws):
        await ws.leave("one")
        left.append("other")

    async with client() as one:
        await one.join("one")
        await one.join("other")
        await one.say(leave="one", id=1)
        assert {(await one.next()).get("id", "left") for _ in range(2)} == {1, "left"}
    assert sorted(left) == ["one", "other"]


# A layer that is away


async def away(*args, **more):
    raise WebSocketConnectionError("Redis at 10.0.0.5:6379 does not answer")


async def test_a_client_is_not_told_where_the_layer_is_that_cannot_be_reached(monkeypatch):
    declare("old/{pk:int}", history=History(), presence=True)
    declare("keyed/{pk:int}", latest=Latest())
    declare("here/{pk:int}", presence=True)
    await Room("old/1").abroadcast("x", "said")
    async with client() as one:
        at = (await one.join("old/1"))["at"]
        await one.ok(leave="old/1")
        await Room("old/1").abroadcast("y", "said")
        broker = type(get_broker())
        monkeypatch.setattr(broker, "aread_history", away)
        monkeypatch.setattr(broker, "aread_latest", away)
        monkeypatch.setattr(PresenceReporter, "enter", away)
        for frame in ({"join": "old/1", "since": at}, {"join": "keyed/1"}, {"join": "here/1"}):
            error = await one.error(**frame)
            assert (error["code"], error["retry"]) == ("unavailable", True)
            assert "10.0.0.5" not in error["message"]
