"""Session of a live socket: each frame of the protocol, as a client sees it."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.auth.models import User
from django.test import override_settings

from django_fastws import Event, Room
from django_fastws.rooms import current_hub
from tests.live.client import Gate, client, declare, turns


class Said(Event):
    text: str


@pytest.fixture
def room():
    room = declare()

    @room.on("say")
    async def say(ws, room: Room, pk: int, text: str) -> int:
        await room.abroadcast(Said(text=text))
        return pk

    @room.on("double")
    async def double(ws, n: int) -> int:
        return 2 * n

    return room


async def test_a_join_a_call_with_its_answer_and_what_it_broadcasts(room):
    async with client() as one, client() as two:
        assert await one.join("room/5") == {"room": "room/5", "recovered": False}
        await two.join("room/5")
        assert await two.call("room/5", "double", n=3) == 6
        await two.say(room="room/5", event="say", data={"text": "hi"}, id="x")
        said = {"room": "room/5", "event": "said", "data": {"text": "hi"}}
        assert await one.next() == said
        told = [await two.next(), await two.next()]
        assert said in told
        assert {"id": "x", "ok": 5} in told


async def test_two_rooms_over_one_socket_are_two(room):
    async with client() as one:
        await one.join("room/1")
        await one.join("room/2")
        await Room("room/2").abroadcast("b", "note")
        await Room("room/1").abroadcast("a", "note")
        frames = [await one.next(), await one.next()]
        assert {(frame["room"], frame["data"]) for frame in frames} == {("room/1", "a"), ("room/2", "b")}


async def test_an_event_without_an_id_is_handled_and_not_answered(room):
    async with client() as one:
        await one.join("room/5")
        await one.say(room="room/5", event="say", data={"text": "hi"})
        assert (await one.next())["event"] == "said"
        await one.say(room="room/5", event="say", data={"text": 1})
        await one.say(room="room/5", event="none")
        await one.say(room="room/6", event="say")
        assert await one.call("room/5", "double", n=1) == 2


REFUSED = [
    ({"join": "nowhere"}, "unknown_room"),
    ({"join": "room/x"}, "unknown_room"),
    ({"room": "nowhere", "event": "say"}, "unknown_room"),
    ({"room": "room/6", "event": "say"}, "not_joined"),
    ({"room": "room/5", "event": "none"}, "unknown_event"),
    ({"room": "room/5", "event": "say", "data": {}}, "invalid"),
    ({"room": "room/5", "event": "say", "data": []}, "invalid"),
    ({"room": "room/5", "event": "double", "data": {"n": "x"}}, "invalid"),
    ({"nothing": 1}, "bad_request"),
    ({"join": "room/5", "x": "x" * 70_000}, "too_big"),
]


@pytest.mark.parametrize(("frame", "code"), REFUSED, ids=[f"{code}-{str(frame)[:40]}" for frame, code in REFUSED])
async def test_what_cannot_be_done_is_an_error_with_the_id_and_closes_nothing(room, frame, code):
    async with client() as one:
        await one.join("room/5")
        assert await one.code(**frame, id="mine") == code
        assert await one.call("room/5", "double", n=1) == 2


async def test_keys_of_a_newer_client_are_ignored_in_every_frame(room):
    new = {"said_by_others": {"a": 1}, "and": [1]}
    async with client() as one:
        assert "ping" in await one.ok(hello={"client": "c-1", **new}, **new)
        assert await one.ok(join="room/5", **new) == {"room": "room/5", "recovered": False}
        assert await one.ok(room="room/5", event="double", data={"n": 2}, **new) == 4
        await one.say(cancel=77, **new)
        await one.say(answer=77, ok=1, **new)
        assert await one.ok(leave="room/5", **new) is None


@pytest.mark.parametrize("frame", [{"join": "/room/5"}, {"room": "/room/5", "event": "say"}])
async def test_a_name_with_a_slash_in_front_is_told_so(room, frame):
    async with client() as one:
        error = await one.error(**frame)
        assert (error["code"], error["message"]) == (
            "unknown_room",
            "no room is called '/room/5': a room's name has no slash in front",
        )


async def test_what_is_no_frame_is_answered_with_the_id_null(room):
    async with client() as one:
        for said in ("no json", b'{"join":"room/5","id":1}', [1]):
            await one.ws.send(said)
            told = await one.next()
            assert (told["id"], told["error"]["code"]) == (None, "bad_request")


async def test_invalid_fields_are_named(room):
    async with client() as one:
        await one.join("room/5")
        error = await one.error(room="room/5", event="double", data={"n": "x"})
        assert list(error["fields"]) == ["n"]
        assert error["message"].startswith("n: ")
        assert error["retry"] is False


async def test_leaving_ends_the_broadcasts_and_leaving_again_is_nothing(room):
    async with client() as one:
        await one.join("room/5")
        assert await one.ok(leave="room/5") is None
        assert await one.ok(leave="room/5") is None
        assert await one.ok(leave="nowhere") is None
        await Room("room/5").abroadcast("not for her")
        assert await one.code(room="room/5", event="double") == "not_joined"


async def test_the_same_id_twice_under_way_is_a_mistake_and_free_again_afterwards():
    room, gate = declare(), Gate()

    @room.on("wait")
    async def wait(ws) -> int:
        await gate.wait()
        return 1

    async with client() as one:
        await one.join("room/5")
        await one.say(room="room/5", event="wait", id=7)
        await gate.came.wait()
        for frame in (
            {"room": "room/5", "event": "wait"},
            {"room": "room/5", "event": "unknown"},
            {"room": "room/6", "event": "wait"},
            {"room": "unknown", "event": "wait"},
            {"join": "room/6"},
            {"join": "unknown"},
            {"leave": "room/5"},
            {"hello": {}},
        ):
            assert await one.code(**frame, id=7) == "bad_request"
        assert await one.join("room/6", id="7")
        gate.open()
        assert await one.next() == {"id": 7, "ok": 1}
        assert await one.call("room/5", "wait", id=7) == 1


async def test_a_later_release_may_add_keys(room):
    async with client() as one:
        await one.join("room/5", since="e:171", v=17, more={"a": 1})
        assert await one.ok(room="room/5", event="double", data={"n": 1}, once=True, more=1) == 2


async def test_relayed_events_go_to_the_others_with_the_key_of_the_sender():
    room = declare()
    room.relay("typing", dict[str, bool])
    ada = User(pk=7, username="ada")
    async with client(user=ada) as one, client() as two, client() as three:
        for each, name in ((one, "c-1"), (two, "c-2"), (three, "c-3")):
            await each.ok(hello={"client": name})
            await each.join("room/5")
        assert await one.call("room/5", "typing", now=True) is None
        said = {"room": "room/5", "event": "typing", "data": {"now": True}, "from": "7"}
        assert await two.next() == await three.next() == said
        await two.say(room="room/5", event="typing", data={"now": False})
        assert (await one.next())["from"] == (await three.next())["from"] == "c-2"
        assert await one.code(room="room/5", event="typing", data={"now": "maybe"}) == "invalid"
        assert await two.silent()


class Ear:
    """A member that keeps the messages as they are posted."""

    id = "ear"
    takes_events = False

    def __init__(self):
        self.heard = asyncio.Queue()

    def post(self, batch):
        for payload in batch.payloads:
            self.heard.put_nowait(payload)


async def test_relayed_events_are_volatile():
    room, ear = declare(), Ear()
    room.relay("typing", dict[str, bool])
    await current_hub().join(ear, "room/5")
    async with client() as one:
        await one.join("room/5")
        await one.call("room/5", "typing", now=True)
        assert (await ear.heard.get()).is_volatile
        await Room("room/5").abroadcast({"now": False}, "typing")
        assert not (await ear.heard.get()).is_volatile
    await current_hub().leave(ear, "room/5")


async def test_rates_of_the_room_and_of_the_event_refuse_and_do_not_close():
    room = declare(rate="3/h")

    @room.on("rare", rate="1/h")
    async def rare(ws) -> None: ...

    @room.on("often")
    async def often(ws) -> None: ...

    async with client() as one:
        await one.join("room/5")
        await one.join("room/6")
        await one.call("room/5", "rare")
        error = await one.error(room="room/5", event="rare")
        assert error["code"] == "rate_limited"
        assert error["retry"] is True
        assert 3000 < error["retry_after"] <= 3600
        await one.call("room/5", "often")
        assert await one.code(room="room/5", event="often") == "rate_limited"
        await one.call("room/6", "often")  # each room for itself


async def test_leaving_and_joining_again_gives_no_new_rate():
    room = declare(rate="2/h")

    @room.on("often")
    async def often(ws) -> None: ...

    async with client() as one:
        await one.join("room/5")
        for _ in range(2):
            await one.call("room/5", "often")
        await one.ok(leave="room/5")
        await one.join("room/5")
        assert await one.code(room="room/5", event="often") == "rate_limited"


async def test_a_socket_is_in_so_many_rooms_and_no_more():
    declare()
    with override_settings(FASTWS_LIVE_MAX_ROOMS=2):
        async with client() as one:
            await one.join("room/1")
            await one.join("room/2")
            error = await one.error(join="room/3")
            assert (error["code"], error["message"]) == ("forbidden", "a socket is in at most 2 rooms: leave one")
            await one.join("room/2")  # again
            await one.ok(leave="room/1")
            await one.join("room/3")
            assert await one.code(join="room/1") == "forbidden"


async def test_all_that_goes_on_ends_with_the_connection():
    room, gate, ended = declare(), Gate(), []

    @room.on("wait", concurrent=True)
    async def wait(ws):
        try:
            await gate.wait()
        finally:
            ended.append("call")

    @room.on("items")
    async def items(ws):
        try:
            while True:
                yield 1
                await gate.wait()
        finally:
            ended.append("generator")

    @room.on_leave
    async def leave(ws, pk):
        ended.append("left")
        assert ws.rooms == {"room/5"}

    async with client() as one:
        await one.join("room/5")
        await one.say(room="room/5", event="items", id=1)
        await one.next()
        for _ in range(3):
            await one.say(room="room/5", event="wait", id=f"w{_}")
        await gate.crowd(4)
    assert sorted(ended) == ["call", "call", "call", "generator", "left"]
    assert ended[-1] == "left"
    await turns()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
