"""Event: a pydantic model with the name under which rooms broadcast it."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pydantic import BaseModel

from ..exceptions import RouteError

__all__ = ["RESERVED", "Event", "check_event_name", "is_event", "snake_case"]

#: What ``room.on(...)`` of the browser client means something else by.
RESERVED = frozenset({"state", "presence", "latest", "left", "error", "status", "count"})

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MAX_CHARACTERS = 64


class Event(BaseModel):
    """Event that rooms broadcast: a pydantic model, whose name on the wire is that of its class in snake case.

    ``class TicketClosed(Event)`` is called "ticket_closed"; ``class Said(Event, name="said_to_all")`` has a name of
    its own. A subclass of an event is another event.

    Raises:
        RouteError: the name is reserved for the client, or is no name.
    """

    __fastws_event__: ClassVar[str] = ""

    def __init_subclass__(cls, *, name: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if name is None and "[" in cls.__name__:
            return  # of a generic event, with its types: as the generic one
        event = snake_case(cls.__name__) if name is None else name
        remedy = f'write `class {cls.__name__}(Event, name="...")`'
        check_event_name(event, f"event {cls.__module__}.{cls.__qualname__}", remedy)
        cls.__fastws_event__ = event


def snake_case(name: str) -> str:
    """Name of a class, in snake case.

    >>> snake_case("TicketClosed"), snake_case("HTTPError"), snake_case("Said")
    ('ticket_closed', 'http_error', 'said')
    """
    return _WORD.sub("_", name).lower()


def is_event(value: Any) -> bool:
    """Whether this is a class of events, which has a name."""
    return isinstance(value, type) and issubclass(value, Event) and bool(value.__fastws_event__)


def check_event_name(event: Any, label: str, remedy: str = "give it another name") -> None:
    """Check the name of an event.

    Args:
        label: what has it, for the text of the error.
    Raises:
        RouteError: it is no str of 1 to 64 printable characters, or reserved for the client.
    """
    if not isinstance(event, str) or not 0 < len(event) <= _MAX_CHARACTERS or not event.isprintable():
        raise RouteError(
            f"{label}: {event!r} is no name of an event, which is a str of 1 to {_MAX_CHARACTERS} characters"
        )
    if event in RESERVED:
        raise RouteError(
            f"{label}: {event!r} means something else to the client, as do {', '.join(sorted(RESERVED))}; {remedy}"
        )
