"""The same desk as a live room."""

from datetime import datetime
from typing import Annotated

from annotated_types import Len
from django.utils import timezone
from django_fastws import Event, FastWS, LiveSocket, Room

app = FastWS()


class Said(Event):
    who: str
    text: str


class Typing(Event):
    who: str


desk = app.room("desk/{pk:int}", sends=[Said, Typing], login_required=True)


@desk.on("say")
async def say(ws: LiveSocket, room: Room, text: Annotated[str, Len(1, 2000)]) -> int:
    await room.abroadcast(Said(who=ws.user.get_username(), text=text))
    return len(text)


@desk.on("typing")
async def typing(ws: LiveSocket, room: Room) -> None:
    await room.abroadcast(Typing(who=ws.user.get_username()), exclude=ws, volatile=True)


@desk.on("time")
async def time(ws: LiveSocket) -> datetime:
    return timezone.now()
