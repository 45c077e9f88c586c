"""Live rooms that the console of the tests talks to."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from django.core.exceptions import PermissionDenied
from pydantic import BaseModel, Field

from django_fastws import Event, FastWS, History, Latest, LiveError, LiveSocket, Presence, Room

__all__ = ["app"]

app = FastWS(tags=["desk"])
SAID: dict[int, list[Said]] = {}


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Said(Event):
    """Somebody has said something in a ticket."""

    who: str
    text: str
    priority: Priority = Priority.NORMAL
    at: dt.datetime = Field(default_factory=lambda: dt.datetime.now(dt.UTC))


class TicketClosed(Event):
    """The ticket is closed, and nothing more can be said."""

    reason: Literal["done", "duplicate", "invalid"]


class Typing(BaseModel):
    is_typing: bool = True


class Address(BaseModel):
    street: Annotated[str, MinLen(3)]
    city: str
    zip_code: Annotated[str, Field(pattern=r"^\d{5}$", examples=["10115"])]


class Line(BaseModel):
    """One position of an order."""

    article: Annotated[str, MaxLen(40)]
    count: Annotated[int, Ge(1), Le(99)] = 1


class Card(BaseModel):
    kind: Literal["card"]
    number: Annotated[str, MinLen(12)]


class Invoice(BaseModel):
    kind: Literal["invoice"]
    vat_id: str | None = None


tickets = app.room("tickets/{pk:int}", history=History(messages=50), sends=[Said, TicketClosed], rate="20/s")


@tickets.on_join
async def enter(ws: LiveSocket, pk: int) -> None:
    """For everybody who may read the ticket. Ticket 13 is nobody's."""
    if pk == 13:
        raise PermissionDenied("ticket 13 is nobody's")


@tickets.state
async def state(ws: LiveSocket, pk: int) -> list[Said]:
    """What was said so far, oldest first."""
    return SAID.get(pk, [])


@tickets.on("say", rate="5/s")
async def say(
    ws: LiveSocket,
    room: Room,
    pk: int,
    text: Annotated[str, MinLen(1), MaxLen(2000), Field(description="What is said. Markdown is shown as it is.")],
    priority: Priority = Priority.NORMAL,
    quiet: bool = False,
) -> int:
    """Say something to everybody in the ticket.

    The answer is the number of the message. Nothing is said where it is quiet, but the message is counted.
    """
    said = Said(who=str(ws.user) or "somebody", text=text, priority=priority)
    SAID.setdefault(pk, []).append(said)
    if not quiet:
        await room.abroadcast(said)
    return len(SAID[pk])


@tickets.on("history", timeout=10)
async def history(
    ws: LiveSocket, pk: int, limit: Annotated[int, Ge(1), Le(500)] = 20, before: dt.datetime | None = None
) -> AsyncIterator[Said]:
    """What was said, newest first, one by one."""
    for said in list(reversed(SAID.get(pk, [])))[:limit]:
        yield said


@tickets.on("count_to", concurrent=True)
async def count_to(ws: LiveSocket, to: Annotated[int, Le(100_000)]) -> AsyncIterator[int]:
    """Count, slowly."""
    for number in range(to):
        yield number + 1
        await asyncio.sleep(0.05)


@tickets.on("close")
async def close(ws: LiveSocket, room: Room, reason: Literal["done", "duplicate", "invalid"] = "done") -> None:
    """Close the ticket."""
    await room.abroadcast(TicketClosed(reason=reason))


@tickets.on("confirm")
async def confirm(ws: LiveSocket, question: str) -> bool:
    """Ask this client back."""
    answer = await ws.ask("confirm", {"question": question}, timeout=60)
    return bool(answer)


@tickets.on("fail")
async def fail(ws: LiveSocket, code: str = "sold_out") -> None:
    """Fail with a code of one's own."""
    raise LiveError(code, "there are none left", retry_after=1.5)


tickets.relay("typing", Typing, rate="2/s")

orders = app.room("shops/{shop:slug}/orders", login_required=False)


@orders.on("order")
async def order(
    ws: LiveSocket,
    shop: str,
    to: Address,
    lines: Annotated[list[Line], MinLen(1)],
    pay: Annotated[Card | Invoice, Field(discriminator="kind")],
    labels: dict[str, str] | None = None,
    discount: Annotated[float, Gt(0), Le(0.5)] | None = None,
    deliver_on: dt.date | None = None,
    anything: dict[str, object] | None = None,
) -> dict[str, int]:
    """Order from a shop."""
    return {"positions": len(lines), "articles": sum(line.count for line in lines)}


prices = app.room("prices", latest=Latest(rate="20/s", seconds=60))


@prices.on("quote")
async def quote(ws: LiveSocket, room: Room, symbol: str, bid: float | None = None) -> None:
    """Say a price; without one, there is none any more."""
    if bid is None:
        await room.aremove(symbol)
    else:
        await room.abroadcast({"bid": bid}, key=symbol)


class Reader(BaseModel):
    """One who looks at a board."""

    name: str
    is_busy: bool = False


boards = app.room("boards/{pk:int}", presence=True, sends=[Said])


@boards.card
async def reader(ws: LiveSocket, pk: int) -> Reader:
    """Who looks at the board, and whether they do something else."""
    return Reader(name=str(ws.user) or "somebody")


@boards.on("be_busy")
async def be_busy(ws: LiveSocket, room: Room, is_busy: bool = True) -> None:
    """Show the others that there is something else to do."""
    await ws.set_presence(room, Reader(name=str(ws.user) or "somebody", is_busy=is_busy))


hall = app.room("hall", presence=Presence(counts_only=True), sends=[Said])

news = app.room("news")


@news.state(shared=True)
async def headlines() -> list[str]:
    return ["Everything works", "Nothing is on fire"]
