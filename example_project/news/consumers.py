"""The feed's server: the newest announcements, and then what comes."""

from datetime import datetime

from pydantic import ConfigDict

from django_fastws import Event, FastWS, LiveSocket

from ..people import Person, person_of
from .models import Announcement

LATEST = 20


class Announced(Event):
    """An announcement, made of what the database has."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    text: str
    author: str
    created_at: datetime
    again: bool = False


app = FastWS(tags=["news"])
news = app.room("news", presence=True, sends=[Announced])  # of its members, it takes no events


@news.card
async def card(ws: LiveSocket) -> Person:
    """How the others see who is here."""
    return person_of(ws)


@news.state(shared=True)
async def newest() -> list[Announced]:
    """The newest first. A page that was away finds what it missed in it."""
    return [Announced.model_validate(one) async for one in Announcement.objects.all()[:LATEST]]


def announce(announcement: Announcement, *, again: bool = False) -> None:
    """Tell every open page; after the commit, in a transaction."""
    news().broadcast(Announced.model_validate(announcement).model_copy(update={"again": again}))
