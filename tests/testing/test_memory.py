"""What tests that share a process would find of each other."""

from __future__ import annotations

from django_fastws import FastWS, History, Latest, Room
from django_fastws.testing import clear_histories, live


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
