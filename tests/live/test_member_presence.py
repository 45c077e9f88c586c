"""Presence of live rooms, as their members see it."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from django_fastws import (
    FastWS,
    History,
    LiveError,
    MessageTooBig,
    Presence,
    Present,
    Room,
    RouteError,
    WebSocket,
    WebSocketDisconnect,
    WebSocketStateError,
)
from django_fastws.asgi import get_asgi_application
from django_fastws.layer import get_broker
from django_fastws.presence import ais_online
from django_fastws.rooms import current_hub
from django_fastws.testing import connect
from tests.live.client import Gate, client, declare, turns
from tests.live.test_room_feed import slow
from tests.site.client import token

ADA, BOB = SimpleNamespace(pk=1, is_authenticated=True), SimpleNamespace(pk=2, is_authenticated=True)
ONE = {"meta": None, "connections": 1}


@pytest.fixture(params=["here", pytest.param("redis", marks=pytest.mark.redis)], autouse=True)
def layer(request, settings):
    redis = request.param == "redis"
    settings.CHANNEL_LAYERS = {"default": request.getfixturevalue("redis_layer")} if redis else {}


@pytest.fixture(autouse=True)
def soon(settings):
    settings.FASTWS_PRESENCE_DIFF_SECONDS = 0.01
    settings.FASTWS_PRESENCE_GRACE_SECONDS = 0.05


@pytest.fixture
def desk():
    return declare("desk-{key}", presence=True)


@pytest.fixture
def name():
    return f"desk-{token()}"


class Page:
    """A client that keeps who is present, by the rules of the protocol."""

    def __init__(self, one, name):
        self.one, self.name = one, name
        self.people, self.v, self.frames = {}, None, []

    async def join(self, client_id="", **more):
        if client_id:
            await self.one.ok(hello={"client": client_id})
        answer = await self.one.join(self.name, **more)
        self.take(answer)
        return answer

    def take(self, frame):
        if "present" in frame:
            self.people, self.v = frame["present"], frame["v"]
        elif "presence" in frame and (self.v is None or frame["v"] > self.v):
            self.v = frame["v"]
            self.people = {**self.people, **frame["presence"]["joined"], **frame["presence"]["changed"]}
            for key in frame["presence"]["left"]:
                self.people.pop(key, None)

    async def until(self, people):
        """Take frames until these are present; the frames about presence are kept."""
        async with asyncio.timeout(10):
            while self.people != people:
                frame = await self.one.next()
                self.frames.append(frame)
                self.take(frame)

    async def marker(self):
        """All that was told before a broadcast, without what was known."""
        mark = token()
        await Room(self.name).abroadcast(mark, "mark")
        told = []
        async with asyncio.timeout(10):
            while (frame := await self.one.next()).get("data") != mark:
                self.take(frame)
                told.append(frame)
        return told


async def people(name):
    return {one.key: one.connections for one in await Room(name).apresent()}


async def gone(name, key):
    async with asyncio.timeout(10):
        while key in await people(name):  # noqa: ASYNC110 (of the layer, which tells nobody here)
            await asyncio.sleep(0.01)


async def test_who_joins_is_present_in_the_answer_and_the_others_are_told(desk, name):
    async with client() as a, client() as b:
        one, other = Page(a, name), Page(b, name)
        joined = await one.join("c-1")
        assert joined == {"room": name, "recovered": False, "present": {"c-1": ONE}, "v": joined["v"]}
        await other.join("c-2")
        assert other.people == {"c-1": ONE, "c-2": ONE}
        await one.until({"c-1": ONE, "c-2": ONE})
        assert one.v == other.v == joined["v"] + 1
        assert await people(name) == {"c-1": 1, "c-2": 1}
        assert await Room(name).acount() == 2


async def test_users_are_present_by_their_primary_keys_with_all_their_connections(desk, name):
    new = SimpleNamespace(pk=uuid.uuid4().int >> 80, is_authenticated=True)
    key = str(new.pk)
    async with client() as watching, client(user=new) as a, client(user=new) as b:
        page = Page(watching, name)
        await page.join("c-0")
        await Page(a, name).join("c-1")
        await Page(b, name).join("c-2")
        await page.until({"c-0": ONE, key: {**ONE, "connections": 2}})
        [_, present] = await Room(name).apresent()
        assert present == Present(key, None, 2, present.since)
        assert await ais_online(new)
        await b.ws.close()
        await page.until({"c-0": ONE, key: ONE})
        await a.ws.close()
        await page.until({"c-0": ONE})
        assert not await ais_online(new)


async def test_an_explicit_leave_has_the_grace_as_well(desk, name):
    async with client() as a, client() as b:
        one, other = Page(a, name), Page(b, name)
        await one.join("c-1")
        await other.join("c-2")
        await b.ok(leave=name)
        assert "c-2" in await people(name)
        await one.until({"c-1": ONE, "c-2": ONE})
        await one.until({"c-1": ONE})


async def test_a_reload_is_not_seen(desk, name, settings):
    settings.FASTWS_PRESENCE_GRACE_SECONDS = 30
    async with client(user=BOB) as watching:
        page = Page(watching, name)
        await page.join()
        async with client(user=ADA) as before:
            await Page(before, name).join("c-1")
        await page.until({"1": ONE, "2": ONE})
        async with client(user=ADA) as after:
            await Page(after, name).join("c-2")
            assert await page.marker() == []
            assert await people(name) == {"1": 1, "2": 1}


async def test_a_page_that_comes_back_before_its_end_is_noticed_is_one_connection(desk, name):
    async with client(user=ADA) as a, client(user=ADA) as b:
        await Page(a, name).join("c-1")
        page = Page(b, name)
        await page.join("c-1")
        assert page.people == {"1": ONE}
        await a.ws.close()
        assert await page.marker() == []


async def test_a_second_join_of_a_joined_room_is_no_second_connection(desk, name):
    async with client() as a:
        page = Page(a, name)
        await page.join("c-1")
        await page.join()
        assert page.people == {"c-1": ONE}


async def test_who_says_by_a_token_who_it_is_is_present_as_that_from_the_next_join_on(desk, name, settings):
    async def authenticate(token, scope):
        return ADA

    settings.FASTWS_LIVE_AUTHENTICATE = authenticate
    async with client() as a:
        page = Page(a, name)
        await page.join("c-1")
        assert page.people == {"c-1": ONE}
        await a.ok(hello={"token": "ada"})
        await page.join()
        assert page.people == {"1": ONE}
        assert await people(name) == {"1": 1}
        assert await ais_online(ADA)


async def test_who_returns_with_its_number_gets_what_has_changed(desk, name):
    async with client() as a, client() as b:
        one = Page(a, name)
        first = await one.join("c-1")
        await Page(b, name).join("c-2")
        await one.until({"c-1": ONE, "c-2": ONE})
        again = await one.join(v=one.v)
        assert again["presence"] == {"joined": {}, "left": [], "changed": {}}
        assert again["v"] == one.v
        again = await one.join(v=first["v"])
        assert again["presence"] == {"joined": {"c-2": ONE}, "left": [], "changed": {}}
        for unknown in (0, first["v"] - 2000, first["v"] + 2000, "x", None, True, 1.5):
            assert "present" in await one.join(v=unknown)


async def test_a_card_is_made_by_the_room_and_shown_to_others(desk, name):
    class Card(BaseModel):
        name: str

    @desk.card
    async def card(ws, key) -> Card:
        return Card(name=f"{ws.client_id} of {key}")

    async with client() as a:
        page = Page(a, name)
        await page.join("c-1")
        assert page.people == {"c-1": {"meta": {"name": f"c-1 of {name[5:]}"}, "connections": 1}}
        [present] = await Room(name).apresent()
        assert present.meta == {"name": f"c-1 of {name[5:]}"}


async def test_the_newest_card_counts_and_another_can_be_shown(desk, name):
    @desk.card
    async def card(ws, key) -> dict[str, str]:
        return {"from": ws.client_id}

    @desk.on("show")
    async def show(ws, room: Room, meta: dict[str, str]) -> None:
        await ws.set_presence(room, meta)

    async with client(user=BOB) as watching, client(user=ADA) as a, client(user=ADA) as b:
        page = Page(watching, name)
        await page.join()
        await Page(a, name).join("c-1")
        await Page(b, name).join("c-2")

        bob = page.people["2"]

        def ada(meta):
            return {"1": {"meta": meta, "connections": 2}, "2": bob}

        await page.until(ada({"from": "c-2"}))
        await a.say(room=name, event="show", data={"meta": {"state": "away"}})
        page.frames.clear()
        await page.until(ada({"state": "away"}))
        assert [sorted(frame["presence"]["changed"]) for frame in page.frames] == [["1"]]
        assert all(not frame["presence"]["joined"] and not frame["presence"]["left"] for frame in page.frames)


async def test_a_card_that_cannot_be_refuses_the_join_and_nobody_is_present(desk, name, caplog):
    @desk.card
    async def card(ws, key):
        raise LiveError("forbidden", "no card")

    async with client() as a:
        await a.ok(hello={"client": "c-1"})
        assert (await a.error(join=name))["code"] == "forbidden"
    assert await people(name) == {}


async def test_a_join_that_fails_is_not_present(desk, name):
    @desk.on_join
    async def enter(ws, key):
        raise LiveError("forbidden", "no")

    async with client() as a:
        assert (await a.error(join=name))["code"] == "forbidden"
        assert await people(name) == {}


async def test_who_is_refused_for_there_are_too_many_is_not_present(desk, name, settings):
    settings.FASTWS_MAX_MESSAGE_BYTES = 400
    settings.FASTWS_PRESENCE_GRACE_SECONDS = 1000

    @desk.card
    async def card(ws, key):
        return "x" * 200

    async with client() as a, client() as b:
        await Page(a, name).join("c-1")
        await b.ok(hello={"client": "c-2"})
        assert await b.code(join=name) == "failed"
        await gone(name, "c-2")
        assert await people(name) == {"c-1": 1}


async def test_who_is_kicked_leaves(desk, name):
    async with client(user=ADA) as a, client() as b:
        await Page(a, name).join()
        page = Page(b, name)
        await page.join("c-1")
        await Room(name).akick(user=ADA)
        await page.until({"c-1": ONE})


async def test_where_another_card_cannot_be_shown(desk, name):
    plain = declare("plain-{key}")
    problems = []

    @plain.on("show")
    async def show(ws, room: Room, target: str) -> None:
        try:
            await ws.set_presence(target, 1)
        except (WebSocketStateError, TypeError) as error:
            problems.append(str(error))

    async with client() as a:
        await a.join("plain-1")
        await a.call("plain-1", "show", target="plain-1")
        await a.call("plain-1", "show", target=name)
    assert problems == [
        "set_presence('plain-1'): declare the room with presence=True",
        f"set_presence('{name}'): the client is not in that room",
    ]


def test_a_card_needs_presence_and_stands_once():
    app = FastWS()
    with pytest.raises(RouteError, match=r"has no presence; declare it with presence=True"):

        @app.room("plain").card
        async def card(ws):
            return None

    room = app.room("present", presence=Presence())

    @room.card
    async def first(ws):
        return None

    with pytest.raises(RouteError, match="card is declared already, by"):
        room.card(first)
    with pytest.raises(TypeError, match=r"counts_only=1\) is neither"):
        Presence(counts_only=1)


async def test_rooms_without_presence_say_nothing_of_it(name):
    declare("desk-{key}")
    async with client() as a, client() as b:
        assert await a.join(name) == {"room": name, "recovered": False}
        await b.join(name)
        assert await a.silent()
    assert await people(name) == {}


async def test_relayed_events_come_from_a_key_that_is_present(desk, name):
    desk.relay("typing", dict[str, bool])
    async with client(user=ADA) as a, client() as b:
        await Page(a, name).join()
        page = Page(b, name)
        await page.join("c-1")
        await a.call(name, "typing", on=True)
        while (frame := await b.next()).get("event") != "typing":
            pass
        assert frame["from"] in page.people


async def test_a_key_may_be_the_name_of_what_objects_have(desk, name):
    async with client() as a:
        page = Page(a, name)
        await page.join("__proto__")
        assert page.people == {"__proto__": ONE}


async def test_presence_and_history_are_in_one_answer(name):
    declare("desk-{key}", presence=True, history=History(messages=5))
    at = str(await Room(name).abroadcast(1))
    await Room(name).abroadcast(2)
    async with client() as a:
        answer = await a.join(name, since=at)
        assert (answer["recovered"], set(answer["present"])) == (True, {a_key(answer)})


def a_key(answer):
    [key] = answer["present"]
    return key


# A slow client


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_a_slow_member_is_told_who_is_present_when_it_reads_again(desk, name, settings, policy):
    settings.FASTWS_SEND_BUFFER_BYTES = 500
    settings.FASTWS_SLOW_CONSUMER = policy
    gate = Gate()
    gate.open()
    async with client(application=slow(gate)) as one:
        page = Page(one, name)
        await page.join("c-0")
        gate.opened.clear()
        for number in range(12):
            async with client() as other:
                await other.ok(hello={"client": f"c-{number + 1}"})
                await other.join(name)
            await gone(name, f"c-{number + 1}")
        async with client() as stays:
            await stays.ok(hello={"client": "c-99"})
            await stays.join(name)
            gate.open()
            await page.until({"c-0": ONE, "c-99": ONE})
        assert any("present" in frame for frame in page.frames)


async def test_what_is_lost_while_a_slow_member_is_told_who_is_present_is_told_behind_it(desk, name, monkeypatch):
    sockets, told, gate = [], [], Gate()

    @desk.on_join
    async def enter(ws, key):
        sockets.append(ws)

    async def send(session, frame):
        told.append(frame)
        await gate.wait()

    async with client() as one:
        await one.join(name)
        session = sockets[0]._session
        monkeypatch.setattr(type(session), "send", send)
        for count in (1, 2, 2):
            session.fell_behind([current_hub().presence(name).payload()])
            session.caught_up()  # as soon as the frame before is written, before whoever waits for that goes on
            await turns(5)
            assert len(told) == min(count, 1)
        gate.open()
        await turns(10)
        assert len(told) == 2


async def test_a_slow_member_that_cannot_be_told_comes_back(desk, name, settings, caplog):
    settings.FASTWS_SEND_BUFFER_BYTES, settings.FASTWS_SLOW_CONSUMER = 500, "drop_oldest"
    settings.FASTWS_MAX_MESSAGE_BYTES = 1000
    gate = Gate()
    gate.open()

    @desk.on("show")
    async def show(ws, room: Room, meta: str) -> None:
        await ws.set_presence(room, meta)

    async with client(application=slow(gate)) as one, client() as other, client() as another:
        await Page(one, name).join("c-0")
        await Page(other, name).join("c-1")
        page = Page(another, name)
        await page.join("c-2")
        gate.opened.clear()
        for letter in "abc":
            for who, key in ((other, "c-1"), (another, "c-2")):
                await who.say(room=name, event="show", data={"meta": letter * 600})
                await page.until({**page.people, key: {"meta": letter * 600, "connections": 1}})
        gate.open()
        async with asyncio.timeout(10):
            with contextlib.suppress(WebSocketDisconnect):
                while True:
                    await one.next()
    assert "Traceback" not in caplog.text


# Counts only


async def test_where_only_counts_are_told(name):
    declare("desk-{key}", presence=Presence(counts_only=True))
    async with client() as a, client() as b:
        await a.ok(hello={"client": "c-1"})
        assert await a.join(name) == {"room": name, "recovered": False, "count": 1}
        await b.ok(hello={"client": "c-2"})
        assert (await b.join(name))["count"] == 2
        assert await a.next() == {"room": name, "count": 2}
        assert await people(name) == {"c-1": 1, "c-2": 1}
        await b.ws.close()
        assert await a.next() == {"room": name, "count": 1}


# Raw sockets


@pytest.fixture
def raw():
    @FastWS().websocket("/raw-presence/{room}")
    async def handler(ws: WebSocket, room: str):
        await ws.accept()
        async for message in ws:
            told = message.json()
            if told == "leave":
                await ws.leave(room)
            else:
                await ws.join(room, present=told)
            await ws.send_json("done")

    return handler


async def test_raw_sockets_are_present_with_a_card(desk, raw, name):
    async with client() as watching:
        page = Page(watching, name)
        await page.join("c-1")
        async with connect(f"/raw-presence/{name}", user=ADA, application=get_asgi_application()) as ws:
            await ws.send_json({"name": "Ada"})
            await ws.receive_json()
            await page.until({"c-1": ONE, "1": {"meta": {"name": "Ada"}, "connections": 1}})
            await ws.send_json({"name": "A."})
            await page.until({"c-1": ONE, "1": {"meta": {"name": "A."}, "connections": 1}})
            await ws.send_json("leave")
            await page.until({"c-1": ONE})
            await ws.send_json([])
            await page.until({"c-1": ONE, "1": {"meta": [], "connections": 1}})
        await page.until({"c-1": ONE})


async def test_raw_sockets_of_nobody_are_present_by_their_ids_in_any_room(raw, name):
    async with connect(f"/raw-presence/{name}", application=get_asgi_application()) as ws:
        await ws.send_json({})
        await ws.receive_json()
        [present] = await Room(name).apresent()
        assert (present.meta, present.connections) == ({}, 1)
        assert len(present.key) > 8
        assert current_hub().presence(name) is None


@pytest.mark.parametrize("card", ["x" * 200, object()], ids=["too-big", "no-json"])
async def test_a_raw_socket_whose_card_cannot_be_shown_does_not_join(name, settings, card):
    settings.FASTWS_MAX_MESSAGE_BYTES = 100  # a live member could not be told of it
    problems = []

    @FastWS().websocket("/raw-wrong-card")
    async def handler(ws: WebSocket):
        await ws.accept()
        try:
            await ws.join(name, present=card)
        except (MessageTooBig, TypeError):
            problems.append(sorted(ws.rooms))
        await ws.send_json("done")

    async with connect("/raw-wrong-card", application=get_asgi_application()) as ws:
        await ws.receive_json()
    assert problems == [[]]
    assert await people(name) == {}


async def test_a_socket_that_joins_without_a_card_is_not_present(desk, name):
    @FastWS().websocket("/raw-absent")
    async def handler(ws: WebSocket):
        await ws.accept()
        await ws.join(name)
        await ws.send_json("done")
        await ws.receive()

    async with connect("/raw-absent", application=get_asgi_application()) as ws:
        await ws.receive_json()
        assert await people(name) == {}


async def test_a_raw_socket_that_leaves_or_ends_during_its_join_is_not_present(name):
    async def leave(ws, joining):
        await ws.leave(name)
        await joining
        await ws.send_json("done")
        await ws.receive()

    async def end(ws, joining):
        await ws.close()

    joins = []
    for number, then in enumerate([leave, end] * 12):
        path = f"/raw-joining/{token()}"

        @FastWS().websocket(path)
        async def handler(ws: WebSocket, number=number, then=then):
            await ws.accept()
            joins.append(asyncio.create_task(ws.join(name, present={})))
            for _ in range(number + 1):  # whatever the join is at
                await asyncio.sleep(0)
            await then(ws, joins[-1])

        async with connect(path, application=get_asgi_application()) as ws:
            with contextlib.suppress(WebSocketDisconnect):
                await ws.receive()
            await asyncio.gather(*joins, return_exceptions=True)
            async with asyncio.timeout(10):
                while await people(name):  # noqa: ASYNC110 (of the layer, which tells nobody here)
                    await asyncio.sleep(0.01)


# Layers


async def test_on_a_layer_without_presence_rooms_go_without(desk, name, monkeypatch):
    monkeypatch.setattr(type(get_broker()), "presence", None)
    async with client() as a:
        assert await a.join(name) == {"room": name, "recovered": False}
