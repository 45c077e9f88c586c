"""Live rooms of the tests of schemas: of all kinds of types, in all places."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field
from typing_extensions import TypedDict

from django_fastws import Event, FastWS, History, Latest, Presence, Room

__all__ = ["declare_rooms"]

Item = TypeVar("Item")


class Priority(StrEnum):
    LOW = "low"
    HIGH = "high"


class Level(Enum):
    ONE = 1
    TWO = 2


class Address(BaseModel):
    """Where somebody lives."""

    street: Annotated[str, MinLen(1)]
    city: str = Field(default="Berlin", description="By its own name.")


class Author(BaseModel):
    name: str
    email: str | None = None
    addresses: list[Address] = []


class Said(Event):
    """Somebody has said something."""

    who: str
    text: str
    urgent: bool = False


class TicketClosed(Event):
    at: dt.datetime
    by: UUID
    price: Decimal


class Node(Event, name="node"):
    value: int
    children: list[Node] = []

    @computed_field
    @property
    def size(self) -> int:
        return 1 + sum(child.size for child in self.children)


SEED = Node(value=0)


class Page(BaseModel, Generic[Item]):
    items: list[Item]
    more: bool = False


class Price(Event):
    """The price of a symbol."""

    bid: float
    ask: float | None = None


class Member(BaseModel):
    """One who reads a ticket."""

    name: str
    typing: bool = False


class Seat(BaseModel):
    """Is told to nobody."""

    row: int


class Status(BaseModel):
    """Is called as a type of the client's."""

    room: Literal["open", "closed"]


class Point(TypedDict, total=False):
    x: float
    y: float


@dataclass
class Move:
    """Of a cursor."""

    to: Point
    steps: tuple[int, str] = (1, "px")
    rest: tuple[int, ...] = ()


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Ge(0), Le(9)] = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    good: bool = True


class Pet(RootModel[Annotated[Cat | Dog, Field(discriminator="kind")]]):
    pass


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")

    from_: Annotated[str, Field(alias="from")]
    count: int | None = None


class Typing(BaseModel):
    is_typing: bool = True


class OnlyPython:
    """Nothing that pydantic has a schema for."""


ONLY_PYTHON = OnlyPython()


def declare_rooms(app: FastWS) -> None:
    """Declare them."""
    tickets = app.room(
        "tickets/{pk:int}",
        history=History(messages=500, seconds=3600, bytes=10_000),
        presence=True,
        sends=[Said, TicketClosed],
        tags=["desk"],
        login_required=True,
        permission="desk.read",
    )

    @tickets.on_join
    async def enter(ws: Any, pk: int) -> None:
        """For whom the ticket is."""

    @tickets.state
    async def state(ws: Any, pk: int) -> list[Said]:
        """What was said, oldest first."""
        return []

    @tickets.card
    async def card(ws: Any, pk: int) -> Member | None:
        """Who reads the ticket."""
        return Member(name="ada")

    @tickets.on("say", rate="5/s", timeout=2)
    async def say(
        ws: Any,
        room: Room,
        pk: int,
        text: Annotated[str, MinLen(1), MaxLen(2000), Field(description="What is said.")],
        priority: Priority = Priority.LOW,
        tags: list[str] | None = None,
    ) -> int:
        """Say something to all.

        The answer is its number.
        """
        return 1

    @tickets.on("close", concurrent=True)
    async def close(ws: Any) -> None: ...

    @tickets.on("history")
    async def history(
        ws: Any, limit: Annotated[int, Ge(1), Le(100)], before: dt.datetime | None = None
    ) -> AsyncIterator[Said]:
        yield Said(who="ada", text="hello")

    @tickets.on("assign")
    async def assign(ws: Any, author: Author) -> Author:
        return author

    @tickets.on("untyped")
    async def untyped(ws, anything, more: Any = ONLY_PYTHON): ...

    tickets.relay("typing", Typing, rate="2/s")

    zoo = app.room("zoo")

    @zoo.state(shared=True)
    async def animals() -> dict[str, Pet]:
        return {}

    zoo.on("say")(_say_in_the_zoo)

    @zoo.on("adopt")
    async def adopt(ws: Any, pet: Pet) -> Pet:
        return pet

    @zoo.on("move")
    async def move(ws: Any, move: Move) -> Page[Said]:
        return Page(items=[])

    @zoo.on("plant")
    async def plant(ws: Any, node: Node) -> Page[int]:
        return Page(items=[node.size])

    @zoo.on("water")
    async def water(ws: Any, node: Node = SEED) -> int:
        return node.size

    @zoo.on("level up!")
    async def level_up(ws: Any, level: Level, status: Status, anything: Anything) -> Status | None:
        return None

    app.room("chat/{room}", sends=[Said])
    app.room("chat/{room}/typing/{who:uuid}", sends=[Node], history=History())
    app.room("odd`${x}/{name:slug}")
    prices = app.room("prices/{market}", latest=Latest(rate="5/s", seconds=60), sends=[Price])
    prices.relay("watching", Typing)
    app.room("cursors", latest=Latest())
    app.room("board/{pk:int}", presence=True)
    hall = app.room("hall/{name}", presence=Presence(counts_only=True), sends=[Said])

    @hall.card
    async def seat(ws: Any, name: str) -> Seat:
        return Seat(row=1)

    app.room("pets", latest=Latest(), sends=[Price, Said])


async def _say_in_the_zoo(ws: Any, loud: bool) -> str:
    return "moo"
