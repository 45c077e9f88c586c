"""What tests that share a process would find of each other."""

from __future__ import annotations

from django.contrib.auth.models import User

from django_fastws import FastWS, History, Latest, Room, presence
from django_fastws.signals import presence_left
from django_fastws.testing import clear_histories, live, virtual_time

ADA, BOB = User(pk=5, username="ada"), User(pk=6, username="bob")


async def test_histories_are_forgotten_and_rooms_begin_anew(routes):
    FastWS().room("tickets/{pk:int}", history=History())
    rooms = [Room(f"tickets/{number}") for number in range(3)]
    for room in rooms:
        await room.abroadcast("x")
    clear_histories()
    assert [await room.ahistory() for room in rooms] == [[], [], []]
    assert [(await room.aposition()).offset for room in rooms] == [0, 0, 0]
    async with live() as client:
        joined = await client.join("tickets/1")
        await rooms[1].abroadcast("y")
        assert (await joined.next()).at == str(await rooms[1].aposition())


async def test_values_of_keyed_rooms_are_forgotten(routes):
    FastWS().room("prices", latest=Latest())
    await Room("prices").abroadcast(1, key="a")
    clear_histories()
    async with live() as client:
        room = await client.join("prices")
        assert room.latest == {}
        await Room("prices").abroadcast(2, key="a")
        assert (await room.next(key="a")).data == 2


async def test_who_was_present_in_another_test_is_not_though_the_loop_is_the_same(routes):
    FastWS().room("boards/{pk:int}", presence=True)
    async with virtual_time() as time:
        left = []
        presence_left.connect(note := lambda key, **_: left.append(key))
        async with live(user=ADA) as ada:
            await ada.join("boards/5")
        clear_histories()
        async with live(user=BOB) as bob:
            room = await bob.join("boards/5")
            assert set(room.present) == {"6"}
            await time.advance(60)
            assert [one.key for one in await Room("boards/5").apresent()] == ["6"]
            assert await presence.aonline([ADA, BOB]) == {6}
        assert left == []
        presence_left.disconnect(note)


async def test_who_is_connected_when_all_is_forgotten_disturbs_nobody(routes):
    FastWS().room("boards/{pk:int}", presence=True)
    async with virtual_time() as time, live(user=ADA) as ada, live(user=BOB) as bob:
        await ada.join("boards/5")
        clear_histories()
        assert set((await bob.join("boards/5")).present) == {"6"}
        await ada.close()
        await time.advance(60)
        assert await Room("boards/5").acount() == 1


def test_it_may_be_called_where_no_loop_runs():
    clear_histories()
