"""Shared states: made once for all who need one, and never from before they asked."""

from __future__ import annotations

import asyncio

import pytest

from django_fastws import LiveError, Room
from django_fastws.live.shared_states import SharedStates
from tests.live.client import Gate, client, declare, turns


class Maker:
    def __init__(self, *gates):
        self.made = 0
        self.gates = list(gates)

    async def __call__(self):
        self.made += 1
        number = self.made
        if self.gates:
            await self.gates.pop(0).wait()
        return b"%d" % number


async def test_who_asks_at_the_same_time_shares_one_state():
    states, make = SharedStates(), Maker()
    assert await asyncio.gather(*(states.get("room", make) for _ in range(5))) == [b"1"] * 5
    assert await states.get("room", make) == b"2"


async def test_who_asks_while_one_is_made_gets_the_next():
    gate = Gate()
    states, make = SharedStates(), Maker(gate)
    first = asyncio.ensure_future(states.get("room", make))
    await gate.came.wait()
    others = [asyncio.ensure_future(states.get("room", make)) for _ in range(3)]
    await turns()
    assert make.made == 1
    gate.open()
    assert await first == b"1"
    assert await asyncio.gather(*others) == [b"2"] * 3


async def test_rooms_do_not_share():
    states, one, two = SharedStates(), Maker(), Maker()
    assert await asyncio.gather(states.get("a", one), states.get("b", two)) == [b"1", b"1"]


async def test_an_error_is_that_of_all_who_share_and_the_next_is_made_anew():
    states = SharedStates()

    async def fail():
        raise ValueError("on purpose")

    results = await asyncio.gather(*(states.get("room", fail) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 3
    assert await states.get("room", Maker()) == b"1"


async def test_who_gives_up_takes_nothing_from_the_others():
    gate = Gate()
    states, make = SharedStates(), Maker(gate)
    one, two = (asyncio.ensure_future(states.get("room", make)) for _ in range(2))
    await gate.came.wait()
    one.cancel()
    gate.open()
    assert await two == b"1"
    with pytest.raises(asyncio.CancelledError):
        await one


async def test_members_that_join_at_once_get_one_state():
    made = []
    room = declare()

    @room.state(shared=True)
    async def state(pk: int, room: Room) -> list[str]:
        made.append(pk)
        await asyncio.sleep(0)
        return [room.name]

    async with client() as one, client() as two:
        for each in (one, two):
            await each.say(join="room/5", id=1)
        for each in (one, two):
            assert (await each.next())["ok"]["state"] == ["room/5"]
    assert 1 <= len(made) <= 2


@pytest.mark.parametrize("fails", ["raises", "is no JSON", "is too big"])
async def test_a_state_that_fails_is_logged_once_for_all_who_share_it(caplog, settings, fails):
    settings.FASTWS_MAX_MESSAGE_BYTES = 1000
    room, gate = declare(), Gate()

    @room.state(shared=True)
    async def state(pk: int):
        await gate.wait()
        if fails == "raises":
            raise ValueError("on purpose")
        return object() if fails == "is no JSON" else "x" * 1000

    async with client() as first, client() as one, client() as two, client() as three:
        await first.say(join="room/5", id=1)
        await gate.came.wait()
        for each in (one, two, three):
            await each.say(join="room/5", id=1)
        await turns()
        gate.open()
        for each in (first, one, two, three):
            assert (await each.next())["error"] == {"code": "failed", "message": "the server failed", "retry": False}
    assert len(caplog.records) == 2  # that of the first, and that of those who asked while it was made
    assert "'room/5'" in caplog.text
    assert {"raises": "on purpose", "is no JSON": "TypeError", "is too big": "MessageTooBig"}[fails] in caplog.text


async def test_an_error_of_a_shared_state_is_told_as_it_is(caplog):
    room = declare()

    @room.state(shared=True)
    async def state(pk: int):
        raise LiveError("closed", "it is closed")

    async with client() as one:
        assert await one.code(join="room/5") == "closed"
    assert not caplog.records
