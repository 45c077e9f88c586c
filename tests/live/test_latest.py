"""Keyed rooms: the newest value of each key, which members begin with, and which comes at most so often."""

from __future__ import annotations

import asyncio

import pytest

from django_fastws import FastWS, History, Latest, Room, RouteError
from django_fastws.asgi import get_asgi_application
from django_fastws.layer import get_broker
from tests.live.client import Gate, client, declare, turns
from tests.live.test_room_feed import slow
from tests.site.client import LIMIT, token


@pytest.fixture(params=["here", pytest.param("redis", marks=pytest.mark.redis)], autouse=True)
def layer(request, settings):
    redis = request.param == "redis"
    settings.CHANNEL_LAYERS = {"default": request.getfixturevalue("redis_layer")} if redis else {}


@pytest.fixture
def name():
    return f"prices-{token()}"


@pytest.fixture
def prices():
    return declare("prices-{key}", latest=Latest())


async def test_members_begin_with_the_newest_value_of_each_key_and_get_what_comes(prices, name):
    room = Room(name)
    await room.abroadcast(1, key="BTC")
    await room.abroadcast({"bid": 7}, key="ETH")
    await room.abroadcast(2, key="BTC")
    async with client() as one:
        assert await one.join(name) == {"room": name, "recovered": False, "state": {"BTC": 2, "ETH": {"bid": 7}}}
        await room.abroadcast("text", key='a "key"')
        assert await one.next() == {"room": name, "key": 'a "key"', "data": "text"}
        await room.aremove("ETH")
        assert await one.next() == {"room": name, "key": "ETH", "removed": True}
        assert await one.join(name) == {"room": name, "recovered": False, "state": {"BTC": 2, 'a "key"': "text"}}


async def test_sync_code_broadcasts_and_removes(prices, name):
    room = Room(name)

    def work():
        room.broadcast(1, key="a")
        room.broadcast(2, key="b")
        room.remove("a")

    await asyncio.to_thread(work)
    async with client() as one:
        assert (await one.join(name))["state"] == {"b": 2}


async def test_an_empty_room_has_an_empty_state(prices, name):
    async with client() as one:
        assert (await one.join(name))["state"] == {}


async def test_a_key_comes_at_most_so_often_and_its_last_value_always(name):
    declare("prices-{key}", latest=Latest(rate="10/s"))
    room, loop = Room(name), asyncio.get_running_loop()
    async with client() as one:
        await one.join(name)
        began = loop.time()
        for number in range(100):
            await room.abroadcast(number, key="BTC")
            await asyncio.sleep(0)
        await room.abroadcast("other", key="ETH")
        heard = [await one.next()]
        while heard[-1]["data"] != 99:
            heard.append(await one.next())
        values = [frame["data"] for frame in heard if frame["key"] == "BTC"]
        assert values == sorted(values)
        assert values[0] == 0
        assert len(values) <= 2 + (loop.time() - began) * 10
        assert len(values) < 50
        assert "other" in [frame["data"] for frame in heard]


async def test_each_member_is_excluded_from_its_own_value(prices, name):
    async with client() as one:
        await one.ok(hello={"client": "c-1"})
        await one.join(name)
        await Room(name).abroadcast("mine", key="a", exclude="c-1")
        await Room(name).abroadcast("theirs", key="b")
        assert await one.next() == {"room": name, "key": "b", "data": "theirs"}


async def test_what_is_held_during_the_join_does_not_come_after_a_newer_state(prices, name, monkeypatch):
    room, gate = Room(name), Gate()
    broker = get_broker()
    read = broker.aread_latest

    async def slowly(self, *args):
        await gate.wait()
        return await read(*args)

    monkeypatch.setattr(type(broker), "aread_latest", slowly)
    async with client() as one:
        await one.say(join=name, id=1)
        await gate.came.wait()
        await room.abroadcast(1, key="a")
        await room.abroadcast(2, key="a")
        await asyncio.sleep(0.05)
        gate.open()
        assert (await one.next())["ok"]["state"] == {"a": 2}
        await room.abroadcast(3, key="a")
        assert (await one.next())["data"] == 3
        assert await one.silent()


async def test_values_that_were_missed_are_read_after_an_outage(prices, name, monkeypatch):
    from django_fastws.rooms import current_hub
    from django_fastws.rooms.latest_rooms import LatestRooms

    room = Room(name)
    async with client() as one:
        for key in "abc":
            await room.abroadcast(1, key=key)
        await one.join(name)
        for key in "abc":
            await room.abroadcast(2, key=key)
        for _ in range(3):
            await one.next()
        with monkeypatch.context() as outage:
            outage.setattr(LatestRooms, "receive", lambda self, envelope: True)
            await room.abroadcast(3, key="b")
            await room.aremove("c")
            await asyncio.sleep(0.05)
        current_hub()._restored()
        told = [await one.next() for _ in range(2)]
        assert told == [{"room": name, "key": "b", "data": 3}, {"room": name, "key": "c", "removed": True}]
        assert await one.silent()


