"""The desk's server: a room for each ticket, and one for the list of them."""

from datetime import datetime, timedelta
from typing import Annotated

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.shortcuts import aget_object_or_404
from django.utils import timezone
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from django_fastws import Event, FastWS, History, LiveSocket, Room

from ..people import Person, account_of, person_of
from .models import EXCERPT, MAX_TEXT, Message, Seat, Ticket

OUT = timedelta(seconds=30)  # for which who was kicked has to stay out

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT)]


class Said(Event):
    """A message of a ticket."""

    number: int
    key: str
    name: str
    is_agent: bool
    text: str
    at: datetime


class TakenOut(Event):
    """An agent has taken somebody out of the ticket."""

    name: str
    by: str
    at: datetime = Field(default_factory=timezone.now)


class Changed(Event):
    """A ticket is new, or has a new message; what the list shows of it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    subject: str
    count: int
    last_key: str
    last_name: str
    last_text: str
    changed_at: datetime


class Read(Event):
    """Somebody has read a ticket up to a message."""

    id: int
    key: str
    read: int


class Typing(BaseModel):
    """A member is writing, or has stopped."""

    is_typing: bool


class Row(BaseModel):
    """A ticket of the list, and up to which message whoever asks has read it."""

    ticket: Changed
    read: int


app = FastWS(tags=["desk"])

# What was committed was told: each event is a row of the transaction that has saved the message.
tickets = app.room(
    "tickets/{pk:int}", history=History(database=True), presence=True, sends=[Said, TakenOut], login_required=True
)
tickets.relay("typing", Typing, rate="2/s burst 6")

# Nothing is lost if the list of a page begins anew, so its history may be short and in the channel layer.
desk = app.room(
    "desk", history=History(messages=200, seconds=3600), presence=True, sends=[Changed, Read], login_required=True
)


@tickets.card
@desk.card
async def card(ws: LiveSocket) -> Person:
    """How the others see who is here."""
    return person_of(ws)


# ── A ticket ────────────────────────────────────────────────────────────────────────────────────────────────────────


@tickets.on_join
async def enter(ws: LiveSocket, pk: int) -> None:
    """Every join comes by here, those after a kick as well: a kick is no ban, this is."""
    await aget_object_or_404(Ticket, pk=pk)
    if await Seat.objects.filter(ticket=pk, user=account_of(ws), out_until__gt=timezone.now()).aexists():
        raise PermissionDenied("You were taken out of this ticket. Wait a moment, and come back.")


@tickets.state
async def conversation(ws: LiveSocket, pk: int) -> list[Said]:
    """All that was said. Only a page that cannot go on from where it was asks for it."""
    return await sync_to_async(said_in)(pk)


@tickets.on("say", rate="5/s burst 20")
async def say(ws: LiveSocket, pk: int, text: Text) -> int:
    """Save a message and tell everyone; the answer is its number."""
    return await sync_to_async(post)(pk, account_of(ws), text)


@tickets.on("read")
async def read(ws: LiveSocket, pk: int, number: int) -> None:
    """Mark what is up to a message as read, for all pages of this user."""
    ticket = await aget_object_or_404(Ticket, pk=pk)
    seat, _ = await Seat.objects.aget_or_create(ticket=ticket, user=account_of(ws))
    number = min(number, ticket.count)  # of a client that may say anything
    if seat.read < number:
        await Seat.objects.filter(pk=seat.pk, read__lt=number).aupdate(read=number)
        await desk().abroadcast(Read(id=pk, key=person_of(ws).key, read=number))


@tickets.on("kick")
async def kick(ws: LiveSocket, room: Room, pk: int, key: int) -> None:
    """Take somebody out of the ticket, whatever page they are on and whichever process serves it."""
    agent = person_of(ws)
    if not agent.is_agent:
        raise PermissionDenied("Only an agent takes people out.")
    user = await aget_object_or_404(User, pk=key)
    await Seat.objects.aupdate_or_create(ticket_id=pk, user=user, defaults={"out_until": timezone.now() + OUT})
    await room.akick(user=user, reason=f"{agent.name} has taken you out, for {OUT.seconds} seconds.")
    await room.abroadcast(TakenOut(name=user.get_username(), by=agent.name))


# ── The list ────────────────────────────────────────────────────────────────────────────────────────────────────────


@desk.state
async def rows(ws: LiveSocket) -> list[Row]:
    """All tickets, and how far this user has read each."""
    return await sync_to_async(rows_of)(account_of(ws))


# ── What views do as well ───────────────────────────────────────────────────────────────────────────────────────────


def rows_of(user: User) -> list[Row]:
    """All tickets, those with news first, and up to which message a user has read each."""
    read = dict(Seat.objects.filter(user=user).values_list("ticket", "read"))
    ordered = Ticket.objects.order_by("-changed_at", "-pk")
    return [Row(ticket=Changed.model_validate(ticket), read=read.get(ticket.pk, 0)) for ticket in ordered]


def said_in(pk: int) -> list[Said]:
    """What was said in a ticket, the oldest first."""
    return [_said(message) for message in Message.objects.filter(ticket=pk).select_related("author")]


def post(pk: int, author: User, text: str) -> int:
    """Say something in a ticket, as a handler or a view: returns the number of the message.

    The message, the ticket and the event are one transaction: all of it, or nothing.
    """
    with transaction.atomic():
        ticket = Ticket.objects.select_for_update().get(pk=pk)
        ticket.count += 1
        ticket.last_key, ticket.last_name, ticket.last_text = str(author.pk), author.get_username(), text[:EXCERPT]
        ticket.save()
        message = Message.objects.create(ticket=ticket, number=ticket.count, author=author, text=text)
        Seat.objects.update_or_create(ticket=ticket, user=author, defaults={"read": ticket.count})
        tickets(pk=pk).broadcast(_said(message))  # a row of this transaction
        desk().broadcast(Changed.model_validate(ticket))  # goes out after the commit
    return message.number


def _said(message: Message) -> Said:
    author = message.author
    return Said(
        number=message.number,
        key=str(author.pk),
        name=author.get_username(),
        is_agent=author.is_staff,
        text=message.text,
        at=message.at,
    )
