"""Tickets that keep what was said, the page of one, and what else can be asked of a history."""

from __future__ import annotations

import asyncio
from typing import Annotated

from annotated_types import MaxLen
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django_fastws import Event, FastWS, History, HistoryUnavailable, LiveSocket, Room, WebSocketConnectionError

app = FastWS()
SAID: dict[int, list[Said]] = {}  # your database


class Said(Event):
    pk: int
    who: str
    text: str


tickets = app.room("tickets/{pk:int}", history=History(messages=500, seconds=86_400), sends=[Said])


@tickets.state
async def state(ws: LiveSocket, pk: int) -> list[Said]:
    return SAID.get(pk, [])


@tickets.on("say")
async def say(ws: LiveSocket, room: Room, pk: int, text: Annotated[str, MaxLen(2000)]) -> int:
    said = Said(pk=len(SAID.setdefault(pk, [])) + 1, who=ws.user.username, text=text)
    SAID[pk].append(said)
    await room.abroadcast(said)
    return said.pk


def ticket(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "desk/ticket.html", {"tickets": tickets, "pk": pk, "said": lambda: SAID.get(pk, [])})


async def ticket_of_async_view(request: HttpRequest, pk: int) -> HttpResponse:
    try:
        async with asyncio.timeout(1):
            at = str(await tickets(pk=pk).aposition())  # first, and then what is shown
    except (WebSocketConnectionError, TimeoutError):
        at = ""  # Redis is away: the client gets the state
    said = SAID.get(pk, [])
    return render(request, "desk/async_ticket.html", {"at": at, "pk": pk, "said": said})


def close_ticket(pk: int) -> None:
    said = Said(pk=0, who="", text="closed")
    tickets(pk=pk).broadcast(said, idempotency_key="closed")


def audit(request: HttpRequest, pk: int) -> JsonResponse:
    try:
        page = tickets(pk=pk).history(limit=50, before=request.GET.get("before"))
    except (HistoryUnavailable, ValueError):  # it has begun anew, or that is no position
        return JsonResponse({"error": "begin at the end"}, status=409)
    lines = [{"at": str(one.position), "event": one.event, "data": one.data, "when": one.at} for one in page]
    return JsonResponse({"lines": lines, "before": lines[0]["at"] if lines else None})


@app.websocket("/ws/tickets/{pk:int}")
async def raw(ws, pk: int, since: str = ""):
    await ws.accept()
    joined = await ws.join(tickets(pk=pk), since=since)
    if not joined.recovered:
        state = [said.model_dump() for said in SAID.get(pk, [])]
        await ws.send({"state": state, "at": str(joined.position)})
    async for _ in ws:
        pass


async def test_a_page_that_comes_back_has_missed_nothing():
    from django_fastws.testing import live

    async with live() as client:
        room = await client.join("tickets/5")
        await client.close(1006)
        await tickets(pk=5).abroadcast(Said(pk=1, who="ada", text="meanwhile"))
        await client.reconnect()
        assert room.recovered
        assert (await room.next("said")).data["text"] == "meanwhile"
