"""Rooms and live rooms: broadcasts, listeners, kicks, handlers, hooks, events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import assert_type

from django.contrib.auth.models import AbstractUser, User
from django.contrib.sessions.backends.base import SessionBase
from pydantic import BaseModel

from django_fastws import (
    Event,
    FastWS,
    History,
    LiveError,
    LiveSocket,
    Position,
    Presence,
    Present,
    Room,
    Stored,
    WebSocket,
    presence,
)

app = FastWS()


class Member(AbstractUser):
    nickname = "Ada"

    class Meta(AbstractUser.Meta):
        abstract = True


class Said(Event):
    text: str


class Closed(Event, name="ticket_is_closed"):
    by: str


class Typing(BaseModel):
    is_typing: bool


# Rooms


def broadcasts(room: Room, ws: WebSocket, user: User) -> None:
    assert_type(room.broadcast("text"), Position | None)
    room.broadcast({"a": 1}, "changed", exclude=ws.id, volatile=True, on_commit=False)
    room.broadcast(Said(text="hello"), exclude=ws)
    room.broadcast("text", exclude=user)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    room.kick(user=user, code=4403, reason="enough")
    room.kick(client="5", on_commit=False)


def histories(room: Room, app: FastWS) -> None:
    app.room("tickets/{pk:int}", history=History(messages=500, seconds=60.5))
    app.room("a", history=500)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    History(message=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(room.history(10, before="e:1", after=Position("e", 1)), list[Stored])
    assert_type(room.position(), Position)
    assert_type(Position.parse("e:1"), Position | None)
    room.broadcast("text", idempotency_key="k")
    assert_type(room.broadcast({"bid": 5}, key="BTC"), Position | None)
    room.remove("BTC", on_commit=False)
    room.broadcast({"bid": 5}, key=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    room.history(before=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def broadcasts_soon(room: Room, ws: WebSocket[Member], live: LiveSocket[Member]) -> None:
    assert_type(await room.abroadcast(b"binary", exclude=ws), Position | None)
    await room.abroadcast(Closed(by="ada"), exclude=live)
    await room.akick(user=ws.user)
    joined = await ws.join(room, since="e:1")
    assert_type(joined.position, Position | None)
    assert_type(joined.recovered, bool)
    await ws.broadcast(room, Said(text="hello"), exclude_self=True)
    await live.leave(room)


def people(room: Room, user: User, app: FastWS) -> None:
    app.room("a", presence=True)
    app.room("b", presence=Presence(counts_only=True))
    app.room("c", presence="who")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Presence(True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(room.present(), list[Present])
    assert_type(room.present()[0].key, str)
    assert_type(room.present()[0].since, datetime)
    assert_type(room.count(), int)
    assert_type(presence.is_online(user), bool)
    presence.online([user.pk])
    presence.online(User.objects.all())
    assert_type(presence.last_seen(user), datetime | None)


async def people_soon(room: Room, user: User, ws: WebSocket, live: LiveSocket) -> None:
    assert_type(await room.apresent(), list[Present])
    assert_type(await room.acount(), int)
    assert_type(await presence.ais_online(5), bool)
    await presence.aonline({user})
    await presence.aonline(User.objects.all())
    assert_type(await presence.alast_seen(user.pk), datetime | None)
    await live.set_presence(room, {"name": "ada"})
    await ws.join(room, present={"name": "ada"})


async def listens() -> list[str]:
    async with Room("tickets/5").listen(limit=10) as events:
        async for event in events:
            assert_type(event.event, str)
            assert_type(event.raw, bytes)
        assert_type(events.dropped, int)
    return []


# Live rooms


def may_join(ws: LiveSocket[Member], pk: int) -> bool:
    return ws.user.is_staff


async def may_join_soon(ws: LiveSocket, pk: int) -> bool:
    return await ws.user.ahas_perm("news.add_announcement")


tickets = app.room(
    "tickets/{pk:int}",
    sends=[Said, Closed],
    permission=["news.add_announcement", may_join, may_join_soon],
    rate="5/s",
)
assert_type(tickets(pk=5), Room)
app.room("lobby", sends=[Typing])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


@tickets.on("say", rate="5/s", concurrent=True, timeout=5)
async def say(ws: LiveSocket[Member], room: Room, pk: int, text: str) -> int:
    assert_type(ws.user, Member)
    assert_type(ws.session, SessionBase)
    await room.abroadcast(Said(text=ws.user.nickname + text))
    await ws.emit("heard", {"pk": pk})
    await ws.emit(Said(text=text))
    await ws.emit(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    if await ws.ask("sure", timeout=5) is not True:
        raise LiveError("conflict", "not sure")
    ws.user.nick  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return pk


@tickets.on("numbers")
async def count(ws: LiveSocket, to: int) -> AsyncIterator[int]:
    for number in range(to):
        yield number


@tickets.on("sync")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def sync_event(ws: LiveSocket) -> int:
    return 5


tickets.relay("typing", Typing, rate="2/s")


@tickets.on_join
async def enter(ws: LiveSocket, pk: int) -> None: ...


@tickets.on_leave
async def left(ws: LiveSocket[Member], pk: int) -> None: ...


@tickets.state
async def state(ws: LiveSocket, pk: int) -> list[Said]:
    return []


lobby = app.room("lobby")


@lobby.state(shared=True)
async def shared_state() -> dict[str, Said]:
    return {}


async def decorated(ours: LiveSocket[Member], ws: LiveSocket) -> None:
    assert_type(await say(ours, tickets(pk=5), 5, text="hello"), int)
    assert_type(count(ws, 5), AsyncIterator[int])
    assert_type(await enter(ws, 5), None)
    assert_type(await state(ws, 5), list[Said])
    assert_type(await shared_state(), dict[str, Said])
    hook: Callable[[LiveSocket[Member], int], Awaitable[None]] = left
    await hook(ours, 5)
    await say(ours, tickets(pk=5), "5", text="hello")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
