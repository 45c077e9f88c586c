"""HTML over a live room, for htmx."""

from typing import Annotated

from annotated_types import Len
from django.template.loader import render_to_string
from django_fastws import Event, FastWS, Room

app = FastWS()


class Line(Event):
    html: str


lines = app.room("lines/{name}", sends=[Line])


@lines.on("add")
async def add(ws, room: Room, text: Annotated[str, Len(1, 500)]) -> None:
    await room.abroadcast(Line(html=render_to_string("chat/line.html", {"text": text})))
