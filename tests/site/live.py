"""Live room for the servers of the tests."""

from __future__ import annotations

import asyncio

from django_fastws import Event, FastWS, History, LiveSocket, Room
from tests.support.records import records

app = FastWS()
room = app.room("live/{name}")
room.relay("typing", bool)


class Said(Event):
    """What a member says, all members are told."""

    text: str


class Gone(Event):
    """A member has left."""

    client: str


@room.state
async def state(ws: LiveSocket, name: str) -> str:
    """The name of the room."""
    await asyncio.sleep(0)
    return name


@room.on("say")
async def say(ws: LiveSocket, room: Room, text: str) -> int:
    """Tells all members."""
    await room.abroadcast(Said(text=text))
    return len(text)


_paid: list[int] = []


@room.on("pay")
async def pay(ws: LiveSocket, amount: int) -> list[int]:
    """What this process was paid, slowly."""
    _paid.append(amount)
    await asyncio.sleep(0.2)
    return _paid


@room.on("now")
async def now(ws: LiveSocket, n: int) -> int:
    """Waits for nothing."""
    return n


@room.on("tell")
async def tell(ws: LiveSocket, n: int) -> int:
    """Tells the caller before it answers."""
    await ws.emit("told", n)
    return n


@room.on("numbers")
async def numbers(ws: LiveSocket, n: int):
    """Counts."""
    for number in range(n):
        yield number
        await asyncio.sleep(0)


@room.on_leave
async def left(ws: LiveSocket, room: Room) -> None:
    """Tells the others."""
    await room.abroadcast(Gone(client=ws.client_id))


MUCH = {"messages": 20_000, "seconds": 3600, "bytes": 64 * 1024 * 1024}
kept = app.room("kept/{name}", history=History(**MUCH))


@kept.state(shared=True)
async def kept_state(name: str) -> dict[str, int]:
    """How many records each publisher has in its file, before it tells of the last one."""
    return records(f"kept/{name}")


stored = app.room(
    "stored/{name}", history=History(messages=20_000, seconds=3600, bytes=64 * 1024 * 1024, database=True)
)


@stored.state(shared=True)
async def stored_state(name: str) -> dict[str, int]:
    """The same, of a room whose history is kept in the database."""
    return records(f"stored/{name}")