async def test_a_value_that_is_older_than_what_came_is_passed_over(prices, name):
    from django_fastws._core.envelope import Envelope
    from django_fastws._core.latest import Keyed
    from django_fastws._core.messages import Payload
    from django_fastws._core.positions import Position
    from django_fastws.rooms import current_hub

    def value(number):
        made = Envelope.broadcast(
            f"fastws.n.{name}", Payload(str(number)), is_json=True, keyed=Keyed("a", False, None)
        )
        made.position = Position("e", number)
        return made

    async with client() as one:
        await one.join(name)
        for number in (2, 1, 3, 2):
            current_hub().deliver(value(number))
        assert [(await one.next())["data"] for _ in range(2)] == [2, 3]
        assert await one.silent()


async def test_values_are_forgotten_after_their_time(name):
    declare("prices-{key}", latest=Latest(seconds=1))
    await Room(name).abroadcast(1, key="a")
    async with client() as one, asyncio.timeout(LIMIT):
        state = {"a": 1}
        while "a" in state:
            await asyncio.sleep(0.1)
            await Room(name).abroadcast(1, key="b")
            state = await joined_state(one, name)
        assert state == {"b": 1}


async def joined_state(one, name):
    """The state of a join, past the values that come before its answer."""
    await one.say(join=name, id=1)
    while "ok" not in (told := await one.next()):
        assert told["key"] in ("a", "b")
    return told["ok"]["state"]


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_a_slow_member_gets_all_values_when_it_reads_again(prices, name, settings, policy):
    settings.FASTWS_SEND_BUFFER_BYTES = 2000
    settings.FASTWS_SLOW_CONSUMER = policy
    gate = Gate()
    gate.open()
    async with client(application=slow(gate)) as one:
        await one.join(name)
        gate.opened.clear()
        for number in range(40):
            await Room(name).abroadcast(f"{number}" + "x" * 100, key="a")
            await turns()
        await asyncio.sleep(0.1)
        gate.open()
        told = await one.next()
        while "state" not in told:
            told = await one.next()
        assert told == {"room": name, "state": {"a": "39" + "x" * 100}}
        await Room(name).abroadcast("live", key="a")
        assert (await one.next())["data"] == "live"


async def test_sockets_that_joined_get_the_key_besides(prices, name):
    from django_fastws.testing import connect

    app = FastWS()

    @app.websocket("/raw")
    async def raw(ws):
        await ws.accept()
        await ws.join(name)
        await ws.send("joined")
        async for _ in ws:
            pass

    async with connect("/raw", application=get_asgi_application()) as ws:
        assert await ws.receive_text() == "joined"
        await Room(name).abroadcast(1, key="a")
        assert await ws.receive_json() == {"key": "a", "data": 1}
        await Room(name).aremove("a")
        assert await ws.receive_json() == {"key": "a", "removed": True}


async def test_listeners_hear_keys_and_removals(prices, name):
    room = Room(name)
    async with room.listen() as events:
        await room.abroadcast({"bid": 5}, key="a")
        await room.aremove("a")
        heard = [await anext(events) for _ in range(2)]
    assert [(one.event, one.key, one.data, one.removed) for one in heard] == [
        ("latest", "a", {"bid": 5}, False),
        ("latest", "a", None, True),
    ]
    assert repr(heard[1]) == "RoomEvent('latest', b'null', 'a', removed=True)"


async def test_keys_and_rooms_that_do_not_fit_are_said(prices, name):
    room, other = Room(name), Room(f"other-{name}")
    with pytest.raises(TypeError, match="is keyed: say whose value"):
        await room.abroadcast(1)
    for data in (b"x", bytearray(b"x"), memoryview(b"x")):
        with pytest.raises(TypeError, match="bytes have no JSON form"):
            await room.abroadcast(data, key="a")
    with pytest.raises(TypeError, match="has no keys"):
        await other.abroadcast(1, key="a")
    with pytest.raises(TypeError, match="has no keys"):
        await other.aremove("a")
    for key, error in ((5, TypeError), ("", ValueError), ("x" * 513, ValueError), ("\ud800", ValueError)):
        with pytest.raises(error, match="key"):
            await room.abroadcast(1, key=key)
        with pytest.raises(error, match="key"):
            await room.aremove(key)
    with pytest.raises(TypeError, match=r"^remove\(\): a key is a str"):
        await room.aremove(None)


async def test_removing_no_key_of_a_room_without_keys_sends_nothing():
    other = Room(f"other-{token()}")
    async with other.listen() as heard:
        with pytest.raises(TypeError, match="has no keys"):
            await other.aremove(None)
        await other.abroadcast("next")
        assert (await anext(heard)).data == "next"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rate": "5"}, "rate"),
        ({"rate": 5}, "rate"),
        ({"rate": "5/s burst 10"}, "burst"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": True}, "seconds"),
        ({"seconds": "1"}, "seconds"),
    ],
)
def test_an_option_that_cannot_be(options, text):
    with pytest.raises((TypeError, ValueError), match=text):
        Latest(**options)


def test_what_a_keyed_room_cannot_have():
    app = FastWS()
    with pytest.raises(RouteError, match="latest=5 is none"):
        app.room("a", latest=5)
    with pytest.raises(RouteError, match="no history"):
        app.room("a", latest=Latest(), history=History())
    room = app.room("a", latest=Latest())
    with pytest.raises(RouteError, match="its values"):

        @room.state
        async def state(ws): ...
