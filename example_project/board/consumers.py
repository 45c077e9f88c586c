"""The board's server: notes are events that are kept, cursors and drags are only passed on."""

from typing import Annotated

from django.shortcuts import aget_object_or_404
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from django_fastws import Event, FastWS, History, LiveError, LiveSocket, Room

from ..people import Person, person_of
from .models import MAX_TEXT, Note

MAX_NOTES = 40

Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_TEXT)]


class Put(Event):
    """A note is new, or has moved, or says something else."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    text: str
    x: float
    y: float
    key: str
    name: str


class Removed(Event):
    """A note is gone."""

    id: int


class Cursor(BaseModel):
    """Where a member points."""

    x: Share
    y: Share


class Drag(Cursor):
    """Where a member is dragging a note right now. Where it is let go is a ``move``."""

    id: int


app = FastWS(tags=["board"])
board = app.room("board", history=History(messages=300, seconds=3600), presence=True, sends=[Put, Removed])

# No handler: what a member says reaches the others, validated, with its presence key, and is stored nowhere.
board.relay("cursor", Cursor, rate="25/s burst 25")
board.relay("drag", Drag, rate="25/s burst 25")


@board.card
async def card(ws: LiveSocket) -> Person:
    """How the others see who is here."""
    return person_of(ws)


@board.state(shared=True)
async def notes() -> list[Put]:
    """All notes; made once for all pages that come at the same moment."""
    return [Put.model_validate(note) async for note in Note.objects.order_by("pk")]


@board.on("add", rate="1/s burst 5")
async def add(ws: LiveSocket, room: Room, x: Share, y: Share, text: Text = "") -> int:
    """Put up a note; the answer is its number."""
    if await Note.objects.acount() >= MAX_NOTES:
        raise LiveError("full", f"The board has {MAX_NOTES} notes, and no place for more. Take one away.")
    person = person_of(ws)
    note = await Note.objects.acreate(x=x, y=y, text=text, key=person.key, name=person.name)
    await room.abroadcast(Put.model_validate(note))
    return note.pk


@board.on("move", rate="10/s burst 20")
async def move(ws: LiveSocket, room: Room, id: int, x: Share, y: Share) -> None:
    """Leave a note somewhere else."""
    await change(room, id, x=x, y=y)


@board.on("write", rate="5/s burst 10")
async def write(ws: LiveSocket, room: Room, id: int, text: Text) -> None:
    """Write something else on a note."""
    await change(room, id, text=text)


@board.on("remove")
async def remove(ws: LiveSocket, room: Room, id: int) -> None:
    """Take a note away."""
    note = await aget_object_or_404(Note, pk=id)
    await note.adelete()
    await room.abroadcast(Removed(id=id))


async def change(room: Room, pk: int, **fields: object) -> None:
    """Save some fields of a note, and tell everyone how it is now."""
    note = await aget_object_or_404(Note, pk=pk)
    for name, value in fields.items():
        setattr(note, name, value)
    await note.asave(update_fields=list(fields))
    await room.abroadcast(Put.model_validate(note))
