"""Tickets that show who looks at them, and who is typing; shows that count their visitors; users with a dot."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.dispatch import receiver
from django.http import JsonResponse
from django_fastws import FastWS, LiveSocket, Presence, Room, WebSocket
from django_fastws.presence import last_seen, online
from django_fastws.signals import presence_joined, presence_left
from pydantic import BaseModel

app = FastWS()
LOG: list[tuple[str, str, str]] = []


class Card(BaseModel):
    name: str
    is_away: bool = False


class Typing(BaseModel):
    is_typing: bool


tickets = app.room("tickets/{pk:int}", presence=True, login_required=True)


@tickets.card
async def card(ws: LiveSocket, pk: int) -> Card:
    return Card(name=ws.user.username)


@tickets.on("away")
async def away(ws: LiveSocket, room: Room, is_away: bool) -> None:
    await ws.set_presence(room, Card(name=ws.user.username, is_away=is_away))


tickets.relay("typing", Typing, rate="2/s")

shows = app.room("shows/{slug:slug}", presence=Presence(counts_only=True))


def readers(pk: int) -> list[str]:
    return [present.meta["name"] for present in tickets(pk=pk).present()]


def users(request):
    people = list(User.objects.order_by("username"))
    there = online(people)
    return JsonResponse({"users": [{"name": one.username, "is_online": one.pk in there} for one in people]})


def user(request, pk):
    seen = last_seen(pk)
    return JsonResponse({"last_seen": None if seen is None else seen.isoformat()})


@receiver(presence_joined)
def has_come(sender, room, key, meta, **kwargs):
    LOG.append(("joined", room, key))


@receiver(presence_left)
def has_gone(sender, room, key, meta, **kwargs):
    LOG.append(("left", room, key))


@app.websocket("/ws/tickets/{pk}")
async def ticket(ws: WebSocket, pk: int):
    await ws.accept()
    await ws.join(tickets(pk=pk), present={"name": "a screen on the wall"})
    async for _ in ws:
        await ws.send([present.meta for present in await tickets(pk=pk).apresent()])


async def test_who_closes_the_page_is_gone_after_the_grace():
    from django_fastws.testing import live, virtual_time

    ada, bob = User(pk=5, username="ada"), User(pk=6, username="bob")
    async with virtual_time() as time, live(user=ada) as one, live(user=bob) as other:
        room = await one.join("tickets/7")
        await other.join("tickets/7")
        await room.next_presence(joined=bob)
        assert room.present["6"].meta == {"name": "bob", "is_away": False}
        await other.close()
        await time.advance(9)
        assert "6" in room.present
        await time.advance(2)
        await room.next_presence(left=bob)
        assert list(room.present) == ["5"]
