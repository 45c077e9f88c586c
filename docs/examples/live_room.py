"""A live room: what is said about a ticket."""

from __future__ import annotations

from typing import Annotated

from annotated_types import MaxLen
from django.core.exceptions import PermissionDenied
from django_fastws import Event, FastWS, Room
from pydantic import BaseModel

app = FastWS()
SAID: dict[int, list[Said]] = {}


class Said(Event):
    who: str
    text: str


class Typing(BaseModel):
    is_typing: bool


tickets = app.room("tickets/{pk:int}", sends=[Said], login_required=True)


@tickets.on_join
async def enter(ws, pk: int) -> None:
    if pk == 0:
        raise PermissionDenied


@tickets.state
async def state(ws, pk: int) -> list[Said]:
    return SAID.get(pk, [])


@tickets.on("say", rate="5/s")
async def say(ws, room: Room, pk: int, text: Annotated[str, MaxLen(2000)]) -> int:
    said = Said(who=ws.user.username, text=text)
    SAID.setdefault(pk, []).append(said)
    await room.abroadcast(said)
    return len(SAID[pk])


tickets.relay("typing", Typing, rate="2/s")
