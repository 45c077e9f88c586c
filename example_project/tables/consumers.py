"""The plan's server: calls that book and cancel, with errors for the fields of the form."""

from typing import Annotated, Literal

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError
from django.shortcuts import aget_object_or_404
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from django_fastws import Event, FastWS, LiveSocket, Room

from ..people import Person, person_of
from .models import SEATS, Booking


class Wish(BaseModel):
    """What the form sends. Pydantic says what is wrong with a field, before the handler runs."""

    time: Literal["18:00", "19:30", "21:00"]
    table: Annotated[int, Field(ge=1, le=len(SEATS))]
    guests: Annotated[int, Field(ge=1, le=8)]
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=60)]


class Booked(Event):
    """A table is taken. The name stays here: the plan shows only whose booking is one's own."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    time: str
    table: int
    key: str


class Cancelled(Event):
    """A table is free again."""

    id: int


app = FastWS(tags=["tables"])
tables = app.room("tables", presence=True, sends=[Booked, Cancelled])


@tables.card
async def card(ws: LiveSocket) -> Person:
    """How the others see who is here."""
    return person_of(ws)


@tables.state(shared=True)
async def bookings() -> list[Booked]:
    """All that is taken; made once for all pages that come back at the same moment."""
    return [Booked.model_validate(booking) async for booking in Booking.objects.all()]


@tables.on("book", rate="2/s burst 5")
async def book(ws: LiveSocket, room: Room, wish: Wish) -> str:
    """Book a table. What only the handler can know is an error of a field as well."""
    if wish.guests > SEATS[wish.table]:
        raise ValidationError({"guests": f"Table {wish.table} has {SEATS[wish.table]} seats."})
    try:
        booking = await Booking.objects.acreate(**wish.model_dump(), key=person_of(ws).key)
    except IntegrityError:  # somebody was faster
        raise ValidationError({"table": f"Table {wish.table} is taken at {wish.time}."}) from None
    await room.abroadcast(Booked.model_validate(booking))
    return f"Table {wish.table} is yours at {wish.time}, {wish.name}."


@tables.on("cancel")
async def cancel(ws: LiveSocket, room: Room, id: int) -> None:
    """Cancel a booking of one's own."""
    booking = await aget_object_or_404(Booking, pk=id)
    if booking.key != person_of(ws).key:
        raise PermissionDenied("This booking is somebody else's.")
    await booking.adelete()
    await room.abroadcast(Cancelled(id=id))
