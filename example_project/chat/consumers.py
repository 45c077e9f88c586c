"""The chat's server: a live room for each name."""

from datetime import datetime
from typing import Annotated

from django.http import Http404
from django.utils import timezone
from pydantic import ConfigDict, Field, StringConstraints

from django_fastws import Event, FastWS, LiveSocket, Room

from ..people import Person, person_of
from .forms import RoomForm
from .models import Message

LATEST, MAX_TEXT = 100, 2000  # messages, characters

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT)]


class Said(Event):
    """A message, made of what the database has."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    key: str
    name: str
    is_signed_in: bool
    text: str
    at: datetime


class Came(Event):
    """Somebody is in the room now."""

    name: str
    at: datetime = Field(default_factory=timezone.now)


class Went(Came):
    """Somebody is not any more."""


app = FastWS(tags=["chat"])
chat = app.room("chat/{name:path}", presence=True, sends=[Said, Came, Went])


@chat.card
async def card(ws: LiveSocket) -> Person:
    """How the others see who is here."""
    return person_of(ws)


@chat.on_join
async def enter(ws: LiveSocket, here: Room, name: str) -> None:
    """Let in to what can be a room, and tell the others."""
    form = RoomForm({"room": name})
    if not form.is_valid() or form.cleaned_data["room"] != name:
        raise Http404("There is no such room.")
    await here.abroadcast(Came(name=person_of(ws).name), exclude=ws)


@chat.on_leave
async def leave(ws: LiveSocket, here: Room) -> None:
    """Tell the others, however the connection ended."""
    await here.abroadcast(Went(name=person_of(ws).name))


@chat.state
async def newest(ws: LiveSocket, name: str) -> list[Said]:
    """What was said last, oldest first."""
    messages = [message async for message in Message.objects.filter(room=name).order_by("-id")[:LATEST]]
    return [Said.model_validate(message) for message in reversed(messages)]


@chat.on("say", rate="10/s burst 50")
async def say(ws: LiveSocket, here: Room, name: str, text: Text) -> int:
    """Save a message and tell everyone, its author too; the answer is its number."""
    author = person_of(ws)
    message = await Message.objects.acreate(room=name, text=text, **author.model_dump(exclude={"is_agent"}))
    await here.abroadcast(Said.model_validate(message))
    return message.pk
